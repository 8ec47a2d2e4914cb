"""The command line: `gradc FORMULA --at x=1,y=2` and its options.

Takes the arguments of a command, prints to standard output, and returns the exit status: 0, or 2 with one
message on standard error when the input is bad. Tables are rich in a terminal and plain text elsewhere.
Everything it does is the public API; it only reads numbers and files, and prints.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from gradc.ir.errors import DerivativeError, GradcError
from gradc.ir.graph import Node

from .arguments import bind, convert
from .compiled import Options
from .function import Function
from .symbols import number

LARGE = 20_000                  # elements from which on compiling pays for one evaluation
TAKE_VALUES = ("--at", "--wrt", "--args", "--source", "--save", "--svg")
EXAMPLES = """\
examples:
  gradc "(x + y) * z" --at x=-2,y=5,z=-4
  gradc "q = x + y; f = q * z" --explain
  gradc "sum(x[i]**2 for i in range(n))" --args "x: n" --at "x=[1, 2, 3]"
  gradc "sum((A @ x - b)**2)" --args "A: m n; x: n; b: m" --wrt x --source grad
  gradc "sum(exp(-x[i]**2) for i in range(n))" --args "x: n" --report
  gradc "exp(-x**2)" --save gaussian.py --svg gaussian.svg

values of --at: numbers, lists such as [1, 2, 3], or files: x=@data.npy, x=@data.csv, x=@data.json
"""


class UsageError(GradcError, ValueError):
    """A command that cannot be understood."""


class _Parser(argparse.ArgumentParser):
    """argparse, with errors as exceptions."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\nSee gradc --help.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    >>> main(["(x + y) * z", "--at", "x=-2,y=5,z=-4"])
    value       -12
    gradient x  -4
    gradient y  -4
    gradient z  3
    0
    """
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")       # a name that the terminal cannot show
    try:
        _run(_parser().parse_args(_with_formula_last(list(sys.argv[1:] if argv is None else argv))))
        sys.stdout.flush()
    except SystemExit as stop:                                  # --help and --version
        return int(stop.code or 0)
    except GradcError as error:
        sys.stderr.write(f"gradc: error: {error}" + "\n")
        return 2
    except OSError as error:
        if isinstance(error, BrokenPipeError):                  # the reader has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        sys.stderr.write(f"gradc: error: {error.filename or 'a file'}: {error.strerror or error}" + "\n")
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="gradc", description="The value and the gradient of a formula, and the source of both.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("formula", metavar="FORMULA",
                        help="a formula in Python's syntax; - reads it from standard input")
    parser.add_argument("--at", action="append", default=[], metavar="x=1,y=2", help="where to evaluate")
    parser.add_argument("--wrt", metavar="x,y", help="what to differentiate by (default: all real arguments)")
    parser.add_argument("--args", metavar='"x: n; A: n K"', help="order, shapes and types of the arguments")
    parser.add_argument("--source", choices=("forward", "grad", "both"), help="print the generated source")
    parser.add_argument("--save", metavar="FILE", help="write a standalone Python file")
    parser.add_argument("--svg", metavar="FILE", help="draw the circuit diagram (.svg, or .dot, .mmd)")
    parser.add_argument("--explain", action="store_true", help="print the table of every node")
    parser.add_argument("--report", action="store_true",
                        help="compile, and print operations, loops, memory, time of compilation")
    parser.add_argument("--version", action="version", version=f"gradc {version('gradc')}")
    return parser


def _with_formula_last(argv: list[str]) -> list[str]:
    """A formula that begins with a minus sign is no option: it goes behind --."""
    if "--" in argv:
        return argv
    for position, word in enumerate(argv):
        is_value = position > 0 and argv[position - 1] in TAKE_VALUES
        if len(word) > 1 and word[0] == "-" and word[1] != "-" and word != "-h" and not is_value:
            return [*argv[:position], *argv[position + 1:], "--", word]
    return argv


def _run(options: argparse.Namespace) -> None:
    from . import api
    from .report import report

    formula = sys.stdin.read().strip() if options.formula == "-" else options.formula
    function = api.compile(formula, options.args, options.wrt, jit=False)
    values = _values(function, options.at)
    if values:
        _print_values(function, values)
    if options.explain:
        if values:
            _say("")
        _print_rich(function.explain(*values))
    if options.report:
        if values or options.explain:
            _say("")
        _print_rich(report(api.compile(formula, options.args, options.wrt), *values))
    if options.source or not (values or options.explain or options.report or options.save or options.svg):
        _print_sources(function, options.source or "both")
    for option, name in (("--save", options.save), ("--svg", options.svg)):
        if name == "":
            raise UsageError(f"{option} names no file\nWrite for example {option} FILE.")
    if options.save:
        function.save(options.save)
        _say(f"wrote {options.save}")
    if options.svg:
        function.draw(*values).save(options.svg)
        _say(f"wrote {options.svg}")


def _values(function: Function, texts: Sequence[str]) -> list[Any]:
    """The arguments that `--at` gives, checked, in the function's order; none if there is no `--at`."""
    if not texts:
        return []
    inputs = function.graph.inputs
    given = {name: value(text, name, inputs.get(name)) for name, text in assignments(texts).items()}
    for name, found in given.items():
        node = inputs.get(name)
        kind = "whole number" if node is not None and node.dtype == "int64" else "truth value"
        if node is not None and node.dtype in ("int64", "bool") and not node.shape and (
                type(found) is not {"int64": int, "bool": bool}[node.dtype]):
            raise UsageError(f"--at: {name}={_cut(str(found))} is no {kind}\n"
                             f"Write for example --at {name}={'2' if kind == 'whole number' else 'True'}.")
        if isinstance(found, (float, list, np.ndarray)) and not _all_finite(found):
            raise UsageError(f"--at: {name} holds a value that is not finite\nGive numbers up to 1.8e308.")
    return convert(function.graph, bind(function.args, (), given))


