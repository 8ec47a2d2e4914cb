"""What README.md shows: its blocks are run, and what they print is compared with what it says they print.

`python -m tests.readme` runs every Python block (all in one namespace, in order) and every `gradc` command,
and lists the places where README.md shows something else. `--write` puts there what was printed, draws the
pictures of docs/ again, and makes the speed table from docs/benchmarks.json; `--tables` measures the accuracy
table anew too (minutes). An output block is one under the line `<!-- output -->`; a table under
`<!-- table: NAME -->` is made here.
"""

import argparse
import contextlib
import io
import itertools
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .benchmarks.results import Results
from .benchmarks.table import markdown, ratio_rows

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BENCHMARKS = ROOT / "docs" / "benchmarks.json"
OUTPUT = "<!-- output -->"
PICTURES = ("docs/circuit.svg",)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, the line where the text begins, and whether it is an output."""

    language: str
    text: str
    line: int
    is_output: bool


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found, lines, start = [], page.splitlines(), -1
    for at, line in enumerate(lines):
        if line.startswith("```") and start < 0:
            start = at
        elif line == "```":
            text = "".join(f"{inner}\n" for inner in lines[start + 1 : at])
            marked = start > 0 and lines[start - 1] == OUTPUT
            found.append(Block(lines[start][3:], text, start + 2, marked))
            start = -1
    return found


def tables(page: str) -> list[list[list[str]]]:
    """The tables of a page, each a list of rows without the rule under the head, each row a list of cells."""
    found: list[list[list[str]]] = []
    inside = False
    for line in page.splitlines():
        if line.startswith("|"):
            if not inside:
                found.append([])
            if not re.fullmatch(r"(\|\s*:?-+:?\s*)+\|", line):
                found[-1].append([cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        inside = line.startswith("|")
    return found


def gradc_commands(text: str) -> list[list[str]]:
    """The arguments of every `gradc` command of a shell block."""
    commands = [shlex.split(part) for line in text.splitlines() for part in line.split(" && ")]
    return [words[1:] for words in commands if words[:1] == ["gradc"]]


def printed(page: str) -> Iterator[tuple[Block, str]]:
    """Runs the blocks in the working directory; gives each output block with what was really printed.

    A block without an output block under it must print nothing.
    """
    from gradc.compiler.cli import main

    names: dict[str, object] = {"__name__": "readme"}
    pending = ""
    for block in blocks(page):
        if block.is_output:
            yield block, pending
            pending = ""
            continue
        if pending:
            raise AssertionError(f"README.md shows nothing of what is printed above line {block.line}: {pending}")
        stdout = io.StringIO()
        with contextlib.redirect_stdout(stdout):
            if block.language == "python":
                exec(compile("\n" * (block.line - 1) + block.text, str(README), "exec"), names)
            for command in gradc_commands(block.text) if block.language == "sh" else ():
                if main(command) != 0:
                    raise AssertionError(f"a command of README.md fails: gradc {shlex.join(command)}")
        pending = "".join(f"{line.rstrip()}\n" for line in stdout.getvalue().rstrip().splitlines())


NUMBER = re.compile(r"([-+]?\d+\.\d*(?:e[-+]?\d+)?)")


def agree(first: str, second: str) -> bool:
    """Whether two outputs are the same but for the last digits of numbers, which depend on the processor."""
    a, b = NUMBER.split(first), NUMBER.split(second)
    return a[::2] == b[::2] and all(
        math.isclose(float(x), float(y), rel_tol=1e-7) for x, y in zip(a[1::2], b[1::2], strict=True)
    )


def speed_table() -> str:
    """The benchmark's ratios, as a Markdown table: a row a case, a column a tool."""
    return markdown(ratio_rows(Results.read(BENCHMARKS)))


def machine_table() -> str:
    """On which machine and with which versions the benchmark ran."""
    results = Results.read(BENCHMARKS)
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    return markdown([*map(list, results.machine.items()), ["versions", versions]])


def accuracy_table() -> str:
    """What `python -m tests.accuracy --markdown` prints."""
    command = [sys.executable, "-m", "tests.accuracy", "--markdown"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def with_table(page: str, name: str, table: str) -> str:
    """The page with the table of that name replaced."""
    mark = f"<!-- table: {name} -->\n"
    before, after = page.split(mark)
    rest = after.splitlines(keepends=True)
    while rest and rest[0].startswith("|"):
        del rest[0]
    return f"{before}{mark}{table}{''.join(rest)}"


def table_of(page: str, name: str) -> str:
    """The table of that name, as it stands on the page."""
    rest = page.split(f"<!-- table: {name} -->\n")[1].splitlines(keepends=True)
    return "".join(itertools.takewhile(lambda line: line.startswith("|"), rest))


def run() -> int:
    """The command; returns 1 if README.md showed something else than what is printed, and was not written."""
    parser = argparse.ArgumentParser(prog="python -m tests.readme", description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put what is printed into README.md and docs/")
    parser.add_argument("--tables", action="store_true", help="measure the accuracy table anew")
    options = parser.parse_args()
    page = README.read_text("utf-8")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.mkdir("docs")
        results = list(printed(page))
        for picture in PICTURES if options.write else ():
            shutil.copy(picture, ROOT / picture)
    lines = page.splitlines(keepends=True)
    for block, text in reversed(results):
        if not agree(text, block.text):
            print(f"README.md, line {block.line}: what is printed now is\n{text}")
            lines[block.line - 1 : block.line - 1 + block.text.count("\n")] = [text]
    new = with_table("".join(lines), "speed", speed_table())
    new = with_table(new, "machine", machine_table())
    if options.tables:
        new = with_table(new, "accuracy", accuracy_table())
    if options.write:
        README.write_text(new, "utf-8")
    return 1 if new != page and not options.write else 0


if __name__ == "__main__":
    raise SystemExit(run())
