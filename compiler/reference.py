"""The reference: two pages of Markdown, the operations from the table, the derivatives from docstrings.

`python -m gradc.compiler.reference > docs/operations.md` writes the first, and with the word `derivatives` the
second; a test holds both to what they are made from. A row of the first gives the names in formulas and in SymPy, the
local partials as the rules write them, the values at the edges, and the table's own note (the kinks among them).
Nothing is said here that the table and the docstrings do not say; their examples are run as doctests.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from gradc.codegen.expression import Text, bracket, number, operation
from gradc.ir.graph import Graph, Node
from gradc.ir.table import ATOM, OPERATIONS, REDUCTIONS, ZERO, Guarded, Operation

OPERANDS = ("x", "y", "z")
HEADING = ("| operation | in formulas | in SymPy | partials | at special points | note |", "|---|---|---|---|---|---|")
INTRODUCTION = """\
# Operations

Made from the operation table by `python -m gradc.compiler.reference`.

A partial marked *if* counts only under its condition; elsewhere the adjoint is a strong zero, which no infinite
partial turns into a NaN. `f` stands for the operation's own value. Second derivatives follow from these rules by the
same rules."""
INNER = "The rules and the stable rewrites use these; every derivative of theirs keeps its digits."


def page() -> str:
    """The whole page.

    >>> page().splitlines()[0]
    '# Operations'
    """
    lines = [*INTRODUCTION.splitlines(), "", "## Pointwise", "", *HEADING]
    lines += [_row(entry) for entry in OPERATIONS.values() if not entry.internal]
    lines += ["", "## Inner operations", "", INNER, "", *HEADING]
    lines += [_row(entry) for entry in OPERATIONS.values() if entry.internal]
    lines += ["", "## Reductions", "", "| reduction | over nothing | derivative |", "|---|---|---|"]
    for reduction in REDUCTIONS.values():
        nothing = "an error" if reduction.identity is None else f"`{reduction.identity}`"
        lines.append(f"| `{reduction.name}` | {nothing} | {reduction.note} |")
    return "\n".join(lines) + "\n"


def _row(entry: Operation) -> str:
    formula = ", ".join(f"`{name}`" for name in entry.formula) or _sign(entry)
    sympy = ", ".join(f"`{name}`" for name in entry.sympy)
    cells = (f"`{entry.name}`", formula, sympy, _partials(entry), _edges(entry), entry.note)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _sign(entry: Operation) -> str:
    """How an operator is written."""
    return "" if entry.internal else f"`{entry.spelling.format(*OPERANDS)}`"


def _partials(entry: Operation) -> str:
    if entry.partials is None:
        return "none: refused"
    if entry.partials is ZERO:
        return "0 by definition"
    graph = Graph()
    count = entry.arity or 2
    operands = [graph.input(name, "int64" if k in entry.integers else "bool" if entry.name == "select" and k == 0
                            else "float64") for k, name in enumerate(OPERANDS[:count])]
    node = graph.apply(entry.name, *operands)
    texts = []
    for name, partial in zip(OPERANDS, entry.partials(graph.ops, node, *operands), strict=False):
        if partial is not None:
            texts.append(f"∂{name}: {_shown(graph, node, partial)}")
    return "; ".join(texts)


def _shown(graph: Graph, value: Node, partial: Node | Guarded) -> str:
    if isinstance(partial, Guarded):
        return f"`{_text(graph, value, partial.partial)}` *if* `{_text(graph, value, partial.condition)}`"
    return f"`{_text(graph, value, partial)}`"


def _text(graph: Graph, value: Node, node: Node) -> str:
    texts: dict[Node, Text] = {}
    for inner in graph.reachable([node]):
        if inner is value:
            texts[inner] = ("f", ATOM)
        elif inner.op == "input":
            texts[inner] = (str(inner.attr.name), ATOM)
        elif inner.op == "const":
            texts[inner] = number(inner.value, inner.dtype)
        else:
            texts[inner] = _call(inner, [texts[a] for a in inner.args])
    return texts[node][0]


def _call(node: Node, operands: Sequence[Text]) -> Text:
    """An operation as text: operators as such, functions by the table's own name."""
    entry = OPERATIONS[node.op]
    if entry.precedence < ATOM and not entry.imports:
        return operation(node, operands)
    return f"{node.op}({', '.join(bracket(text, 0) for text in operands)})", ATOM


