"""Functions of whole arrays in formula strings: products, norms, shapes, matrices, sorting.

They are the tracer's functions of NumPy, called through a `Trace` over the formula's own graph: what they mean
stands in `numpy_functions`, `numpy_products`, `numpy_shapes` and `numpy_linalg`. Here is which of them a formula
can name, with how many operands and which options, and how options are read: literals only, for an axis, an order
or a subscript of einsum, and sizes for a shape. Nothing is evaluated; what is wrong gets a caret.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gradc.ir.errors import GradcError, UnsupportedError

from .arrays import Array
from .numpy_table import FUNCTIONS
from .syntax import shown
from .traced import Trace

if TYPE_CHECKING:
    from .formula import Step, Walker

MANY = -1                   # one operand that is a list of arrays
MAX_ORDER = 16              # of a power, a difference
MAX_RANK = 32


class Entry(NamedTuple):
    """A function: its name in the tracer's table, how many arrays it takes, what else it takes."""

    function: str
    arrays: int = 1
    options: tuple[str, ...] = ()
    least: int = 0          # options that must be there


ENTRIES = {
    "einsum": Entry("einsum"), "dot": Entry("dot", 2), "vdot": Entry("vdot", 2), "inner": Entry("inner", 2),
    "outer": Entry("outer", 2), "matmul": Entry("matmul", 2), "kron": Entry("kron", 2), "cross": Entry("cross", 2),
    "tensordot": Entry("tensordot", 2, ("axes",)), "norm": Entry("linalg.norm", 1, ("ord", "axis", "keepdims")),
    "trace": Entry("trace"), "diag": Entry("diag"), "diagonal": Entry("diagonal"), "tril": Entry("tril", 1, ("k",)),
    "triu": Entry("triu", 1, ("k",)), "transpose": Entry("transpose", 1, ("axes",)),
    "swapaxes": Entry("swapaxes", 1, ("axis1", "axis2"), 2),
    "moveaxis": Entry("moveaxis", 1, ("source", "destination"), 2), "flip": Entry("flip", 1, ("axis",)),
    "roll": Entry("roll", 1, ("shift", "axis"), 1), "squeeze": Entry("squeeze", 1, ("axis",)),
    "expand_dims": Entry("expand_dims", 1, ("axis",), 1), "ravel": Entry("ravel"),
    "reshape": Entry("reshape", 1, ("shape",), 1), "concatenate": Entry("concatenate", MANY, ("axis",)),
    "stack": Entry("stack", MANY, ("axis",)), "hstack": Entry("hstack", MANY), "vstack": Entry("vstack", MANY),
    "cumsum": Entry("cumsum", 1, ("axis",)), "cumprod": Entry("cumprod", 1, ("axis",)),
    "diff": Entry("diff", 1, ("n", "axis")), "var": Entry("var", 1, ("axis", "ddof", "keepdims")),
    "std": Entry("std", 1, ("axis", "ddof", "keepdims")), "ptp": Entry("ptp", 1, ("axis", "keepdims")),
    "median": Entry("median", 1, ("axis", "keepdims")), "sort": Entry("sort", 1, ("axis",)),
    "argsort": Entry("argsort", 1, ("axis",)), "softmax": Entry("softmax", 1, ("axis",)),
    "log_softmax": Entry("log_softmax", 1, ("axis",)), "solve": Entry("linalg.solve", 2),
    "inv": Entry("linalg.inv"), "det": Entry("linalg.det"), "logdet": Entry("linalg.slogdet"),
    "cholesky": Entry("linalg.cholesky"), "matrix_power": Entry("linalg.matrix_power", 1, ("n",), 1),
    "eigvalsh": Entry("linalg.eigvalsh"), "svdvals": Entry("linalg.svdvals"),
    "eye": Entry("eye", 0, ("shape",), 1), "zeros": Entry("zeros", 0, ("shape",), 1),
    "ones": Entry("ones", 0, ("shape",), 1), "arange": Entry("arange", 0, ("shape",), 1),
}
SIZED = frozenset(name for name, entry in ENTRIES.items() if not entry.arrays)   # their names are whole numbers


