"""Declarations of arguments: `args={"x": "n", "A": "n K", "k": "int", "w": "float32 n+1"}`.

It takes what a user gives as `args` (a mapping, a sequence of names, or one text of names) and gives
for each name a dtype and a shape of dimensions. A dimension is a number, a name, or a sum, product or
whole quotient of such, without spaces. Nothing is known here of formulas or of graphs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gradc.ir.dims import Dim
from gradc.ir.errors import FormulaError

from .syntax import another_name, check_name, nearest, shown

MAX_DECLARATION = 300
MAX_DEGREE = 4
DTYPES = {"float": "float64", "float64": "float64", "float32": "float32", "int": "int64", "int64": "int64",
          "bool": "bool", "real": "float64", "scalar": "float64"}
OTHER_DTYPES = {"int8", "int16", "int32", "uint8", "uint16", "uint32", "uint64", "float16", "longdouble",
                "complex", "complex64", "complex128", "object", "str", "double", "single", "half", "long",
                "float8", "float128", "float256", "complex256", "int128", "string", "bytes"}
_ADVICE = 'Write for example args={"x": "n", "A": "n K", "k": "int", "t": ""}.'


class Declaration(NamedTuple):
    """One argument: dtype, shape, and whether the user declared it or only listed its name."""

    dtype: str
    shape: tuple[Dim, ...]
    declared: bool

    @property
    def is_integer(self) -> bool:
        """Whether it is a single whole number, which also counts as a dimension of its name."""
        return self.dtype == "int64" and not self.shape


Arguments = Mapping[str, str] | Sequence[str] | str | None


def declarations(args: Arguments) -> dict[str, Declaration]:
    """What `args` says of each name, in its order.

    Raises FormulaError for a bad name or a declaration that cannot be read.

    >>> [(name, d.dtype, [str(n) for n in d.shape]) for name, d in declarations({"A": "int n+1 3"}).items()]
    [('A', 'int64', ['n + 1', '3'])]
    >>> list(declarations("x, y"))
    ['x', 'y']
    """
    if args is None:
        return {}
    found: dict[str, Declaration] = {}
    if isinstance(args, Mapping):
        for name, text in args.items():
            _check_argument(name)
            found[name] = declaration(name, text)
        return found
    if isinstance(args, str) and ":" in args:
        return declarations(split(args))
    if isinstance(args, str):
        args = [name for name in re.split(r"[,\s]+", args.strip()) if name]
    if not isinstance(args, Sequence):
        raise FormulaError(f"args is of type {type(args).__name__}, not a mapping or a sequence of names\n"
                           f"{_ADVICE}")
    for name in args:
        _check_argument(name)
        if name in found:
            raise FormulaError(f"the argument {name} is listed twice in args\nLeave out one of them.")
        found[name] = Declaration("float64", (), False)
    return found


def split(text: str) -> dict[str, str]:
    """Declarations in one text, as the command line takes them.

    >>> split("x: n; k: int")
    {'x': 'n', 'k': 'int'}
    """
    found: dict[str, str] = {}
    for part in text.split(";"):
        name, colon, wanted = (piece.strip() for piece in part.partition(":"))
        if not part.strip():
            continue
        if not colon or not name:
            raise FormulaError(f"args: {part.strip()!r} is no declaration\nWrite for example x: n; A: n K; k: int.")
        if ":" in wanted:
            raise FormulaError(f"args: {part.strip()!r} holds two declarations\nSeparate them by a semicolon.")
        if name in found:
            raise FormulaError(f"args declares {name} twice\nLeave out one of them.")
        found[name] = wanted
    return found


def _check_argument(name: object) -> None:
    wrong = check_name(name)
    if wrong:
        raise FormulaError(f"the argument {shown(str(name))} {wrong}\n{another_name(name)}")


def declaration(name: str, text: object) -> Declaration:
    """The dtype and the shape that one declaration gives."""
    if not isinstance(text, str):
        raise FormulaError(f"args[{name!r}] is of type {type(text).__name__}, not a text\n{_ADVICE}")
    if len(text) > MAX_DECLARATION:
        raise FormulaError(f"args[{name!r}] has {len(text)} characters; the limit is {MAX_DECLARATION}\n"
                           f"{_ADVICE}")
    words = [word for word in re.split(r"[,\s]+", text.strip()) if word]
    dtype = "float64"
    if words and words[0] in DTYPES:
        dtype = DTYPES[words.pop(0)]
    elif words and words[0] in OTHER_DTYPES:
        close = nearest(words[0], DTYPES)
        raise FormulaError(f"args[{name!r}]: there is no dtype {words[0]} here\n"
                           f"Write {' or '.join(close) or 'float, float32, int or bool'} instead.")
    return Declaration(dtype, tuple(dimension(name, word) for word in words), True)


def dimension(name: str, text: str) -> Dim:
    """One dimension, `text`, in the declaration of the argument `name`."""
    dim = _Reader(name, text).read()
    if dim.constant is not None and dim.constant < 0:
        raise FormulaError(f"args[{name!r}]: the dimension {shown(text)} is negative\n"
                           "Write a size of at least 0.")
    return dim


_TOKEN = re.compile(r"\d+|[A-Za-z_]\w*|//|[-+*()]", re.ASCII)
_RANK = {"(": 0, "+": 1, "-": 1, "*": 2, "//": 2}


class _Reader:
    """Reads + - * // and brackets over numbers and names; a stack of operators, no recursion."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text = name, text
        self.values: list[Dim] = []
        self.waiting: list[str] = []

    def read(self) -> Dim:
        """The dimension that the whole text gives."""
        at, value_next = 0, True
        while at < len(self.text):
            match = _TOKEN.match(self.text, at)
            if match is None:
                raise self._wrong()
            token, at = match[0], match.end()
            if token == "(" and value_next:
                self.waiting.append(token)
            elif token == ")" and not value_next:
                self._reduce(0)
                if not self.waiting:
                    raise self._wrong()
                self.waiting.pop()
            elif (token[0].isalnum() or token[0] == "_") and value_next:
                self.values.append(self._atom(token))
                value_next = False
            elif token in _RANK and token != "(" and not value_next:
                self._reduce(_RANK[token])
                self.waiting.append(token)
                value_next = True
            else:
                raise self._wrong()
        if value_next:
            raise self._wrong()
        self._reduce(1)
        if self.waiting:
            raise self._wrong()
        return self.values[0]

    def _atom(self, token: str) -> Dim:
        if token.isdigit():
            if len(token) > 18:
                raise self._wrong()
            return Dim.of(int(token))
        wrong = check_name(token) or ("is a dtype, which stands first" if token in DTYPES else "")
        if wrong:
            raise FormulaError(f"args[{self.name!r}]: the dimension {shown(token)} {wrong}\n{_ADVICE}")
        return Dim.of(token)

    def _reduce(self, rank: int) -> None:
        while self.waiting and _RANK[self.waiting[-1]] >= max(rank, 1):
            operator, right, left = self.waiting.pop(), self.values.pop(), self.values.pop()
            if operator == "//" and right.constant == 0:
                raise FormulaError(f"args[{self.name!r}]: {shown(self.text)} divides by zero\n{_ADVICE}")
            value = left + right if operator == "+" else left - right if operator == "-" else \
                left * right if operator == "*" else left // right
            if any(len(monomial) > MAX_DEGREE for monomial, _ in value.terms):
                raise self._wrong()
            self.values.append(value)

    def _wrong(self) -> FormulaError:
        return FormulaError(f"args[{self.name!r}]: {shown(self.text)} is not a dimension\n"
                            "A dimension is a number, a name, or an expression with + - * // and no spaces, "
                            f"such as n+1. {_ADVICE}")