# -- reading --------------------------------------------------------------------------------------


def assignments(texts: Sequence[str]) -> dict[str, str]:
    """Names and texts of `--at x=1,y=[2, 3]`, split at the commas outside brackets.

    >>> assignments(["x=1,y=[2, 3]"])
    {'x': '1', 'y': '[2, 3]'}
    """
    found: dict[str, str] = {}
    for part in (part for text in texts for part in _split(text)):
        name, equals, value = part.partition("=")
        name, value = name.strip(), value.strip()
        if not equals or not name or not value:
            raise UsageError(f"--at: {_cut(part.strip())!r} gives no argument a value\n"
                             "Write for example --at x=1,y=2.")
        if name in found:
            raise UsageError(f"--at gives {name} twice\nLeave out one of them.")
        found[name] = value
    return found


def _split(text: str) -> Iterator[str]:
    depth, start = 0, 0
    for position, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth == 0:
            yield text[start:position]
            start = position + 1
    if text[start:].strip() or start == 0:
        yield text[start:]


def _all_finite(found: Any) -> bool:
    try:
        return bool(np.all(np.isfinite(np.asarray(found, dtype=np.float64))))
    except (TypeError, ValueError):
        return True                                             # what it is, the check of arguments says


def value(text: str, name: str, node: Node | None) -> Any:
    """The value that a text of `--at` means: a number, True or False, a list, or the contents of a file."""
    if text.startswith("@"):
        return _from_file(Path(text[1:]), name, node)
    if text.startswith("["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"--at: {name}={_cut(text)} is no list of numbers ({error})\n"
                             f'Write for example --at "{name}=[1, 2, 3]".') from None
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    raise UsageError(f"--at: {name}={_cut(text)} is no number\n"
                     f"Write a number, a list such as [1, 2], or a file such as {name}=@data.npy.")


def _from_file(path: Path, name: str, node: Node | None) -> Any:
    """An array from a .npy, .csv or .json file."""
    readers = {".npy": _from_npy, ".csv": _from_csv, ".json": _from_json}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"--at: {name}=@{path} is of no kind that is read\nGive a .npy, .csv or .json file.")
    try:
        return reader(path, node)
    except (ValueError, EOFError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"--at: {name}=@{path} cannot be read as {path.suffix.lower()} ({reason})\n"
                         "Give a file that holds numbers and nothing else.") from None


def _from_npy(path: Path, _: Node | None) -> Any:
    found = np.load(path, allow_pickle=False)
    if not isinstance(found, np.ndarray):
        found.close()
        raise ValueError("it is an archive, not one array")
    return found


