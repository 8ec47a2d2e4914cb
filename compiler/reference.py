"""The operation reference: one page of Markdown made from the table.

`python -m gradc.compiler.reference > docs/operations.md` writes it; a test holds the page to the table.
Each row gives the names in formulas and in SymPy, the local partials as the rules write them, the
values at the edges, and the table's own note (the kinks among them). Nothing is said here that the
table does not say.
"""

from __future__ import annotations

from collections.abc import Sequence

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


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201  (this is the command's output)
