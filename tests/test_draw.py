"""Pictures: what is drawn, where wires run, the texts for other tools, and names as data."""

import math
import random
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest
import sympy

from gradc.compiler.draw import draw
from gradc.compiler.svg import RADIUS
from gradc.ir import drawing
from gradc.ir.errors import ArgumentError, FormulaError, GraphError, SizeError
from gradc.ir.graph import Graph

from .sources import plain

NEURON = "1/(1+exp(-(w0*x0+w1*x1+w2)))"
SVG = "{http://www.w3.org/2000/svg}"


def circuit(**options):
    return plain("q = x + y; f = q * z").draw(x=-2, y=5, z=-4, **options)


def texts(svg, kind):
    """The texts of one class, from left to right."""
    found = [(float(node.get("x")), node.text) for node in ET.fromstring(svg).iter(f"{SVG}text")
             if kind in node.get("class").split()]
    return [text for _, text in sorted(found)]


def random_formula(size, seed):
    """A formula of many statements, in which values are used again and again."""
    choose, names, lines = random.Random(seed), ["x", "y", "z"], []
    for k in range(size):
        a, b = choose.choice(names[-12:]), choose.choice(names[-12:])
        lines.append(f"v{k} = " + choose.choice([
            f"{a} + {b}", f"{a}*{b}", f"sin({a})", f"{a} - {b}", f"exp({a})/3", f"atan2({a}, {b})",
            f"{a} if {b} > 0 else {b}"]))
        names.append(f"v{k}")
    return "; ".join([*lines, f"f = {' + '.join(names)}"])


def hits(svg):
    """Wires that run through a body which is not at one of their ends."""
    root = ET.fromstring(svg)
    bodies = [(float(c.get("cx")), float(c.get("cy")), 0.0) for c in root.iter(f"{SVG}circle")]
    for rect in root.iter(f"{SVG}rect"):
        if "body" in rect.get("class"):
            half = float(rect.get("width")) / 2
            bodies.append((float(rect.get("x")) + half, float(rect.get("y")) + RADIUS, half - RADIUS))
    found = []
    for wire in root.iter(f"{SVG}path"):
        if wire.get("class") != "wire":
            continue
        points = [tuple(map(float, p.split())) for p in re.split("[ML]", wire.get("d")) if p]
        for body in bodies:
            if min(distance(points[0], body), distance(points[-1], body)) < RADIUS + 2.5:
                continue
            steps = [(a[0] + (b[0] - a[0]) * t / 20, a[1] + (b[1] - a[1]) * t / 20)
                     for a, b in pairwise(points) for t in range(21)]
            if min(distance(p, body) for p in steps) < RADIUS:
                found.append((points, body))
    return found


def distance(point, body):
    """From a point to the axis of a circle or pill."""
    x, y, half = body
    return math.hypot(max(0.0, abs(point[0] - x) - half), point[1] - y)


def test_the_textbook_circuit_shows_values_in_green_and_gradients_in_red():
    svg = circuit().svg
    assert sorted(texts(svg, "value"), key=float) == ["-12", "-4", "-2", "3", "5"]
    assert sorted(texts(svg, "gradient"), key=float) == ["-4", "-4", "-4", "1", "3"]
    assert texts(svg, "argument")[:2] in (["x", "y"], ["y", "x"])
    assert texts(svg, "sign") == ["+", "*"]
    assert texts(svg, "name") == ["q", "f"]
    assert ".gradc .value{fill:#1a7f37}" in svg
    assert ".gradc .gradient{fill:#cf222e}" in svg


def test_values_stand_above_the_wire_and_gradients_below():
    root = ET.fromstring(circuit().svg)
    for group in root.iter(f"{SVG}g"):
        heights = {node.get("class"): float(node.get("y")) for node in group.iter(f"{SVG}text")}
        wire = next(node for node in group.iter(f"{SVG}path"))
        level = float(wire.get("d").split("L")[0].split()[1])
        assert heights["value"] < level < heights["gradient"]


def test_operands_stand_in_the_order_of_the_formula():
    root = ET.fromstring(plain(NEURON).draw(2, -1, -3, -2, -3).svg)
    heights = {node.text: float(node.get("y")) for node in root.iter(f"{SVG}text")
               if node.get("class") == "argument"}
    assert sorted(heights, key=heights.__getitem__) == ["w0", "x0", "w1", "x1", "w2"]


