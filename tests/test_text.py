"""The text form: it says everything, prints the same text again, and refuses malformed text by its line."""

from __future__ import annotations

import math
import pickle
import re
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradc.ir.dims import Axis, Dim
from gradc.ir.errors import GraphError
from gradc.ir.graph import Check, Graph, Node, Part, Span
from gradc.ir.interpret import evaluate
from gradc.ir.table import OPERATIONS
from gradc.ir.text import from_text, to_text
from gradc.ir.verify import verify

from .sources import printed_in_processes

N, M = Dim.of("n"), Dim.of("m")
ROW, COL = Axis(N, 0), Axis(M, 0)


def everything() -> Graph:
    """A graph with every kind of node, name, span, note, check and equality."""
    g = Graph(source='q = "x" · 2\nsum(q)')
    x, a, k = g.input("x", "float64", ("n",)), g.input("A", "float32", ("n", "m")), g.input("k", "int64")
    i, j = g.axis(ROW), g.axis(COL)
    e, first = g.read(x, [i]), g.ops.greater(i, 0)
    before = g.read(x, [i - 1], [first])
    half = (N + 1) // 2
    odd = Axis(2 * half - 1, 1)
    g.outputs = [
        ("sum", g.reduce("sum", ROW, e * before, [first, g.ops.less(e, 0.5)])),
        ("max", g.ops.max(g.reduce("max", ROW, e), 3.0, k)),
        ("store", g.store((ROW, COL), g.read(a, [i, j]) * e)),
        (
            "parts",
            g.store_parts(
                (N,),
                [((Axis(Dim.of(1), 0),), (N - 1,), (), g.const(9.0)), ((ROW,), (Dim.of(0),), (first,), e)],
                base=x,
            ),
        ),
        ("scatter", g.scatter_add((N, 2 * M), [Part(e, (i, g.const(0)), (first,))])),
        ("once", g.scatter_add((N,), [Part(e, (i,))], once=True)),
        ("running", g.store((ROW,), g.scan("sum", ROW, [e], inclusive=True, reverse=True))),
        ("largest", g.store((ROW,), g.scan("max", ROW, [e], inclusive=True))),
        ("recurrence", g.store((ROW,), g.scan("linrec", ROW, [e, before]))),
        ("odd", g.store((odd,), g.axis(odd) + g.dim(half - 3) + k)),
        ("scalar", g.store((), g.const(True))),
        ("nothing", g.store_parts((N,), [])),
    ]
    g.name(e, "hidden")
    g.name(e, 'second "name"\n; %1')
    g.spans[e] = Span(4, 9)
    g.notes[e] = "log1p(x), not log(1 + x)"
    g.equal = [(N, 2 * M - 1)]
    g.checks = [
        Check(g.reduce("any", ROW, g.ops.less(e, 0.0)), "x[i] is negative: “take abs(x)”", "ShapeError")
    ]
    return g


def test_the_form_is_readable() -> None:
    g = Graph(source="sum(x[i]*x[i] for i in range(n))")
    x = g.input("x", "float64", ("n",))
    e = g.read(x, [g.axis(ROW)])
    g.name(e * e, "square")
    g.outputs = [("f", g.reduce("sum", ROW, e * e))]
    assert str(g) == to_text(g)
    assert to_text(g).splitlines() == [
        "gradc graph 1",
        'source "sum(x[i]*x[i] for i in range(n))"',
        '%0: float64 = input "x" [n]',
        "%1: int64 = axis n#0",
        "%2: float64 = read %0[%1]",
        '%3: float64 = mul(%2, %2) ; name "square"',
        "%4: float64 = sum over n#0 of %3",
        'output "f" %4',
    ]


def test_everything_is_printed_and_parses_back() -> None:
    graph = everything()
    verify(graph)
    text = to_text(graph)
    again = from_text(text)
    assert to_text(again) == text
    assert again.source == graph.source
    assert again.equal == graph.equal
    assert list(again.inputs) == list(graph.inputs)
    (node,) = again.spans
    assert again.names[node] == ["hidden", 'second "name"\n; %1']
    assert again.notes[node] == "log1p(x), not log(1 + x)"
    assert again.checks[0].message == graph.checks[0].message
    assert again.checks[0].error == "ShapeError"


def test_the_parsed_graph_computes_the_same() -> None:
    graph = everything()
    arguments = {"x": [1.0, 2.0, 3.0], "A": np.ones((3, 2), dtype="float32"), "k": 4}
    before, after = evaluate(graph, arguments), evaluate(from_text(to_text(graph)), arguments)
    assert len(before) == len(after) == 12
    for a, b in zip(before, after, strict=True):
        assert np.array_equal(a, b)


def test_a_parsed_graph_can_grow_and_still_interns() -> None:
    graph = from_text(to_text(everything()))
    count = len(graph.nodes)
    assert graph.axis(ROW) in graph.nodes[:count]
    assert len(graph.nodes) == count
    graph.outputs.append(("more", graph.outputs[0][1] * 2.0))
    verify(graph)