def _edges(entry: Operation) -> str:
    shown = []
    for point, (value, partials) in (entry.edges or {}).items():
        at = ", ".join(f"{p:g}" for p in point)
        result = [f"f = {value:.6g}"] if value is not None else []
        result += [f"∂{name} = {p:.6g}" for name, p in zip(OPERANDS, partials, strict=False) if p is not None]
        if result:
            shown.append(f"({at}): {', '.join(result)}")
    return "; ".join(shown)


OF_A_FUNCTION = (
    "grad", "value_and_grad", "jvp", "vjp", "hvp", "jvp.many", "jacobian", "value_and_jacobian", "hessian",
    "jacobian.sparse", "hessian.pattern", "hessian.draw_pattern", "jacobian.compressed", "by", "forward", "backward",
    "scipy", "lowlevel", "iminuit", "cyipopt", "torch", "jax", "pytensor",
)
OF_GRADC = (
    "grad", "value_and_grad", "jacobian", "jacfwd", "jacrev", "hessian", "jvp", "vjp", "hvp", "elementwise_grad",
    "check_gradients", "check_grads", "stop_gradient", "operation", "root", "fixed_point", "colouring",
    "sampled_pattern", "lambdify",
)
DERIVATIVES = """\
# Derivatives

Made from docstrings by `python -m gradc.compiler.reference derivatives`.

`f` is what `gradc.compile` returns. Each of its derivatives is a function of the same kind, with a source, a compiled
form and derivatives of its own, unless it says otherwise."""


def derivatives() -> str:
    """The page of the derivatives.

    >>> derivatives().splitlines()[0]
    '# Derivatives'
    """
    gradc: Any = importlib.import_module("gradc")              # the public names, of which this page is
    lines = [*DERIVATIVES.splitlines(), "", "## Of a function"]
    for name in OF_A_FUNCTION:
        lines += _entry(f"f.{name}", inspect.getattr_static(gradc.Function, name.rpartition(".")[2]))
    lines += ["", "## Of gradc"]
    for name in OF_GRADC:
        lines += _entry(f"gradc.{name}", getattr(gradc, name))
    return "\n".join(lines) + "\n"


def _entry(name: str, made: Any) -> list[str]:
    return ["", f"### `{name}{_arguments(made)}`", "", *_described(made)]


def _arguments(made: Any) -> str:
    """The names of a method's arguments; nothing for a property."""
    if not callable(made):
        return ""
    given = [p.replace(annotation=p.empty) for p in inspect.signature(made).parameters.values() if p.name != "self"]
    return str(inspect.Signature(given))


def _described(made: Any) -> Iterator[str]:
    """A docstring, its examples and tables set off."""
    fence = ""
    for line in (inspect.getdoc(made) or "").splitlines():
        wanted = "```python" if line.startswith(">>>") else "```text" if line.startswith("  ") or _defines(line) else ""
        if fence == "```python" and line:
            wanted = fence
        if wanted != fence:
            if fence:
                yield "```"
            if wanted:
                yield wanted
            fence = wanted
        yield line
    if fence:
        yield "```"


def _defines(line: str) -> bool:
    """Whether a line is one of a table: a name, two spaces or more, what it is."""
    name, _, rest = line.partition("  ")
    return bool(rest) and all(word.isidentifier() for word in name.replace(",", " ").split())


if __name__ == "__main__":
    print(derivatives() if "derivatives" in sys.argv[1:] else page(), end="")  # noqa: T201  (the command's output)
