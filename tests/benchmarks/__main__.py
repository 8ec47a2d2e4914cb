"""The command `python -m tests.benchmarks`: reads the options, pins the environment, measures, prints.

Libraries read thread counts and cache folders when they are imported, so nothing here imports one at the top.
"""

import argparse
import os
import tempfile

from .environment import SINGLE_THREAD, cache_folders, one_core


def main() -> int:
    """Measures what the options select, prints the table, and returns 1 if a result of gradc disagreed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--case", action="append", help="only cases whose name contains this (repeatable)")
    parser.add_argument("--tool", action="append", help="only tools whose name contains this (repeatable)")
    parser.add_argument("--rounds", type=int, default=25, help="interleaved rounds; the minimum counts")
    parser.add_argument("--no-compile", action="store_true", help="leave out the compile times")
    options = parser.parse_args()

    one_core()
    os.environ.update(SINGLE_THREAD)
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(cache_folders(folder))
        from .run import run

        return run(options.case, options.tool, options.rounds, compile_times=not options.no_compile)


if __name__ == "__main__":
    raise SystemExit(main())