class FormulaTrace(Trace):
    """A formula's graph as the tracer's functions see it; a refusal points at a node of the tree."""

    def __init__(self, walker: Walker, node: ast.AST) -> None:
        self.walker, self.node = walker, node
        self.graph, self.arrays, self.bounds = walker.graph, walker.arrays, walker.bounds
        self.promotion = walker.promotion
        self.filename = self.needed_whole = ""

    def refused(self, message: str, advice: str, error: type[GradcError] = UnsupportedError) -> GradcError:
        """The error with a caret, in the words of a formula."""
        return self.walker.refused(self.node, _plain(message), _plain(advice), error=error)

    def or_static(self, value: Any, advice: str) -> str:
        """The advice alone: a formula has no static arguments."""
        del value
        return advice


def _plain(text: str) -> str:
    """A message of the tracer without the modules, which a formula does not name."""
    return re.sub(r"\b(?:np|scipy)\.(?:linalg\.|special\.)?(?=[a-z])", "", text)


def array_call(walker: Walker, node: ast.Call, name: str) -> Step:
    """One call of a function of arrays."""
    entry, trees = ENTRIES[name], list(node.args)
    trace = FormulaTrace(walker, node)
    before: list[Any] = []
    if name == "einsum":
        before.append(_subscripts(walker, node))
        trees, count = trees[1:], len(trees) - 1
        if not count:
            raise walker.refused(node, "einsum has no operands", "Write einsum('ij,j->i', A, x).")
    else:
        count = abs(entry.arrays)
    if not count <= len(trees) <= count + len(entry.options):
        raise walker.refused(node, f"{name} takes {_counted(entry)}, not {len(trees)} operands",
                             f"Write {_usage(name)}.")
    if entry.arrays == MANY:
        items = trees[0].elts if isinstance(trees[0], ast.List | ast.Tuple) else []
        if not items:
            raise walker.refused(trees[0], f"{name} takes several arrays in brackets", f"Write {_usage(name)}.")
        operands: list[Any] = [(yield from _values(trace, items))]
    else:
        operands = yield from _values(trace, trees[:count])
    options: dict[str, Any] = {}
    for option, tree in zip(entry.options, trees[count:], strict=False):
        options[option] = yield from _option(walker, trace, name, option, tree)
    for keyword in node.keywords:
        word = keyword.arg or "**"
        if word not in entry.options or word in options:
            known = f"{name} has {', '.join(entry.options)}." if entry.options else "Leave it out."
            raise walker.refused(keyword, f"{name} takes no keyword {shown(word)}" if word not in options else
                                 f"{shown(word)} of {name} is given twice", known)
        options[word] = yield from _option(walker, trace, name, word, keyword.value)
    if len(options) < entry.least:
        raise walker.refused(node, f"{name} needs {' and '.join(entry.options[:entry.least])}",
                             f"Write {_usage(name)}.")
    if name == "logdet":
        return _logdet(trace, FUNCTIONS[entry.function](trace, *operands))
    result = FUNCTIONS[entry.function](trace, *before, *operands, **_renamed(name, options))
    array: Array = result.array
    return array


def matmul(walker: Walker, node: ast.AST, left: Array, right: Array) -> Array:
    """a @ b of more than two dimensions: the product for each point of the leading ones."""
    trace = FormulaTrace(walker, node)
    array: Array = FUNCTIONS["matmul"](trace, trace.value(left), trace.value(right)).array
    return array


def _values(trace: Trace, trees: Sequence[ast.expr]) -> Generator[ast.expr, Array, list[Any]]:
    found = []
    for tree in trees:
        value = yield tree
        found.append(trace.value(value))
    return found


def _logdet(trace: Trace, parts: Any) -> Array:
    """log(det(A)) from the factors of A: NaN where the determinant is negative."""
    sign, size = parts
    array: Array = trace.apply("select", trace.apply("less", sign, 0.0), math.nan, size).array
    return array


def _counted(entry: Entry) -> str:
    arrays = {0: "a size", 1: "one array", 2: "two arrays", MANY: "several arrays in brackets"}[entry.arrays]
    return arrays + (f" and {', '.join(entry.options)}" if entry.options and entry.arrays else "")


