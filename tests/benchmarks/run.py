"""One run of the benchmark: builds every case with every tool, checks the results, measures.

The results of all tools must agree: with the loops by hand where there are some, else with the first tool beside gradc.
A tool with several forms is measured in all of them briefly and in the fastest thoroughly. A tool that is absent or
fails is a note.
"""

import contextlib
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .case import Calls, Case, Problem, Unsupported
from .cases import PROBLEMS
from .compile_time import CompileTime, compile_time
from .results import Results, Row, Section, started
from .table import ratio
from .timing import minimum_times
from .tools import TOOLS, Tool

PATIENCE = 20.0  # seconds that a call may take; a slower tool is left out of the case
BUILD = 120  # seconds until the first results of a form
Form = tuple[Tool, str]


class Run:
    """The options of a run, and what is found so far."""

    def __init__(self, tools: Sequence[Tool], rounds: int, *, compile_times: bool) -> None:
        self.tools = tools
        self.rounds = rounds
        self.compile_times = compile_times
        self.failed = False
        self.present = []
        missing = {}
        for tool in tools:
            missing[tool] = tool.missing()
            if missing[tool] is None:
                self.present.append(tool)
        libraries = (library for tool in self.present for library in tool.libraries)
        self.results: Results = started([tool.name for tool in tools], libraries)
        for tool, what in missing.items():
            if what is not None:
                self.note(tool, None, f"{what} is not installed")

    def note(self, tool: Tool, case: Case | None, text: str) -> None:
        """Adds a note, once."""
        line = f"{tool.name}{f', {case.name}' if case else ''}: {text}"
        if line not in self.results.notes:
            self.results.notes.append(line)

    def measure(self, problem: Problem, size: str) -> Section:
        """All tools in one case."""
        started = time.perf_counter()
        print(f"{problem.case_name(size)}: ", end="", file=sys.stderr, flush=True)
        case = problem.make(size)
        self.first: dict[Form, float] = {}
        built = self._best_forms(self._built(case))
        kinds = [
            (form, kind)
            for form, calls in built.items()
            for kind in ("forward", "gradient", "into")
            if getattr(calls, kind) is not None
        ]
        times = dict(
            zip(kinds, minimum_times([getattr(built[form], kind) for form, kind in kinds], self.rounds), strict=True)
        )
        rows = []
        for form in built:
            tool, name = form
            spent = CompileTime(None, None)
            if self.compile_times and tool.compiles and size == problem.sizes[0]:
                spent = compile_time(tool, problem.name, size, name)
            value, gradient, into = (times.get((form, kind)) for kind in ("forward", "gradient", "into"))
            assert gradient is not None
            rows.append(
                Row(
                    tool.name, name, value and value.seconds, gradient.seconds, into and into.seconds,
                    self.first[form], gradient.drift, spent.cold, spent.warm,
                )
            )  # fmt: skip
        section = Section(problem.name, size, rows)
        self.results.sections.append(section)
        found = ", ".join(f"{row.tool} {ratio(section.ratio(row.tool))}" for row in rows)
        print(f"{found} ({time.perf_counter() - started:.0f} s)", file=sys.stderr, flush=True)
        return section

    def _built(self, case: Case) -> dict[Form, Calls]:
        """The calls of all forms of all tools, after they were made once and agreed with the others."""
        results: dict[Form, tuple[Calls, np.ndarray]] = {}
        for tool in self.present:
            for name, build in tool.forms(case).items():
                label = f"{name}: " if name else ""
                try:
                    with at_most(BUILD):
                        begin = time.process_time()
                        calls = build()
                        result = calls.gradient()
                        self.first[tool, name] = time.process_time() - begin
                        slow = _slow(calls)
                    results[tool, name] = calls, flat(calls.parts(result))
                    if slow:
                        self.note(tool, case, f"{label}a call takes {slow:.0f} s")
                        del results[tool, name]
                except Unsupported as reason:
                    if str(reason):
                        self.note(tool, case, f"{label}{reason}")
                except Exception as error:  # noqa: BLE001  (a peer may fail in any way; the run goes on without it)
                    self.note(tool, case, f"{label}{type(error).__name__}: {error}".split("\n")[0])
                    self.failed |= tool.name == "gradc"
        return self._agreeing(case, results)

    def _agreeing(self, case: Case, results: dict[Form, tuple[Calls, np.ndarray]]) -> dict[Form, Calls]:
        """Those whose values, derivatives, and results in given arrays are those of the first that is not gradc."""
        others = [form for form in results if form[0].name != "gradc"]
        if not others and results:
            self.note(next(iter(results))[0], case, "nobody to compare the result with")
        fine = {}
        for (tool, name), (calls, found) in results.items():
            wanted = results[others[0]][1] if others else found
            wrong = disagreement(found, wanted, case.tolerance)
            if wrong is None and calls.into is not None and calls.written is not None:
                wrong = disagreement(flat(calls.written(calls.into())), wanted, case.tolerance)
            if wrong is None:
                fine[tool, name] = calls
                continue
            self.note(tool, case, f"{name}{': ' if name else ''}differs from {others[0][0].name}: {wrong}")
            self.failed |= tool.name == "gradc"
        return fine

    def _best_forms(self, built: dict[Form, Calls]) -> dict[Form, Calls]:
        """The fastest form of each tool."""
        several = [form for form in built if sum(other[0] is form[0] for other in built) > 1]
        quick = minimum_times([built[form].gradient for form in several], 5, allowance=0.3)
        seconds = {form: time.seconds for form, time in zip(several, quick, strict=True)}
        return {
            form: calls
            for form, calls in built.items()
            if form not in seconds
            or seconds[form] == min(spent for other, spent in seconds.items() if other[0] is form[0])
        }


