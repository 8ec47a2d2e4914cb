"""The guard against regressions: `python -m tests.benchmarks --quick`, in under three minutes.

It measures gradc on the small sizes beside a yardstick in the same rounds: the loops written by hand where a case has
them, else a fixed loop. What is compared with the stored baseline is the ratio, so a busy or slow machine matters
little; but ratios are a processor's own, so the baseline holds them by processor, and one that is not in it is told how
to add itself. A case that is slower than its baseline by more than the tolerance is measured again before it counts.
"""

import json
from pathlib import Path

from .case import Call, Calls, Case
from .cases import PROBLEMS, logsumexp
from .results import processor
from .run import BUILD, at_most
from .table import plain
from .timing import minimum_times
from .tools import TOOLS, Gradc, Hand

BASELINE = Path(__file__).with_name("baseline.json")
TOLERANCE = 1.25
ROUNDS = 15


def yardstick(case: Case) -> Call:
    """By hand, or a fixed loop."""
    if case.loops is not None:
        return TOOLS[Hand.name].build(case).gradient
    return TOOLS[Hand.name].build(logsumexp.case("1000x32")).gradient


def digits(value: float | None) -> str:
    """Three."""
    return "-" if value is None else f"{value:.3g}"


def measured(case: Case, forms: list[Calls]) -> float:
    """The time of the fastest form over the yardstick's."""
    measure = yardstick(case)
    measure()  # compiles it
    first, *own = minimum_times([measure, *(calls.gradient for calls in forms)], ROUNDS, allowance=0.5)
    return min(time.seconds for time in own) / first.seconds


def guard(write: bool) -> int:
    """Prints the ratios beside the baseline; 1 if one is worse than the tolerance allows."""
    stored: dict[str, dict[str, float]] = json.loads(BASELINE.read_text("utf-8")) if BASELINE.exists() else {}
    own = stored.get(processor(), {})
    found: dict[str, float] = {}
    rows = [["", "ratio", "baseline", ""]]
    failed = False
    for problem in PROBLEMS.values():
        for size in problem.quick:
            case = problem.make(size)
            try:
                with at_most(BUILD):
                    forms = [build() for build in TOOLS[Gradc.name].forms(case).values()]
                    for calls in forms:
                        calls.gradient()
            except Exception as error:  # noqa: BLE001  (named in the table, whatever it is)
                rows.append([case.name, "-", digits(own.get(case.name)), f"{type(error).__name__}: {error}"[:60]])
                failed |= case.name in own
                continue
            value = measured(case, forms)
            limit = TOLERANCE * own.get(case.name, float("inf"))
            if value > limit:
                value = min(value, measured(case, forms))
            found[case.name] = value
            verdict = "slower" if value > limit else "" if case.name in own else "new"
            failed |= value > limit
            rows.append([case.name, digits(value), digits(own.get(case.name)), verdict])
    print(plain(rows))
    if write:
        stored[processor()] = {name: float(f"{value:.3g}") for name, value in found.items()}
        BASELINE.write_text(json.dumps(stored, indent=1) + "\n", "utf-8")
    elif not own:
        print(f"no baseline for {processor()}: --quick --write adds it")
    return int(failed)