def test_constants_are_part_of_the_operation_as_in_the_textbook():
    marks = plain(NEURON).draw(2, -1, -3, -2, -3).marks
    assert [mark.label for mark in marks][5:] == ["*", "*", "+", "+", "*-1", "exp", "+1", "1/x"]
    assert [mark.gradient for mark in marks][-4:] == ["-0.1966", "-0.5344", "-0.5344", "1"]
    labels = [mark.label for mark in plain("(x**2 + 3*x - 2)**0.5 + 2**x + x/4").draw().marks]
    assert labels[1:] == ["x²", "*3", "+", "-2", "x^0.5", "2^x", "+", "/4", "+"]


def test_top_down_puts_later_operations_further_down():
    svg = circuit(direction="TB").svg
    heights = {node.text: float(node.get("y")) for node in ET.fromstring(svg).iter(f"{SVG}text")}
    assert heights["x"] < heights["+"] < heights["*"]
    assert hits(svg) == []


@pytest.mark.parametrize("direction", ["LR", "TB"])
@pytest.mark.parametrize(("size", "seed"), [(8, 0), (20, 1), (40, 2), (60, 3), (90, 4), (150, 5)])
def test_no_wire_runs_through_a_circle(size, seed, direction):
    f = plain(random_formula(size, seed))
    values = [0.5, 0.25, 0.125][:len(f.args)]
    assert hits(f.draw(*values, direction=direction).svg) == []


def test_the_check_of_wires_finds_one_that_runs_through_a_circle():
    svg = circuit().svg
    circle = next(ET.fromstring(svg).iter(f"{SVG}circle"))
    x, y = float(circle.get("cx")), float(circle.get("cy"))
    wrong = svg.replace("</svg>", f'<path class="wire" d="M{x - 90} {y}L{x + 90} {y}"/></svg>')
    assert len(hits(wrong)) == 1


def test_the_same_graph_gives_the_same_bytes():
    formula = random_formula(50, 7)
    one, two = (plain(formula).draw(*[0.5] * len(plain(formula).args)) for _ in range(2))
    assert (one.svg, one.dot, one.mermaid) == (two.svg, two.dot, two.mermaid)


def test_colours_follow_the_reader_and_a_panel_lies_behind():
    svg = circuit().svg
    assert "@media (prefers-color-scheme:dark)" in svg
    assert '<rect class="panel"' in svg
    assert svg.index('class="panel"') < svg.index('class="wire"')


def test_every_rule_of_the_style_stays_inside_the_picture():
    style = circuit().svg.partition("<style>")[2].partition("</style>")[0]
    rules = [line for line in style.split("\n") if "{" in line and not line.startswith("@media")]
    assert rules
    assert all(line.startswith(".gradc ") for line in rules)


def test_names_are_escaped_in_every_format():
    symbol = sympy.Symbol('</text><script>alert("x")</script>\x00')
    picture = plain(symbol * sympy.Symbol("y")).draw(1.0, 2.0)
    assert "<script" not in picture.svg
    assert ET.fromstring(picture.svg).tag == f"{SVG}svg"
    assert '\\"x\\"' in picture.dot
    assert "<script" not in picture.mermaid
    assert '"' not in re.sub(r'"[^"]*"', "", picture.mermaid)


def test_wires_say_which_operand_they_are_where_the_order_matters():
    f = plain("a = x - y; b = a / y; c = a ** b; f = c if atan2(a, b) > c else 2 * x")
    signs = {mark.label: mark.signs for mark in f.draw().marks}
    assert signs["-"] == ("+", "-")
    assert signs["/"] == ("", "/")
    assert signs["^"] == ("", "^")
    assert signs["atan2"] == ("1", "2")
    assert signs[">"] == ("left", "right")
    assert signs["if"] == ("if", "yes", "no")
    assert signs["*2"] == ("",)


def test_arrays_reads_and_reductions_are_drawn():
    f = plain("sum(k * x[i + 1] * x[i] for i in range(n - 1)) / n + mean(x)", {"x": "n", "k": "int"})
    picture = f.draw(x=np.array([1.0, 2.0, 3.0, 4.0]), k=2)
    marks = {mark.label: mark for mark in picture.marks}
    assert marks["x: n"].value == "1 … 4"
    assert marks["[i + 1]"].value == "[2, 3, 4]"
    assert marks["Σ i"].value == "40"
    assert {"/n", "mean j", "*"} < marks.keys()
    k = next(number for number, mark in enumerate(picture.marks) if mark.label == "k")
    assert any(k in mark.sources for mark in picture.marks)
    assert hits(picture.svg) == []


def test_equal_and_empty_arrays_have_short_labels():
    f = plain("sum(x)", {"x": "n"})
    assert f.draw(np.ones(5)).marks[0].value == "1"
    assert f.draw(np.zeros(0)).marks[0].value == "[]"
    assert plain("sum(x)", {"x": "n K"}).draw(np.zeros((0, 2))).marks[0].value == "empty"