def _usage(name: str) -> str:
    """A call as an example."""
    entry = ENTRIES[name]
    arrays = {0: [], 1: ["A"], 2: ["A", "B"], MANY: ["[a, b]"]}[entry.arrays]
    examples = {"axes": "(0, 1)", "shape": "n" if name in SIZED else "(n, m)", "n": "2", "shift": "1", "axis1": "0",
                "axis2": "1", "source": "0", "destination": "1", "axis": "axis=0"}
    return f"{name}({', '.join(arrays + [examples[option] for option in entry.options[:entry.least]])})"


def _renamed(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options under the names of the tracer's functions."""
    first = {"eye": "N", "arange": "start", "matrix_power": "n"}.get(name, "shape")
    return {first if key == "shape" else key: value for key, value in options.items()}


def _subscripts(walker: Walker, node: ast.Call) -> str:
    tree = node.args[0] if node.args else None
    if not isinstance(tree, ast.Constant) or not isinstance(tree.value, str):
        raise walker.refused(tree or node, "einsum begins with its subscripts in quotation marks",
                             "Write einsum('ij,j->i', A, x).")
    return tree.value


# -- options ------------------------------------------------------------------------------------------


def _option(walker: Walker, trace: Trace, name: str, option: str, tree: ast.expr) -> Generator[ast.expr, Array, Any]:
    """An option of a call: a shape may hold sizes, the others are literals."""
    if option == "shape":
        return (yield from _shape(trace, tree))
    if option == "keepdims":
        return flag(walker, tree)
    if option == "ord":
        return _order(walker, tree)
    if option == "axis" and isinstance(tree, ast.Constant) and tree.value is None:
        return None
    value = _whole(walker, tree, option, depth=2 if option == "axes" else 1)
    limit = MAX_ORDER if option == "n" else MAX_RANK if option not in ("shift", "k", "ddof") else 2**31
    if any(abs(number) > limit for number in _flat(value)):
        raise walker.refused(tree, f"{option} of {name} is beyond {limit}", "Write a smaller number.")
    return value


def _flat(value: Any) -> list[int]:
    return [number for part in value for number in _flat(part)] if isinstance(value, tuple) else [value]


def flag(walker: Walker, tree: ast.expr) -> bool:
    """True or False, written out."""
    if isinstance(tree, ast.Constant) and isinstance(tree.value, bool):
        return tree.value
    raise walker.refused(tree, "keepdims is True or False", "Write keepdims=True.")


def _order(walker: Walker, tree: ast.expr) -> float:
    """The order of a norm: a literal number, inf or -inf."""
    sign, inner = (-1, tree.operand) if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub) else (1, tree)
    if isinstance(inner, ast.Name) and inner.id == "inf":
        return sign * math.inf
    if isinstance(inner, ast.Constant) and isinstance(inner.value, int | float) and not isinstance(inner.value, bool):
        return sign * inner.value
    raise walker.refused(tree, "the order of a norm is a literal number or inf", "Write norm(x, 1) or norm(x, inf).")


def literal(tree: ast.expr) -> int | None:
    """A literal whole number, with its sign; None for anything else."""
    sign, inner = (-1, tree.operand) if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub) else (1, tree)
    value = inner.value if isinstance(inner, ast.Constant) else None
    return sign * value if isinstance(value, int) and not isinstance(value, bool) else None


def _whole(walker: Walker, tree: ast.expr, option: str, depth: int) -> Any:
    """A literal whole number, or a tuple of such."""
    if isinstance(tree, ast.Tuple | ast.List) and depth:
        return tuple(_whole(walker, element, option, depth - 1) for element in tree.elts)
    value = literal(tree)
    if value is None:
        raise walker.refused(tree, f"{option} is not a literal whole number", f"Write {option}=0, or another number.")
    return value


def _shape(trace: Trace, tree: ast.expr) -> Generator[ast.expr, Array, Any]:
    """A size or several: literals, dimensions, and what is computed of them."""
    if not isinstance(tree, ast.Tuple | ast.List):
        number = literal(tree)
        return number if number is not None else trace.value((yield tree))
    sizes = []
    for element in tree.elts:
        number = literal(element)
        sizes.append(number if number is not None else trace.value((yield element)))
    return tuple(sizes)