def test_only_what_is_needed_is_printed() -> None:
    graph = Graph()
    x = graph.input("x")
    graph.input("unused")
    graph.ops.sin(x)
    graph.outputs = [("f", x)]
    assert to_text(graph).splitlines()[1:] == [
        '%0: float64 = input "x" []',
        '%1: float64 = input "unused" []',
        'output "f" %0',
    ]


NAN_WITH_PAYLOAD = struct.unpack("<d", bytes.fromhex("010000000000f87f"))[0]


@pytest.mark.parametrize(
    "value",
    [
        0.0,
        -0.0,
        1.0,
        0.1,
        1e-320,
        5e-324,
        1.7976931348623157e308,
        math.inf,
        -math.inf,
        math.nan,
        -math.nan,
        NAN_WITH_PAYLOAD,
        True,
        False,
        1,
        0,
        -5,
        2**63 - 1,
        -(2**63),
    ],
)
def test_constants_keep_every_bit(value: float) -> None:
    graph = Graph()
    graph.outputs = [("f", graph.const(value))]
    again = from_text(to_text(graph))
    assert again.outputs[0][1].attr == graph.outputs[0][1].attr
    assert again.outputs[0][1].dtype == graph.outputs[0][1].dtype


@pytest.mark.parametrize(
    "name",
    [
        "n",
        "",
        "a b",
        "n#0",
        '"',
        "\\",
        "\n",
        "%0",
        "x\u2028y",
        "é",
        "\ud800",
        "import os",
        "__class__",
        "inf",
        "sum",
    ],
)
def test_names_are_data(name: str) -> None:
    graph = Graph()
    x = graph.input(name, "float64", (name, 2 * Dim.of(name) + 1))
    i, j = Axis(Dim.of(name), 0), Axis(2 * Dim.of(name) + 1, 0)
    element = graph.name(graph.read(x, [graph.axis(i), graph.axis(j)]), name)
    graph.notes[element] = name
    graph.outputs = [(name, graph.store((i, j), element)), (name, graph.dim((Dim.of(name) + 1) // 3))]
    text = to_text(graph)
    assert text.isascii()
    assert to_text(from_text(text)) == text


def test_the_text_is_the_same_in_every_process() -> None:
    texts = printed_in_processes("from tests.test_text import everything; print(everything())", ("0", "1", "77"))
    assert {text.rstrip("\n") for text in texts} == {str(everything())}


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Random expressions over an array and a scalar."""
    graph = Graph()
    x, y = graph.input("x", "float64", ("n",)), graph.input("y")
    pool: list[Node] = [graph.read(x, [graph.axis(ROW)]), y, graph.const(draw(st.floats()))]
    unary = [name for name, op in OPERATIONS.items() if op.arity == 1 and op.result == "float"]
    for _ in range(draw(st.integers(1, 15))):
        kind = draw(st.sampled_from(["unary", "binary", "reduce", "scan", "select"]))
        a, b = draw(st.sampled_from(pool)), draw(st.sampled_from(pool))
        if kind == "unary":
            pool.append(graph.apply(draw(st.sampled_from(unary)), a))
        elif kind == "binary":
            pool.append(graph.apply(draw(st.sampled_from(["add", "mul", "max", "hypot"])), a, b))
        elif kind == "reduce":
            guards = [graph.ops.less(a, b)] if draw(st.booleans()) else []
            pool.append(graph.reduce(draw(st.sampled_from(["sum", "max", "logsumexp"])), ROW, a, guards))
        elif kind == "scan":
            pool.append(
                graph.scan(draw(st.sampled_from(["prod", "min"])), ROW, [a], inclusive=draw(st.booleans()), reverse=draw(st.booleans()))
            )
        else:
            pool.append(graph.ops.select(graph.ops.less(a, b), a, b))
    graph.name(pool[-1], draw(st.text(max_size=5)))
    graph.outputs = [("f", graph.store((ROW,), pool[-1]))]
    return graph


@settings(deadline=None)
@given(graphs())
def test_random_graphs_print_and_parse_back(graph: Graph) -> None:
    verify(graph)
    text = to_text(graph)
    assert to_text(from_text(text)) == text


# -- malformed text ---------------------------------------------------------------------------------

START = 'gradc graph 1\n%0: float64 = input "x" [n]\n%1: int64 = axis n#0\n%2: float64 = read %0[%1]\n'
MALFORMED = {
    "another header": ("gradc graph 2\n", "line 1: a graph's text begins with 'gradc graph 1'"),
    "no text": ("", "line 1: a graph's text begins with"),
    "unreadable": (START + "%3: float64 = sin(%2) @", "line 5: unreadable text at column 22"),
    "unreadable letters": (START + "%3: float64 = sín(%2)", "line 5: unreadable text at column 16"),
    "unclosed text": (START + 'output "f %2', "line 5: unreadable text at column 7"),
    "escape": (START + 'output "\\q" %2', "line 5: a quoted text has a wrong escape"),
    "unknown word": (START + "import os", "line 5: a line begins with a node or a known word, not 'import'"),
    "rest": (START + 'output "f" %2 %2', "line 5: nothing may follow before '%2'"),
    "missing node": (START + 'output "f"', "line 5: a node is missing"),
    "missing name": (START + "output %2", "line 5: a quoted text is missing"),
    "missing mark": (START + "%3: float64 = sin %2", r"line 5: '\(' is expected before '%2'"),
    "end": (START + "%3: float64 = sin(%2", r"line 5: '\)' is expected before 'the end'"),
    "number": (START + "%4: float64 = sin(%2)", "line 5: the next node is %3, not %4"),
    "type": (START + "%3: object = sin(%2)", "line 5: object is not a type"),
    "missing type": (START + "%3: 3 = sin(%2)", "line 5: a type is missing"),
    "missing operation": (START + "%3: float64 = (%2)", "line 5: an operation is missing"),
    "operation": (START + "%3: float64 = system(%2)", "line 5: no operation system in the table"),
    "reduction": (START + "%3: float64 = sin over n#0 of %2", r"line 5: '\(' is expected before 'n'"),
    "use before definition": (START + "%3: float64 = sin(%3)", "line 5: %3 is used before it is defined"),
    "repetition": (START + "%3: float64 = read %0[%1]", "line 5: %3 repeats %2"),
    "two inputs": (START + '%3: float64 = input "x" []', "line 5: the input 'x' is declared twice"),
    "fact": (START + "%3: float64 = sin(%2) ; nickname", "line 5: 'note' is expected before 'nickname'"),
    "span": (START + "%3: float64 = sin(%2) ; span 1", "line 5: a whole number is missing"),
    "fraction": (
        START + "%3: float64 = sin(%2) ; span 1 2.5",
        "line 5: 2.5 is no whole number of at most 20",
    ),
    "long number": (START + "%3: int64 = dim " + "9" * 30, "line 5: 9{30} is no whole number of at most 20"),
    "float": (START + "%3: float64 = const one", "line 5: a number is missing"),
    "truth": (START + "%3: bool = const 1", "line 5: a truth value is true or false"),
    "large integer": (
        START + "%3: int64 = const 99999999999999999999",
        "line 5: the integer 9+ does not fit",
    ),
    "bits": (
        START + '%3: float64 = const bits "00"',
        "line 5: a constant's bits are 16 hexadecimal digits of a",
    ),
    "bits of a number": (
        START + '%3: float64 = const bits "000000000000f03f"',
        "line 5: a constant's bits are",
    ),
    "kind of scan": (START + "%3: float64 = scan median over n#0 of %2", "line 5: median is no kind of scan"),
    "missing kind": (START + "%3: float64 = scan", "line 5: the kind of a scan is missing"),
    "scatter": (
        START + "%3: float64 = scatter_add [n] {[%1, %1] += %2}",
        "line 5: 2 indices for 1 dimensions",
    ),
    "division by zero": (START + "%3: int64 = dim ((n)//(0))", "line 5: a dimension is divided by zero"),
    "depth": (START + "%3: int64 = dim " + "((" * 60 + "n", "line 5: a dimension is nested too deeply"),
    "invariant": (START + 'output "f" %2', "the output 'f' varies over n#0: store it"),
    "arity": (START + "%3: float64 = sin(%2, %2)", "it takes 1 operands, not 2"),
}


@pytest.mark.parametrize("case", list(MALFORMED))
def test_malformed_text_is_refused_by_its_line(case: str) -> None:
    text, message = MALFORMED[case]
    with pytest.raises(GraphError, match=message):
        from_text(text)


@settings(deadline=None)
@given(st.integers(0, 10**9), st.text(max_size=3))
def test_damaged_text_gives_a_graph_or_a_graph_error(place: int, insert: str) -> None:
    text = to_text(everything())
    at = place % len(text)
    for damaged in (text[:at] + insert + text[at:], text[:at] + insert + text[at + 7 :]):
        try:
            verify(from_text(damaged))
        except GraphError as error:
            message = str(error)
        else:
            continue
        assert re.search(r"line \d+|node %\d+", message)


def test_the_text_travels_through_a_pickle() -> None:
    text = to_text(everything())
    assert to_text(from_text(pickle.loads(pickle.dumps(text)))) == text


def test_an_unknown_kind_of_node_is_not_printed() -> None:
    graph = Graph()
    graph.outputs = [("f", graph._make("mystery", (), None, frozenset(), "float64"))]
    with pytest.raises(GraphError, match="the text form knows no node of kind mystery"):
        to_text(graph)
