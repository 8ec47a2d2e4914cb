"""The command `python -m tests.benchmarks`: reads the options, pins the environment, measures, prints.

Libraries read thread counts and cache folders when they are imported, so nothing here imports one at the top.
"""

import argparse
import os
import tempfile
from pathlib import Path

from .environment import SINGLE_THREAD, cache_folders, one_core
from .results import Results

DOCS = Path(__file__).parents[2] / "docs"


def options() -> argparse.Namespace:
    """What the user asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--problem", action="append", help="only problems whose name contains this (repeatable)")
    parser.add_argument("--size", action="append", help="only sizes whose label has these words (repeatable)")
    parser.add_argument("--tool", action="append", help="only tools whose name contains this (repeatable)")
    parser.add_argument("--rounds", type=int, default=15, help="interleaved rounds; the minimum counts")
    parser.add_argument("--compile-times", action="store_true", help="measure the times to the first gradient too")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--chart", type=Path, help="draw the ratios to this PNG file")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.json, .txt and .png")
    parser.add_argument("--again", action="store_true", help="measure nothing: make the tables and the chart of --json")
    parser.add_argument("--quick", action="store_true", help="only compare gradc with the baseline of this processor")
    return parser.parse_args()


def main() -> int:
    """Measures what the options select, prints the tables, and returns 1 if gradc failed or disagreed."""
    chosen = options()
    one_core()
    os.environ.update(SINGLE_THREAD)
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(cache_folders(folder))
        if chosen.quick:
            from .guard import guard

            return guard(chosen.write)
        if chosen.again:
            results, failed = Results.read(chosen.json or DOCS / "benchmarks.json"), False
        else:
            from .run import run

            this = run(chosen.problem, chosen.size, chosen.tool, chosen.rounds, compile_times=chosen.compile_times)
            results, failed = this.results, this.failed
        show(results, chosen)
    return int(failed)


def show(results: Results, chosen: argparse.Namespace) -> None:
    """Prints the tables and writes the files that are asked for."""
    from .table import text

    page = text(results, "by hand (Numba)")
    print(page)
    if chosen.json or chosen.write:
        results.write(chosen.json or DOCS / "benchmarks.json")
    if chosen.write:
        (DOCS / "benchmarks.txt").write_text(page, "utf-8")
    if chosen.chart or chosen.write:
        from .chart import draw

        draw(results, chosen.chart or DOCS / "benchmarks.png")


if __name__ == "__main__":
    raise SystemExit(main())