def _from_json(path: Path, _: Node | None) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _from_csv(path: Path, node: Node | None) -> Any:
    """Rows of numbers; one row or column is a vector where one is wanted.

    A first line without a single number is one of headings; a line with some of both is refused.
    """
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    rows = [line for line in lines if line.strip()]
    if rows and all(cell.strip() and not _starts_number(cell) for cell in rows[0].split(",")):
        rows = rows[1:]
    if not rows:
        raise ValueError("it holds no numbers")
    table = np.loadtxt(rows, delimiter=",", ndmin=2)
    rank = len(node.shape) if node is not None else 2
    if node is not None and node.dtype == "int64" and np.all(table == np.rint(table)):
        table = table.astype(np.int64)
    if rank == 0 and table.size == 1:
        return table.ravel()[0]
    return table.ravel() if rank == 1 and 1 in table.shape else table


def _starts_number(cell: str) -> bool:
    """Whether a cell is a number or a slip of one (1.0.0, O1): headings have a letter first and no digit."""
    text = cell.strip().strip("'\"")
    return not text[:1].isalpha() or text.lower() in ("nan", "inf", "infinity") or (
        len(text) <= 3 and any(c.isdigit() for c in text) and text[0] in "OoIl")


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


# -- printing -------------------------------------------------------------------------------------


def _print_values(function: Function, values: Sequence[Any]) -> None:
    """The value and the gradient."""
    rows, note = _results(function, values)
    if _terminal():
        from rich.table import Table
        from rich.text import Text

        table = Table(show_header=False)
        for name, text in rows:
            table.add_row(Text(name), Text(text, style="green" if name.startswith("value") else "red"))
        _print_rich(table)
    else:
        width = max(len(name) for name, _ in rows)
        for name, text in rows:
            _say(f"{name.ljust(width)}  {text.replace(chr(10), chr(10) + ' ' * (width + 2))}")
    if note:
        _say(note)


def _results(function: Function, values: Sequence[Any]) -> tuple[list[tuple[str, str]], str]:
    """Rows of the table: the outputs, then the gradient by each argument; and why there is none."""
    result = _call(function, values)
    keys = [key for key, _ in function.graph.outputs]
    parts = result if len(keys) > 1 else (result,)
    rows = [("value" if len(keys) == 1 else f"value {key}", _shown(part))
            for key, part in zip(keys, parts, strict=True)]
    try:
        gradient = function.grad
    except DerivativeError as error:
        return rows, f"no gradient: {error}"
    found = _call(gradient, values)
    each = found if len(function.wrt) > 1 else (found,)
    rows += [(f"gradient {name}", _shown(part)) for name, part in zip(function.wrt, each, strict=True)]
    return rows, ""


def _call(function: Function, values: Sequence[Any]) -> Any:
    """One evaluation: plain Python, unless the arrays are so large that compiling pays."""
    if sum(np.size(value) for value in values) <= LARGE:
        try:
            return function(*values)
        except ArithmeticError:                                 # Python refuses 1 / 0, compiled code does not
            pass
    primal = function if function.primal is None else function.primal
    compiled = Function(primal.graph, primal.wrt, Options())
    return (compiled if function is primal else compiled.grad)(*values)


def _shown(value: Any) -> str:
    """A number in the shortest text that gives it back; an array likewise."""
    array = np.asarray(value)
    if array.ndim == 0:
        return number(array.item())
    return np.array2string(array, separator=", ", threshold=200, max_line_width=100,
                           formatter={"float_kind": lambda v: number(float(v))})


def _print_sources(function: Function, which: str) -> None:
    texts = [function.source] if which in ("forward", "both") else []
    if which in ("grad", "both"):
        try:
            texts.append(function.grad.source)
        except DerivativeError as error:
            if which == "grad":
                raise
            texts.append(f"# no gradient: {error}\n")
    text = "\n\n".join(text.rstrip() + "\n" for text in texts)
    if _terminal():
        from rich.syntax import Syntax

        _print_rich(Syntax(text, "python", background_color="default"))
    else:
        sys.stdout.write(text)


def _say(text: object) -> None:
    sys.stdout.write(f"{text}\n")


def _terminal() -> bool:
    return sys.stdout.isatty()


def _print_rich(shown: Any) -> None:
    if _terminal():
        from rich.console import Console

        Console().print(shown)
    else:
        _say(shown)
