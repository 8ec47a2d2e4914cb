"""The same function written otherwise: `python -m tests.benchmarks.variants` prints what that does to gradc's time.

The Gaussian mixture with renamed variables, with the terms of its sums permuted, with the means stored the other way
round, and with other constants must cost the same: a compiler that knows one spelling knows a benchmark, not a problem.
The value must agree with that of the original except where the constants changed.
"""

import os
import re
import tempfile
from collections.abc import Callable
from typing import Any

from .environment import SINGLE_THREAD, cache_folders, one_core

Variant = tuple[str, dict[str, str], tuple[Any, ...]]
SIZES = ("1k d2 K5", "1k d10 K25", "1k d32 K50")


def renamed(text: str, names: dict[str, str]) -> str:
    """The text with these words in the place of those."""
    return re.sub(r"\b[A-Za-z]\w*\b", lambda found: names.get(found[0], found[0]), text)


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """The text with each first of a pair replaced; it must be there."""
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


def variants(formula: str, args: dict[str, str], given: tuple[Any, ...]) -> dict[str, Callable[[], Variant]]:
    """By name: formula, arguments and inputs."""
    names = {
        "alpha": "zeta", "mu": "a", "icf": "V", "x": "data", "gamma": "q", "m": "w", "i": "s", "j": "b", "r": "u",
        "c": "v", "k": "many", "d": "wide", "n": "count", "h": "entries", "prior": "y", "likelihood": "core",
    }  # fmt: skip
    lower = "sum(icf[j, d + c*(2*d - c - 1)//2 + r - c - 1] * (x[i,c] - mu[j,c]) for c in range(r))"
    permuted = replaced(
        formula,
        (
            f"exp(icf[j,r]) * (x[i,r] - mu[j,r])\n           + {lower}",
            f"{lower}\n + (x[i,r] - mu[j,r]) * exp(icf[j,r])",
        ),
        ("alpha[j] + sum(icf[j,r] for r in range(d))\n    - ", "-"),
        (" / 2) for j in range(k)))", " / 2 + sum(icf[j,r] for r in range(d)) + alpha[j]) for j in range(k)))"),
    )
    turned = replaced(formula, ("mu[j,r]", "mu[r,j]"), ("mu[j,c]", "mu[c,j]"))
    constants = replaced(
        formula, (" / 2) for j in range(k)))", " * 0.37) for j in range(k)))"), ("gamma**2 / 2", "gamma**2 * 3")
    )
    transposed = (given[0], given[1].T.copy(), *given[2:])
    return {
        "as written": lambda: (formula, args, given),
        "renamed": lambda: (
            renamed(formula, names), {names[a]: renamed(d, {**names, "int": "int"}) for a, d in args.items()}, given,
        ),
        "permuted": lambda: (permuted, args, given),
        "means (d, k)": lambda: (turned, {**args, "mu": "d k"}, transposed),
        "constants": lambda: (constants, args, given),
    }  # fmt: skip


def main() -> int:
    """Prints the table; 1 if a value differs."""
    one_core()
    os.environ.update(SINGLE_THREAD)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(cache_folders(folder))
        import gradc

        from .case import Call
        from .cases import gmm
        from .table import microseconds, plain, ratio
        from .timing import minimum_times

        for size in SIZES:
            case = gmm.case(size)
            calls, values = [], []
            made = variants(gmm.FORMULA.strip(), case.args, case.inputs)
            for make in made.values():
                text, args, given = make()
                f = gradc.compile(text, args, wrt=list(args)[:3])
                values.append(f.value_and_grad(*given)[0])
                calls.append(Call(f.value_and_grad, given))
            times = [time.seconds for time in minimum_times(calls, 15)]
            rows = [[f"GMM {size}", "µs", "/ as written", ""]]
            for name, seconds, value in zip(made, times, values, strict=True):
                wrong = name != "constants" and abs(value - values[0]) > 1e-12 * abs(values[0])
                failed |= wrong
                rows.append([f"  {name}", microseconds(seconds), ratio(seconds, times[0]), "DIFFERS" if wrong else ""])
            print(plain(rows))
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
