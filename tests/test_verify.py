"""The verifier finds every broken invariant and says which node and why.

Graphs are broken by going around the constructors, as a faulty pass would.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from gradc.ir.dims import Axis, Dim
from gradc.ir.errors import GraphError
from gradc.ir.graph import (
    NO_AXES,
    Check,
    Graph,
    InputAttr,
    Node,
    Part,
    ScanAttr,
    ScatterAttr,
    Span,
    StoreAttr,
    StorePart,
)
from gradc.ir.text import to_text
from gradc.ir.verify import verify

N = Dim.of("n")
ROW, INNER = Axis(N, 0), Axis(N, 1)
ZERO = Dim.of(0)
REAL = "float64"


class Broken:
    """A sound graph with the pieces that the cases below put together wrongly."""

    def __init__(self) -> None:
        self.graph = g = Graph()
        self.x = g.input("x")
        self.k = g.input("k", "int64", ("n",))
        self.a = g.input("a", REAL, ("n",))
        self.i = g.axis(ROW)
        self.e = g.read(self.a, [self.i])
        self.c = g.ops.less(self.e, 0.0)
        self.d = g.ops.greater(self.e, 5.0)
        self.total = g.reduce("sum", ROW, self.e, [self.c])
        self.stored = g.store((ROW,), self.e)
        g.outputs = [("f", self.total), ("y", self.stored)]

    def make(
        self, op: str, args: tuple[Node, ...], attr: object = None, axes: object = None, dtype: str = REAL
    ) -> Node:
        found = frozenset().union(*[a.axes for a in args]) if axes is None else axes
        return self.graph._make(op, args, attr, frozenset(found), dtype)


def part(axes: tuple[Axis, ...] = (ROW,), guards: int = 0) -> StorePart:
    return StorePart(axes, (ZERO,) * len(axes), guards)


def foreign() -> Node:
    return Graph().input("z")


CASES: dict[str, tuple[Callable[[Broken], object], str]] = {
    "position": (lambda b: b.graph.nodes.append(b.x), "it stands at position"),
    "another graph's node": (lambda b: b.graph.nodes.append(foreign()), "it belongs to another graph"),
    "another graph's operand": (
        lambda b: b.make("sin", (foreign(),)),
        r"its operand %0 belongs to another graph",
    ),
    "order": (
        lambda b: b.graph.nodes.append(
            Node(
                b.graph,
                len(b.graph.nodes),
                "sin",
                (Node(b.graph, 99, "const", (), b"", NO_AXES, REAL),),
                None,
                NO_AXES,
                REAL,
            )
        ),
        "its operand %99 does not come before it",
    ),
    "interning": (
        lambda b: b.graph.nodes.append(
            Node(b.graph, len(b.graph.nodes), "read", b.e.args, 1, b.e.axes, REAL)
        ),
        "an equal node exists",
    ),
    "type": (lambda b: b.make("sin", (b.x,), dtype="complex128"), "complex128 is not a type"),
    "kind": (lambda b: b.make("mystery", ()), "no node is of this kind"),
    "array operand": (lambda b: b.make("sin", (b.a,)), r"its operand %2 is an array where a scalar belongs"),
    "axes": (lambda b: b.make("sin", (b.e,), axes=()), "its axes are none, but its operands give n#0"),
    "operation's attribute": (lambda b: b.make("sin", (b.x,), 3), "an operation carries no attribute"),
    "variadic arity": (lambda b: b.make("max", (b.x,)), "it takes two or more operands, not 1"),
    "arity": (lambda b: b.make("sin", (b.x, b.x)), "it takes 1 operands, not 2"),
    "integer operand": (lambda b: b.make("jn", (b.x, b.x)), "its operand 1 must be an integer, not float64"),
    "condition": (lambda b: b.make("select", (b.x, b.x, b.x)), "its condition must be a truth value, not"),
    "comparison's type": (lambda b: b.make("less", (b.x, b.x)), "its type is float64, but its operands are"),
    "real type": (lambda b: b.make("add", (b.x, b.x), dtype="int64"), "its type is int64, but its operands"),
    "float type": (lambda b: b.make("sin", (b.i,), dtype="int64"), "its type is int64, but its operands are"),
    "no body": (lambda b: b.make("sum", (), ROW), "it has no body"),
    "reduction's type": (
        lambda b: b.make("sum", (b.e,), ROW, axes=(), dtype="int64"),
        "its type is int64, but its body is float64",
    ),
    "mean's type": (lambda b: b.make("mean", (b.i,), ROW, axes=(), dtype="int64"), "its type is int64, but"),
    "guard's type": (
        lambda b: b.make("sum", (b.e, b.x), ROW, axes=()),
        "its guard %0 is float64, not a truth",
    ),
    "guards' order": (lambda b: b.make("sum", (b.e, b.d, b.c), ROW, axes=()), "its guards are not in order"),
    "bound axis": (
        lambda b: b.make("sum", (b.graph.read(b.a, [b.graph.axis(INNER)]),), INNER, axes=()),
        "its bound axis must be number 0, the lowest that is not free",
    ),
    "constant": (lambda b: b.make("const", (), 1.0), "a constant carries its eight bytes"),
    "constant dimension": (
        lambda b: b.make("dim", (), Dim.of(3), dtype="int64"),
        "it carries no symbolic dimension",
    ),
    "dimension's type": (lambda b: b.make("dim", (), N), "its type must be int64, not float64"),
    "axis": (
        lambda b: b.make("axis", (), Axis(N, -1), axes=(Axis(N, -1),), dtype="int64"),
        "it carries no axis",
    ),
    "input": (lambda b: b.make("input", (), "x"), "it carries no name and shape"),
    "unlisted input": (
        lambda b: b.make("input", (), InputAttr("other", ())),
        "it is not the input 'other' of its graph",
    ),
    "input under another name": (
        lambda b: b.graph.inputs.update(other=b.x),
        "it is listed as the input 'other'",
    ),
    "read of a scalar": (lambda b: b.make("read", (b.x, b.i), 1), "it reads from no array"),
    "rank": (lambda b: b.make("read", (b.a, b.i, b.i), 2), "it has 2 indices for an array of 1 dimensions"),
    "index": (lambda b: b.make("read", (b.a, b.e), 1), "its index %4 is float64, not an integer"),
    "read's guard": (
        lambda b: b.make("read", (b.a, b.i, b.e), 1),
        "its guard %4 is float64, not a truth value",
    ),
    "read's type": (
        lambda b: b.make("read", (b.a, b.i), 1, dtype="float32"),
        "its type must be float64, not",
    ),
    "scan": (lambda b: b.make("scan", (b.e,), ScanAttr("median", ROW, False, False)), "it is no running sum"),
    "scan's arity": (
        lambda b: b.make("scan", (b.e,), ScanAttr("linrec", ROW, False, False)),
        "it takes 2 operands, not 1",
    ),
    "scan's type": (
        lambda b: b.make("scan", (b.e,), ScanAttr("sum", ROW, False, False), dtype="float32"),
        "its type must be float64, not float32",
    ),
    "inclusive recurrence": (
        lambda b: b.make("scan", (b.e, b.e), ScanAttr("linrec", ROW, True, False)),
        "a linear recurrence is exclusive",
    ),
    "store": (lambda b: b.make("store", (), None, axes=()), "it carries no shape and parts"),
    "store's operands": (
        lambda b: b.make("store", (b.e,), StoreAttr((N,), (part(guards=1),), False), axes=()),
        "it takes 2 operands, not 1",
    ),
    "base": (
        lambda b: b.make("store", (b.x,), StoreAttr((N,), (), True), axes=()),
        "its base %0 is no array of 1 dimensions",
    ),
    "part's axes": (
        lambda b: b.make("store", (b.x,), StoreAttr((N, N), (part((ROW, ROW)),), False), axes=()),
        "a part has 2 axes for 2 dimensions, or one twice",
    ),
    "stored value's axes": (
        lambda b: b.make("store", (b.e,), StoreAttr((N,), (part((INNER,)),), False), axes=()),
        "%4 varies over n#0, which its part has not",
    ),
    "stored type": (
        lambda b: b.make("store", (b.e,), StoreAttr((N,), (part(),), False), axes=(), dtype="int64"),
        "it stores %4, which is float64, as int64",
    ),
    "scatter": (lambda b: b.make("scatter_add", (), None, axes=()), "it carries no shape and parts"),
    "scatter's operands": (
        lambda b: b.make("scatter_add", (b.e,), ScatterAttr((N,), (0,)), axes=()),
        "it takes 2 operands, not 1",
    ),
    "scatter's index": (
        lambda b: b.make("scatter_add", (b.e, b.e), ScatterAttr((N,), (0,)), axes=()),
        "its index %4 is float64, not an integer",
    ),
    "scattered array": (
        lambda b: b.make("scatter_add", (b.a, b.i), ScatterAttr((N,), (0,)), axes=()),
        "its operand %2 is an array where a scalar belongs",
    ),
    "output": (
        lambda b: b.graph.outputs.append(("g", foreign())),
        "the output 'g' uses it, but it is no node",
    ),
    "output's axes": (
        lambda b: b.graph.outputs.append(("g", b.e)),
        "the output 'g' varies over n#0: store it",
    ),
    "check": (
        lambda b: b.graph.checks.append(Check(foreign(), "no")),
        "the check 'no' uses it, but it is no",
    ),
    "check's type": (lambda b: b.graph.checks.append(Check(b.x, "no")), "a check needs a truth value"),
    "name": (lambda b: b.graph.names.update({foreign(): ["z"]}), "a name uses it, but it is no node of this"),
    "span": (lambda b: b.graph.spans.update({foreign(): Span(0, 1)}), "a span uses it, but it is no node of"),
    "note": (lambda b: b.graph.notes.update({foreign(): "z"}), "a note uses it, but it is no node of this"),
    "size": (
        lambda b: b.graph.outputs.append(("g", b.graph.dim("m"))),
        "no input gives the size of the dimension m",
    ),
    "size of an axis": (
        lambda b: b.graph.outputs.append(("g", b.graph.reduce("sum", Axis(Dim.of("m"), 0), b.x))),
        "no input gives the size of the dimension m",
    ),
    "size of a shape": (
        lambda b: b.graph.outputs.append(("g", b.graph.scatter_add((Dim.of("m"),), ()))),
        "no input gives the size of the dimension m",
    ),
    "size of a part": (
        lambda b: b.graph.outputs.append(
            ("g", b.graph.store_parts((N,), [((ROW,), (Dim.of("m"),), (), b.e)]))
        ),
        "no input gives the size of the dimension m",
    ),
}


def test_a_sound_graph_passes() -> None:
    broken = Broken()
    g = broken.graph
    running = g.scan("linrec", ROW, (broken.e, broken.e))
    g.outputs += [
        ("r", g.store((ROW,), running)),
        ("n", g.dim(N)),
        ("s", g.scatter_add((N,), [Part(broken.e, (g.read(broken.k, [broken.i]),), (broken.c,))])),
        ("p", g.store_parts((N,), [((ROW,), (ZERO,), (broken.c,), broken.e)], base=broken.a)),
    ]
    text = to_text(g)
    verify(g)
    assert to_text(g) == text                                   # it looks and changes nothing


@pytest.mark.parametrize("case", list(CASES))
def test_a_broken_invariant_is_found(case: str) -> None:
    broken = Broken()
    verify(broken.graph)
    breaks, message = CASES[case]
    breaks(broken)
    with pytest.raises(GraphError, match=message):
        verify(broken.graph)


def test_the_message_names_the_node_and_its_place_in_the_users_text() -> None:
    broken = Broken()
    broken.graph.source = "sin(x, x)"
    node = broken.make("sin", (broken.x, broken.x))
    broken.graph.spans[node] = Span(0, 9)
    expected = f"node %{node.id} = sin(%0, %0) (from 'sin(x, x)'): it takes 1 operands, not 2"
    with pytest.raises(GraphError, match=re.escape(expected)):
        verify(broken.graph)


def test_a_long_chain_is_verified_without_recursion() -> None:
    graph = Graph()
    value = graph.input("x")
    for _ in range(20_000):
        value = graph.ops.sin(value)
    graph.outputs = [("f", value)]
    verify(graph)
    graph.outputs = [("f", graph._make("sin", (value, value), None, NO_AXES, REAL))]
    with pytest.raises(GraphError, match="it takes 1 operands, not 2"):     # the end of the chain was looked at
        verify(graph)
