"""The same function written otherwise: `python -m tests.benchmarks.variants` prints what that does to gradc's time.

The Gaussian mixture with renamed variables, with the terms of its sums permuted, with arrays stored the other way
round, and with other constants must cost the same: a compiler that knows one spelling knows a benchmark, not a problem.
So must smaller functions with signs turned, triangles from the other side, and scales inside or outside of squares; a
name behind the command runs those of one group. The value must agree with that of the original except where the
constants changed.
"""

import os
import re
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from .environment import SINGLE_THREAD, cache_folders, one_core

Spelling = str | Callable[..., Any]
Variant = tuple[Spelling, dict[str, str], tuple[Any, ...]]
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
    softmax = replaced(formula, ("exp(\n    alpha[j] + sum", "exp(alpha[j]) * exp(\n    sum"))
    logsumexp = replaced(
        formula, ("log(sum(exp(\n    alpha", "logsumexp(\n    alpha"), ("/ 2) for j in range(k)))", "/ 2 for j in range(k))")
    )
    points = replaced(formula, ("x[i,r]", "x[r,i]"), ("x[i,c]", "x[c,i]"))
    turned_points = (*given[:3], given[3].T.copy(), *given[4:])
    guarded = replaced(formula, ("for c in range(r)", "for c in range(d) if c < r"))
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
        "points (d, n)": lambda: (points, {**args, "x": "d n"}, turned_points),
        "weights outside": lambda: (softmax, args, given),
        "logsumexp": lambda: (logsumexp, args, given),
        "c < r": lambda: (guarded, args, given),
        "constants": lambda: (constants, args, given),
    }  # fmt: skip


# -- smaller functions ----------------------------------------------------------------------------

PAIRS = "-sum(m[i]*m[j] / sqrt(sum((x[i,k] - x[j,k])**2 for k in range(3)) + 0.01) for i in range(n) for j in range(i))"
DENSITY = """
sum(log(sum(exp(-sum((x[i,k] - c[j,k])**2 for k in range(d)) / (2*h**2)) for j in range(n))) for i in range(m))
""".strip()
VALLEY = "sum(100*(x[i+1] - x[i]**2)**2 + (1 - x[i])**2 for i in range(n - 1))"


def density_of_norms(x, c, h):
    """With the norms of differences."""
    distance = np.linalg.norm(x[:, None, :] - c, axis=2)
    return np.sum(np.log(np.sum(np.exp(-(distance**2) / (2 * h**2)), axis=1)))


def density_of_scaled(x, c, h):
    """With the scale inside the squares, and a largest exponent taken out by hand."""
    z = (x[:, None, :] - c) / h
    exponent = -0.5 * np.einsum("abc,abc->ab", z, z)
    top = np.max(exponent, axis=1)
    return np.sum(top + np.log(np.sum(np.exp(exponent - top[:, None]), axis=1)))


Group = tuple[dict[str, str], tuple[Any, ...], dict[str, Spelling]]


def groups() -> dict[str, Group]:
    """By name: arguments, inputs, and spellings by name, the first of which is the standard."""
    random = np.random.default_rng(0)
    scaled = replaced(DENSITY, ("(x[i,k] - c[j,k])**2", "((c[j,k] - x[i,k])/h)**2"), (" / (2*h**2)", "*0.5"))
    return {
        "N-body": (
            {"x": "n 3", "m": "n"},
            (random.standard_normal((300, 3)), random.random(300) + 0.5),
            {
                "as written": PAIRS,
                "upper triangle": PAIRS.replace("range(i)", "range(i + 1, n)"),
                "i < j": PAIRS.replace("range(i)", "range(n) if i < j"),
                "nested sums": PAIRS.replace("sum(m[i]*m[j]", "sum(m[i]*sum(m[j]").replace(
                    "for i in range(n) for j in range(i))", "for j in range(i)) for i in range(n))"
                ),
                "power": replaced(PAIRS, ("/ sqrt(sum", "* (sum"), ("0.01)", "0.01)**(-0.5)")),
            },
        ),
        "Rosenbrock": (
            {"x": "n"},
            (random.uniform(-2.0, 2.0, 10_000),),
            {
                "as written": VALLEY,
                "signs turned": "sum((x[k] - 1)**2 + (x[k]*x[k] - x[k+1])**2*100 for k in range(n - 1))",
                "from 1": "sum(100*(x[i] - x[i-1]**2)**2 + (1 - x[i-1])**2 for i in range(1, n))",
                "two sums": "100*sum((x[i+1] - x[i]**2)**2 for i in range(n-1)) + sum((1 - x[i])**2 for i in range(n-1))",
            },
        ),
        "kernel density": (
            {"x": "m d", "c": "n d", "h": ""},
            (random.standard_normal((300, 3)), random.standard_normal((500, 3)), 0.4),
            {"as written": DENSITY, "scaled": scaled, "norms": density_of_norms, "by hand": density_of_scaled},
        ),
    }


def compared(title: str, made: dict[str, Variant], wrt: list[str] | None = None) -> bool:
    """Prints the times of some variants; whether a value differs from the first."""
    import gradc

    from .case import Call
    from .table import microseconds, plain, ratio
    from .timing import minimum_times

    calls, values = [], []
    for text, args, given in made.values():
        f = gradc.compile(text, args, wrt=wrt or next(iter(args)))
        values.append(f.value_and_grad(*given)[0])
        calls.append(Call(f.value_and_grad, given))
    times = [time.seconds for time in minimum_times(calls, 15)]
    rows, failed = [[title, "µs", "/ as written", ""]], False
    for name, seconds, value in zip(made, times, values, strict=True):
        wrong = name != "constants" and abs(value - values[0]) > 1e-12 * abs(values[0])
        failed |= wrong
        rows.append([f"  {name}", microseconds(seconds), ratio(seconds, times[0]), "DIFFERS" if wrong else ""])
    print(plain(rows))
    return failed


def main() -> int:
    """Prints the tables; 1 if a value differs."""
    one_core()
    os.environ.update(SINGLE_THREAD)
    failed = False
    chosen = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(cache_folders(folder))
        from .cases import gmm

        for name, (args, given, spelled) in groups().items():
            if not chosen or name in chosen:
                failed |= compared(name, {key: (text, args, given) for key, text in spelled.items()})
        for size in SIZES if not chosen or "GMM" in chosen else ():
            case = gmm.case(size)
            made = variants(gmm.FORMULA.strip(), case.args, case.inputs)
            failed |= compared(f"GMM {size}", {name: make() for name, make in made.items()}, list(case.args)[:3])
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
