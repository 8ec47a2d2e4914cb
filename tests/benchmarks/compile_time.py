"""Compile times: the CPU time from a formula to the first gradient, in processes of their own.

A first process with empty caches gives the cold time, a second one with what the first left there the warm
time. Importing the libraries is not counted. The two processes run this module as a command:
`python -m tests.benchmarks.compile_time TOOL PROBLEM SIZE FORM`.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from .environment import cache_folders
from .tools import TOOLS, Tool

ROOT = Path(__file__).parents[2]


class CompileTime(NamedTuple):
    """Seconds; the warm one is None for a tool that keeps nothing between processes."""

    cold: float
    warm: float | None


def compile_time(tool: Tool, problem: str, size: str, form: str) -> CompileTime:
    """The cold and the warm time of a form of `tool` on a problem of that name at that size."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **cache_folders(folder)}

        def once() -> float:
            command = [sys.executable, "-m", __name__, tool.name, problem, size, form]
            run = subprocess.run(
                command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True
            )
            return float(run.stdout.split()[-1])

        return CompileTime(once(), once() if tool.caches else None)


def main() -> None:
    """What a measured process does."""
    from .cases import PROBLEMS

    tool, problem, size, form = sys.argv[1:]
    case = PROBLEMS[problem].make(size)
    build = TOOLS[tool].forms(case)[form]
    TOOLS[tool].missing()
    start = time.process_time()
    build().gradient()
    print(time.process_time() - start)


if __name__ == "__main__":
    main()
