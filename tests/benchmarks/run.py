"""One run of the benchmark: builds every case with every tool, checks the results, measures, prints.

The hand-written loops are the standard in both senses: the others' results must agree with theirs, and the
others' times are divided by theirs. A tool that is absent or fails is a dash and a note.
"""

import importlib.metadata
import platform
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from .case import Case
from .cases import CASES
from .compile_time import CompileTime, compile_time
from .table import ABSENT, COLUMNS, Section, microseconds, print_table, ratio, seconds
from .timing import minimum_times
from .tools import TOOLS, Calls, Hand, Tool, Unsupported

TOLERANCE = 1e-9


class Outcome:
    """What the rows of the table leave to be said, and whether gradc agreed everywhere."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.failed = False

    def note(self, tool: Tool, case: Case | None, text: str) -> None:
        """Adds a note, once."""
        line = f"{tool.name}{f', {case.name}' if case else ''}: {text}"
        if line not in self.notes:
            self.notes.append(line)


def run(
    case_names: Sequence[str] | None, tool_names: Sequence[str] | None, rounds: int, *, compile_times: bool
) -> int:
    """Measures the cases and tools whose names contain a given text; 1 if gradc failed or disagreed."""
    cases = [case for name, case in CASES.items() if _selected(name, case_names)]
    tools = [tool for name, tool in TOOLS.items() if isinstance(tool, Hand) or _selected(name, tool_names)]
    outcome = Outcome()
    present = []
    for tool in tools:
        missing = tool.missing()
        if missing is None:
            present.append(tool)
        else:
            outcome.note(tool, None, f"{missing} is not installed")
    sections = [_section(case, tools, present, rounds, compile_times, outcome) for case in cases]
    print_table(_title(present), sections, outcome.notes)
    return int(outcome.failed)


def _selected(name: str, wanted: Sequence[str] | None) -> bool:
    return not wanted or any(text.lower() in name.lower() for text in wanted)


def _section(
    case: Case, tools: list[Tool], present: list[Tool], rounds: int, compile_times: bool, outcome: Outcome
) -> Section:
    """The rows of one case, in the order of the tools."""
    print(f"measuring {case.name}", file=sys.stderr)
    built = {tool: calls for tool in present if (calls := _built(tool, case, outcome)) is not None}
    measured = [
        (tool, form)
        for tool, calls in built.items()
        for form in ("forward", "gradient", "into")
        if getattr(calls, form) is not None
    ]
    times = dict(
        zip(
            measured,
            minimum_times([getattr(built[tool], form) for tool, form in measured], rounds),
            strict=True,
        )
    )
    hand = TOOLS[Hand.name]
    rows = []
    for tool in tools:
        if tool not in built:
            rows.append([tool.name, *[ABSENT] * (len(COLUMNS) - 1)])
            continue
        forward, gradient, into = (times.get((tool, form)) for form in ("forward", "gradient", "into"))
        spent = compile_time(tool, case.name) if compile_times and tool.compiles else CompileTime(None, None)
        rows.append(
            [
                tool.name,
                microseconds(forward),
                microseconds(gradient),
                ratio(gradient, times[hand, "gradient"]),
                microseconds(into),
                ratio(into, times.get((hand, "into"))),
                ratio(gradient, forward),
                seconds(spent.cold),
                seconds(spent.warm),
            ]
        )
    return case.name, rows


def _built(tool: Tool, case: Case, outcome: Outcome) -> Calls | None:
    """The calls of a tool after they were made once and agreed; None, with a note, where they cannot be."""
    try:
        calls = tool.build(case)
        error = _disagreement(calls, case)
    except Unsupported as reason:
        outcome.note(tool, case, str(reason))
        return None
    except Exception as reason:  # noqa: BLE001  (a peer may fail in any way; the table goes on without it)
        error = f"{type(reason).__name__}: {reason}"
    if error is None:
        return calls
    outcome.note(tool, case, error)
    outcome.failed |= tool.name == "gradc"
    return None


def _disagreement(calls: Calls, case: Case) -> str | None:
    """How the results differ from those by hand, or None."""
    value, gradient = _flat(case.loops.value_and_grad(*case.inputs))
    found = {
        "value": (float(np.asarray(calls.forward()).item()), np.zeros(0)),
        "value+grad": _flat(calls.gradient()),
    }
    if calls.into is not None and calls.written is not None:
        found["with out"] = _flat(calls.written(calls.into()))
    for form, (its_value, its_gradient) in found.items():
        expected = gradient if its_gradient.size else its_gradient
        scale = np.max(np.abs(gradient))
        if not abs(its_value - value) <= TOLERANCE * abs(value):
            return f"{form}: the value is {its_value!r}, by hand {value!r}"
        if its_gradient.shape != expected.shape or not np.all(
            abs(its_gradient - expected) <= TOLERANCE * scale
        ):
            return f"{form}: the gradient differs from the one by hand"
    return None


def _flat(result: Any) -> tuple[float, np.ndarray]:
    """(value, gradient) with the gradient's parts in one vector."""
    value, gradient = result
    parts = gradient if isinstance(gradient, list | tuple) else [gradient]
    return float(value), np.concatenate([np.ravel(np.asarray(part, dtype=float)) for part in parts])


def _title(present: list[Tool]) -> str:
    libraries = {library.partition(".")[0] for tool in present for library in tool.libraries} | {"numpy"}
    versions = ", ".join(f"{name} {_version(name)}" for name in sorted(libraries))
    return (
        "Microseconds a call: least process CPU time, float64, one thread. "
        "Seconds to the first gradient: CPU time, imports not counted.\n"
        f"Python {platform.python_version()}, {versions}"
    )


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "(from its source folder)"
