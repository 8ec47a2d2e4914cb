"""`python -m tests.accuracy` prints the accuracy table: the largest error of every function and derivative.

    python -m tests.accuracy                    everything, 4,000 points a function
    python -m tests.accuracy --points 500 tanh  one function or more, by name or by formula
    python -m tests.accuracy --markdown         the table of the README: what a formula can write

Functions are compiled; internal operations, which no formula names, are measured by their rules in NumPy.
Errors are in units in the last place; the second number of a pair is divided by max(1, condition number).
The exit status is 1 if a bound is exceeded.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gradc.ir.table import OPERATIONS

from .measure import Error, measure
from .points import points, points_in
from .programs import COMPOUNDS, measure_program, of_operation
from .truth import SERIES, VALUES

COMPOUND_BOUND = 1000.0  # in units in the last place, divided by nothing


class Row(NamedTuple):
    """One line of the table."""

    name: str
    domain: Sequence[tuple[float, float]]
    errors: list[Error]
    bounds: tuple[float, float] | None

    def exceeded(self) -> bool:
        """Whether a bound on a derivative does not hold."""
        if self.bounds is None:
            return max(error.raw for error in self.errors) > COMPOUND_BOUND
        return any(e.normalised > bound for e, bound in zip(self.errors[1:], self.bounds, strict=True))


def rows(names: Sequence[str], count: int, *, internal: bool, jit: bool) -> Iterator[Row]:
    """The lines of the table, operations first; `internal` tells whether internal operations are wanted."""
    for name, entry in OPERATIONS.items():
        program = of_operation(name)
        if names and name not in names and (program is None or program.formula not in names):
            continue
        if program is not None:
            found = measure_program(program, points(name, count), jit=jit)
            yield Row(program.formula, entry.domain, found, entry.ulps)
        elif (internal or names) and (name in SERIES or name in VALUES):
            yield Row(name, entry.domain, measure(name, points(name, count)), entry.ulps)
    for program in COMPOUNDS:
        if not names or program.formula in names:
            found = measure_program(program, points_in(program.domain, count), jit=jit)
            yield Row(program.formula, program.domain, found, None)


def shown_range(domain: Sequence[tuple[float, float]]) -> str:
    return ", ".join(f"{low:g}..{high:g}" for low, high in domain)


def shown_error(error: Error) -> str:
    raw, divided = (f"{v:.1f}" if v < 100 else f"{v:.1e}".replace("e+0", "e") for v in error[:2])
    return raw if raw == divided else f"{raw} ({divided})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 if a bound is exceeded."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.accuracy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", help="operations or formulas (default: all)")
    parser.add_argument("--points", type=int, default=4000, help="points a function (default 4000)")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table for the README")
    parser.add_argument("--plain", action="store_true", help="run the generated text as Python, not compiled")
    options = parser.parse_args(arguments)
    header = ("function", "range", "value", "first derivative", "second derivative")
    line = "| {} | {} | {} | {} | {} |" if options.markdown else "{:34} {:26} {:>18} {:>18} {:>18}"
    print(line.format(*header) + ("\n|" + "---|" * len(header) if options.markdown else ""))
    failed = compared = 0
    for row in rows(options.names, options.points, internal=not options.markdown, jit=not options.plain):
        compared += sum(error.count for error in row.errors)
        failed += row.exceeded()
        if options.markdown and all(error.raw <= 0.5 for error in row.errors):
            continue  # exact, or rounded once: nothing to tell
        cells = (row.name, shown_range(row.domain), *map(shown_error, row.errors))
        if options.markdown:
            print(line.format(f"`{cells[0]}`", *cells[1:]), flush=True)
        else:
            where = [error.where for error in row.errors[1:]]
            print(
                line.format(*cells) + (f"  exceeds its bound at {where}" if row.exceeded() else ""),
                flush=True,
            )
    if not options.markdown:
        print(f"{compared} comparisons, {failed} functions exceed their bound")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