def test_the_first_value_that_is_not_finite_is_outlined():
    marks = plain("log(1 + exp(x))").draw(800.0).marks
    assert [mark.bad for mark in marks] == [False, True, False, False]
    assert 'class="body bad"' in plain("log(1 + exp(x))").draw(800.0).svg


def test_tooltips_tell_what_a_node_is_and_how_many_uses_were_summed():
    marks = plain("a = x * x; f = a * sin(x)").draw(2.0).marks
    assert marks[0].tip == "x\nvalue 2\ndf/dx = 1.9726, the sum of 3 uses"
    assert marks[1].tip.startswith("a = x * x\nvalue 4\ndf/da = 0.909297")


def test_without_values_there_are_no_numbers():
    svg = plain("(x + y) * z").draw().svg
    assert texts(svg, "value") == texts(svg, "gradient") == []
    assert texts(svg, "sign") == ["+", "*"]


def test_dot_text():
    dot = circuit().dot
    assert dot.startswith("digraph gradc {\n  rankdir=LR;\n")
    assert '  n3 [label="+", shape=circle, xlabel="q"];' in dot
    assert '  n3 -> n4 [label=<<font color="#1a7f37">3</font><br/><font color="#cf222e">-4</font>>];' in dot
    assert dot.endswith("}\n")
    assert 'headlabel="-"' in plain("x - y").draw(1, 2).dot


def test_mermaid_text():
    mermaid = circuit(direction="TB").mermaid
    assert mermaid.startswith("flowchart TB\n")
    assert '  n3(("q #61; +"))' in mermaid
    assert '  n3 -- "3 #124; -4" --> n4' in mermaid
    assert "  n0 --> n1" in plain("sin(x)").draw().mermaid


@pytest.mark.parametrize(("ending", "start"), [
    (".svg", "<svg "), (".dot", "digraph"), (".gv", "digraph"), (".mmd", "flowchart"),
    (".md", "```mermaid\nflowchart")])
def test_a_drawing_is_saved_by_the_ending_of_the_path(tmp_path, ending, start):
    circuit().save(tmp_path / f"picture{ending}")
    assert (tmp_path / f"picture{ending}").read_text(encoding="utf-8").startswith(start)


@pytest.mark.parametrize(("name", "message"), [
    ("picture.png", "cannot be saved as .png: end the path in .svg"),
    ("picture", "cannot be saved as a file without an ending")])
def test_an_ending_that_is_not_known_is_refused(tmp_path, name, message):
    with pytest.raises(FormulaError, match=message):
        circuit().save(tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_direction_or_format_that_is_not_known_is_refused():
    f = plain("x * y")
    with pytest.raises(FormulaError, match='direction must be "LR"'):
        f.draw(direction="RL")
    with pytest.raises(FormulaError, match='format must be "svg"'):
        draw(f.graph, f.wrt, format="png")


def test_the_format_is_what_str_gives():
    f = plain("x * y")
    for wanted in ("svg", "dot", "mermaid"):
        picture = draw(f.graph, f.wrt, format=wanted)
        assert str(picture) == getattr(picture, wanted)
    assert repr(picture) == "<gradc drawing of 3 nodes>"
    assert picture._repr_svg_() == picture.svg


def test_too_large_a_graph_is_refused():
    graph = Graph()
    node = graph.input("x")
    for _ in range(3_000):
        node = graph.ops.sin(node)
    graph.outputs = [("value", node)]
    with pytest.raises(SizeError, match="the graph has 3,001 nodes, and a picture takes at most 3,000"):
        draw(graph, ["x"])


def test_values_are_checked_as_in_a_call():
    with pytest.raises(ArgumentError, match="z is missing"):
        plain("(x + y) * z").draw(x=1, y=2)


def test_a_graph_draws_itself_also_that_of_a_derivative():
    f = plain("sum(log(sum(exp(a[i, k]) for k in range(K))) for i in range(n))", {"a": "n K"})
    for graph in (f.graph, f.grad.graph, f.value_and_grad.graph):
        assert ET.fromstring(graph.to_svg()).tag == f"{SVG}svg"
        assert graph.to_dot().startswith("digraph gradc {")
        assert graph._repr_svg_() == graph.to_svg()
        assert hits(graph.to_svg()) == []


def test_a_graph_without_the_compiler_says_what_to_import(monkeypatch):
    monkeypatch.setattr(drawing, "_drawers", [])
    with pytest.raises(GraphError, match="import gradc first"):
        Graph().to_svg()


def test_an_empty_graph_is_an_empty_picture():
    assert ET.fromstring(Graph().to_svg()).tag == f"{SVG}svg"
