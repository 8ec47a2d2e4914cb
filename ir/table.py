"""The operation table: what an entry is, and the look-up.

One entry is one operation. It carries the arity, the meaning in NumPy (the interpreter), in mpmath
(the judge of accuracy) and in generated code (the printer), the partial derivatives written in the
IR, the names in formulas and in SymPy, the domain on which it is tested, the values at the edges,
and where it has a kink. Front ends, the adjoint, the interpreter, the printer, the rule tests and
the reference page read this table and nothing else. The entries stand in `arithmetic`,
`elementary` and `special`; this module only defines what they look like.

A rule gives the partials alone; the product with the adjoint is the chain rule's (`adjoint.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .graph import Node

Interval = tuple[float, float]


class Guarded(NamedTuple):
    """A partial that counts only where `condition` holds; elsewhere the adjoint is a strong zero."""

    partial: Node
    condition: Node


Partial = "Node | Guarded | None"
Rule = Callable[..., Sequence["Node | Guarded | None"]]

ZERO: Rule = lambda o, y, *args: [None for _ in args]  # noqa: E731  (a rule reads best on one line)


@dataclass(frozen=True)
class Operation:
    """One pointwise operation.

    name        how the IR calls it
    arity       number of operands; None means two or more
    numpy       meaning: a name in NumPy, "special.name" for scipy.special, or a function (np, *operands)
    exact       meaning in arbitrary precision: a name in mpmath, or a function (mp, *operands)
    partials    rule (o, y, *operands) -> one partial an operand (None: zero by definition);
                `o` spells operations (`o.cos(x)`), y is the node itself. None: there is no rule
    spelling    generated text, `{0}` .. `{9}` for operands; variadic operations give the binary form
    precedence  of the spelling's outermost operator (ATOM for a call)
    imports     module that the spelled function is imported from, "" for none, "kernels" for one of
                the helper functions that are copied into the generated text
    is_function whether it is an elementary or special function, which takes the time of many additions, and not
                arithmetic, a root or an instruction or two; what is imported is one unless its entry says otherwise
    result      dtype rule: "real" (promoted operands), "float", "bool", "int", "float32", "float64"
    formula     names in formula strings (also the IR's name unless `internal`)
    sympy       names of SymPy classes with the same operands
    domain      one interval an operand from which tests draw; integer operands give int bounds
    edges       operands -> (value, partials) at special points, None where there is no statement
    kink        rule (o, y, *operands) -> the condition under which the operands stand on a kink
    integers    operands that are integers and are never differentiated
    ulps        bounds that the tests hold: the error of the first and of the second derivative on the domain
                in units in the last place, divided by max(1, condition number)
    note        what a reader of the reference page must know; the source of the formula
    """

    name: str
    arity: int | None
    numpy: str | Callable[..., Any]
    exact: str | Callable[..., Any]
    partials: Rule | None
    spelling: str
    precedence: int = 20
    imports: str = ""
    is_function: bool = False
    result: str = "float"
    formula: tuple[str, ...] = ()
    sympy: tuple[str, ...] = ()
    domain: tuple[Interval, ...] = ()
    edges: Mapping[tuple[float, ...], tuple[float | None, tuple[float | None, ...]]] | None = None
    kink: Callable[..., Node] | None = None
    integers: tuple[int, ...] = ()
    internal: bool = False
    ulps: tuple[float, float] = (4.0, 16.0)
    note: str = ""


@dataclass(frozen=True)
class Reduction:
    """One reduction over one axis.

    name       how the IR and formulas call it
    numpy      the NumPy function (array, axis=...) that the interpreter uses
    identity   the value over an empty axis; None: an empty axis is an error
    result     dtype rule: "real", "float", "bool", "int"
    note       the derivative, in words, for the reference page
    """

    name: str
    numpy: str
    identity: float | bool | None
    result: str
    note: str
    formula: tuple[str, ...] = ()


# Precedence of generated operators, Python's own order.
TERNARY, OR, AND, NOT, COMPARE, ADD, MULTIPLY, UNARY, POWER, ATOM = 1, 2, 3, 4, 5, 10, 11, 12, 13, 20

# The dtype of a result by its rule, where the operands do not decide it.
RESULTS = {"bool": "bool", "int": "int64", "float32": "float32", "float64": "float64"}

OPERATIONS: dict[str, Operation] = {}
REDUCTIONS: dict[str, Reduction] = {}


def entry(name: str, arity: int | None, **fields: Any) -> None:
    """Put one operation into the table; an unspelled function is called by its own name."""
    names = fields.pop("formula", () if fields.get("internal") else (name,))
    count = 2 if arity is None else arity
    call = f"{name}({', '.join(f'{{{i}}}' for i in range(count))})"
    fields.setdefault("numpy", name)
    fields.setdefault("exact", name)
    fields.setdefault("spelling", call)
    fields.setdefault("is_function", bool(fields.get("imports")))
    if name in OPERATIONS:
        raise ValueError(f"the operation {name} is in the table twice")
    OPERATIONS[name] = Operation(name, arity, formula=tuple(names), **fields)


def reduction(name: str, **fields: Any) -> None:
    """Put one reduction into the table."""
    REDUCTIONS[name] = Reduction(name, formula=(name,), **fields)


def operation(name: str) -> Operation:
    """The entry of an operation; a KeyError names what is missing."""
    return OPERATIONS[name]


def is_function(name: str) -> bool:
    """Whether a node's operation is an elementary or special function; a read or a reduction is none."""
    return name in OPERATIONS and OPERATIONS[name].is_function


def formula_names() -> dict[str, str]:
    """Every name that a formula may call, and the operation that it means."""
    return {name: op.name for op in OPERATIONS.values() for name in op.formula}


def sympy_names() -> dict[str, str]:
    """Every SymPy class name that maps to one operation with the same operands."""
    return {name: op.name for op in OPERATIONS.values() for name in op.sympy}


reduction("sum", numpy="sum", identity=0.0, result="real", note="every term gets the adjoint")
reduction("prod", numpy="prod", identity=1.0, result="real",
          note="by exclusive products from both sides, so right with zeros and without a division")
reduction("max", numpy="max", identity=None, result="real", note="shared equally among ties")
reduction("min", numpy="min", identity=None, result="real", note="shared equally among ties")
reduction("mean", numpy="mean", identity=None, result="float", note="sum divided by the dimension")
reduction("logsumexp", numpy="logsumexp", identity=None, result="float",
          note="softmax; the maximum is taken out first")
reduction("argmax", numpy="argmax", identity=None, result="int", note="an integer: no derivative")
reduction("argmin", numpy="argmin", identity=None, result="int", note="an integer: no derivative")
reduction("any", numpy="any", identity=False, result="bool", note="a truth value: no derivative")
reduction("all", numpy="all", identity=True, result="bool", note="a truth value: no derivative")