@contextlib.contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Raises Unsupported in what takes longer, where the system has timers."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_: Any) -> None:
        raise Unsupported(f"no result within {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _slow(calls: Calls) -> float:
    """The seconds of a call if it is not worth measuring, else 0."""
    if calls.forward is not None:
        calls.forward()
    start = time.perf_counter()
    calls.gradient()
    spent = time.perf_counter() - start
    return spent if spent > PATIENCE else 0.0


def flat(result: Any) -> np.ndarray:
    """Value and derivative, each of any structure of numbers and arrays, in one vector."""
    if isinstance(result, tuple | list):
        return np.concatenate([flat(part) for part in result])
    return np.ravel(np.asarray(result, dtype=float))


def disagreement(found: np.ndarray, wanted: np.ndarray, tolerance: float) -> str | None:
    """How they differ, or None."""
    if found.shape != wanted.shape:
        return f"{found.size} numbers, not {wanted.size}"
    if not np.all(np.isfinite(found)):
        return "some are not finite"
    scale = np.max(np.abs(wanted[1:])) if wanted.size > 1 else 0.0
    errors = np.abs(found - wanted) / np.maximum(np.abs(wanted), scale)
    at = int(np.argmax(np.where(np.maximum(np.abs(wanted), scale) > 0, errors, np.abs(found - wanted))))
    return None if errors[at] <= tolerance else f"number {at} is {found[at]!r}, not {wanted[at]!r}"


def selected(name: str, wanted: Sequence[str] | None) -> bool:
    """Whether a text that is wanted is in the name; nothing wanted is all."""
    return not wanted or any(text.lower() in name.lower() for text in wanted)


def run(
    problems: Sequence[str] | None, sizes: Sequence[str] | None, tools: Sequence[str] | None, rounds: int,
    *, compile_times: bool,
) -> Run:  # fmt: skip
    """Measures the problems and tools whose names contain a given text, at the sizes that have a text's words."""
    this = Run([tool for tool in TOOLS.values() if selected(tool.name, tools)], rounds, compile_times=compile_times)
    for name, problem in PROBLEMS.items():
        if selected(name, problems):
            for size in problem.sizes:
                if not sizes or any(set(text.split()) <= set(size.split()) for text in sizes):
                    this.measure(problem, size)
    return this
