"""What formula strings mean: the interpreter's value of the parsed graph against NumPy and plain Python."""

import math
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradc
from gradc.compiler.formula import parse
from gradc.ir.errors import GradcError, ShapeError
from gradc.ir.graph import Graph
from gradc.ir.interpret import evaluate

RNG = np.random.default_rng(7)
SHAPES = {"x": "n", "y": "n", "A": "n K", "B": "K n", "S": "n n", "R": "1 K", "idx": "int K",
          "mask": "bool n", "k": "int"}
VALUES: dict[str, Any] = {
    "x": RNG.normal(size=6), "y": RNG.normal(size=6), "A": RNG.normal(size=(6, 4)),
    "B": RNG.normal(size=(4, 6)),
    "S": RNG.normal(size=(6, 6)), "R": RNG.normal(size=(1, 4)), "idx": np.array([0, 3, 3, 2]),
    "mask": np.array([True, False, True, True, False, False]), "k": 2,
}
NUMPY = {
    "sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min, "mean": np.mean, "any": np.any,
    "all": np.all,
    "argmax": np.argmax, "argmin": np.argmin, "where": np.where, "exp": np.exp, "log": np.log, "sin": np.sin,
    "sqrt": np.sqrt, "clip": np.clip, "maximum": np.maximum, "floor": np.floor, "hypot": np.hypot,
    "abs": np.abs,
    "logsumexp": np.logaddexp.reduce, "pi": math.pi, "e": math.e, "inf": math.inf, "len": len,
}
PYTHON = {
    "n": 6, "K": 4, "sum": sum, "max": max, "min": min, "any": any, "all": all, "range": range,
    "exp": math.exp,
    "log": math.log, "abs": abs, "len": len, "prod": math.prod,
    "mean": lambda items: float(np.mean(list(items))), "argmax": lambda items: int(np.argmax(list(items))),
    "logsumexp": lambda items: np.logaddexp.reduce(list(items)), "pi": math.pi,
}


def value(text: str, args: Any = None, **arguments: Any) -> Any:
    graph = parse(text, args)
    found = evaluate(graph, {name: arguments[name] for name in graph.inputs})
    return found[0] if len(found) == 1 else found


def scalar(text: str, **arguments: Any) -> Any:
    return value(text, None, **arguments)


WHOLE_ARRAYS = [
    "x + y", "2 * x - y / 3", "-x ** 2", "x * A[:, 0]", "S + x", "S * x[:, None]", "x[:, None] - x[None, :]",
    "R + A", "A * R[0]", "R * x[:, None]", "sin(x) * exp(-y)", "x // 0.3 + x % 0.7", "abs(x) ** y",
    "sum(x)", "sum(A)", "sum(A, axis=0)", "sum(A, axis=1)", "sum(A, axis=-1)", "sum(A, axis=(0, 1))",
    "max(A, axis=0)", "min(A)", "prod(x)", "mean(A, axis=1)", "mean(A)", "argmax(x)", "argmin(A, axis=1)",
    "any(x > 1)", "all(A > -9, axis=0)", "sum(x > 0)", "mean(x > 0)", "logsumexp(x)", "max(x) - min(x)",
    "where(x > 0, x, 0) * 2", "where(mask, x, y)", "(x > 0) * y + (y > 0)", "clip(x, -0.5, 0.5)",
    "maximum(x, 0)", "x @ y", "A @ B", "x @ A", "A @ B[:, 0]", "sum(x * y) / sqrt(sum(x * x))",
]
INDICES = [
    "x[0]", "x[-1] + x[-6]", "x[k]", "x[k + 1] * x[2 * k]", "A[2]", "A[1, 2]", "A[1][2]", "A[:, 1]",
    "A[-1, :]",
    "A[1:3]", "A[1:3, ::2]", "x[1:] - x[:-1]", "x[::-1] * y", "x[::2]", "x[1::2]", "x[4:1:-1]", "x[-3:]",
    "x[:k]",
    "x[k:k + 2]", "A[idx]", "A[idx, 1]", "A[1, idx]", "S[idx, idx]", "S[idx][:, idx]", "S[:, idx]",
    "A[idx][1:3]",
    "A[:, None, :] * B[None, :, 0:1]", "A[None]", "x[idx] * A[0]", "x[argmax(y)]", "x[None, :, None]",
    "S[idx, None, idx]", "x[3:1]", "where(x[:4] > -9, x[idx], 0)",
    "S[idx[:, None], idx]", "(x + y)[2]", "(x * y)[1:][0]", "S[k][1:]",
    "len(x) + len(A[0])",
    "x.shape[0] + A.shape[1]", "x[idx[1]]", "A[idx[1] - 1]", "where(x > 0, x, y)[k]",
]


@pytest.mark.parametrize("text", WHOLE_ARRAYS + INDICES)
def test_array_expressions_mean_what_numpy_means(text: str) -> None:
    expected = eval(text, {**NUMPY, **VALUES})  # the texts above, not a user's
    got = value(text, SHAPES, **VALUES)
    assert np.shape(got) == np.shape(expected)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


GENERATORS = [
    "sum(x[i] for i in range(n))", "sum(i * x[i] for i in range(1, n))", "prod(x[i] for i in range(n))",
    "sum(100*(x[i+1] - x[i]**2)**2 + (1 - x[i])**2 for i in range(n - 1))",
    "sum(x[i]*y[j] for i in range(n) for j in range(n) if i != j)",
    "sum(x[i]*y[j] for i in range(n) for j in range(i))",
    "sum(x[i]*y[j] for i in range(n) for j in range(i + 1, n))",
    "sum(x[i]*y[j] for i in range(n) for j in range(i + 2, n, 2))",
    "sum(x[i]*y[j] for i in range(n) for j in range(i, -1, -1))",
    "sum(x[i]*y[j] for i in range(n) for j in range(max(0, i - 1), min(n, i + 2)))",
    "sum(x[i]*y[j] for i in range(n - 2) for j in range(i, i + 3))",
    "sum(x[i]*x[j]*x[l] for i in range(n) for j in range(i) for l in range(j))",
    "sum(x[i] for i in range(n - 1, -1, -2))", "sum(x[i] for i in range(1, n, 3))",
    "sum(x[2*i+1] for i in range(n//2))",
    "sum(x[i] for i in range(3))", "sum(i for i in range(0))",
    "sum(1 for i in range(n) for j in range(n) if i < j)",
    "max(x[i] for i in range(n) if i % 2 == 0)", "min(x[i] + y[j] for i in range(n) for j in range(n))",
    "max(S[i, j] for i in range(n) for j in range(i))", "mean(x[i] for i in range(n) if x[i] > 0)",
    "mean(A[i, j] for i in range(n) for j in range(K))",
    "logsumexp(A[i, j] for i in range(n) for j in range(K) if j <= i)",
    "argmax(x[i] * y[i] for i in range(n))", "any(x[i] > 1.0 for i in range(n))",
    "all(x[i] > y[i] for i in range(n))",
    "sum(log(sum(exp(A[i, j]) for j in range(K))) for i in range(n))",
    "sum(sum(A[i, j] for j in range(K)) * x[i] for i in range(n))",
    "sum(max(A[i]) for i in range(n))", "sum(x[idx[j]] * A[0, j] for j in range(K))",
    "sum(x[(i + 1) % n] * y[i] for i in range(n))",
    "sum(x[i + j] for i in range(n - 2) for j in range(3))",
    "sum(A[i, j] for i in range(n) for j in range(K) if i == j)",
    "sum(x[i-1] if i > 0 else 0.0 for i in range(n))", "sum(x[i+1] if i + 1 < n else x[0] for i in range(n))",
    "sum(x[i] for i in range(n) if i > 0 and x[i-1] > 0)",
    "sum(x[i] for i in range(n) if i == 0 or x[i-1] > 0)",
    "sum(x[i] for i in range(n) if mask[i])", "sum((x[i] if mask[i] else -1) for i in range(n))",
    "sum((-1)**i * x[i] for i in range(n))", "sum(2**i for i in range(n))", "sum(x[i]**i for i in range(n))",
    "sum(i // 2 + i % 3 for i in range(n))", "sum(x[i // 2] for i in range(n))",
    "sum(x[abs(i - 2)] for i in range(n))",
    "sum(x[min(i + k, n - 1)] for i in range(n))", "sum(x[i] / n for i in range(n))",
    "sum(i for i in range(n) for i in range(i))", "sum(sum(i for i in range(3)) + i for i in range(n))",
    "sum(x[j] for i in range(n) for j in range(i - 1, n) if j >= 0)",
    "sum(x[j] for i in range(n) for j in range(min(i, 2), n))", "sum(i**2 * x[i] for i in range(n))",
    "sum(y[i] * j for i in range(n) for j in range(max(i, i + 1)))", "sum(i**0 + i**3 for i in range(n))",
    "sum(x[i] * (0 < i < 3) for i in range(n))", "sum(0.5 * i for i in range(len(x)))",
]


@pytest.mark.parametrize("text", GENERATORS)
def test_generators_mean_what_python_means(text: str) -> None:
    expected = eval(text, {**PYTHON, **VALUES})
    np.testing.assert_allclose(value(text, SHAPES, **VALUES), expected, rtol=1e-12)


@pytest.mark.parametrize(("text", "expected"), [
    ("sum(x * y[i] for i in range(n))", lambda v: v["x"] * v["y"].sum()),
    ("sum(sum(x * y[i]) for i in range(n))", lambda v: v["x"].sum() * v["y"].sum()),
    ("sum(sum(S[i] * x) for i in range(n))", lambda v: (v["S"] @ v["x"]).sum()),
    ("max(A[i] for i in range(n))", lambda v: v["A"].max(axis=0)),
    ("t = x * y; sum(t[i] * t for i in range(n))", lambda v: (v["x"] * v["y"]).sum() * v["x"] * v["y"]),
    ("t = S @ x; sum(t[j] * S[i] for i in range(n) for j in range(n) if i != j)",
     lambda v: sum((v["S"] @ v["x"])[j] * v["S"][i] for i in range(6) for j in range(6) if i != j)),
])
def test_arrays_inside_generators_keep_apart_from_the_indices(text: str, expected: Any) -> None:
    np.testing.assert_allclose(value(text, SHAPES, **VALUES), expected(VALUES), rtol=1e-12)


@pytest.mark.parametrize("text", [
    "x ** y ** 2", "-x ** 2", "(x + y) * z", "x - (y - z)", "x / y / z", "x // y + x % y", "+x", "not x < y",
    "x < y < z", "x if y > z else z", "1 if x > y else 2 if y > z else 3",
    "2**3 + 2**-1 + 7//2 + 7%3 - -7//2",
    "x if x > 0 and y > 0 or z > 0 else y", "1_000 * x + 0x1f", "True + (x > y)", "(x > y) * (y < z) * 1.5",
    "x +(y\n * z)", "x == y or x != z", "abs(-x) + max(x, y, z) - min(x, 1)", "10**20 * x", "3**40 + x",
    "2**62 + x",
])
def test_scalar_expressions_mean_what_python_means(text: str) -> None:
    for x, y, z in ((1.5, 0.5, -2.0), (-0.5, 3.0, 2.0), (2.0, 2.0, 2.0)):
        names = {"x": abs(x) if "**" in text else x, "y": y, "z": z}
        assert value(text, "x y z", **names) == pytest.approx(eval(text, dict(names)), rel=1e-14)


def test_statements_name_nodes_and_the_last_one_names_the_output() -> None:
    graph = parse("q = x + y; f = q * z")
    assert list(graph.inputs) == ["x", "y", "z"]
    assert evaluate(graph, {"x": -2, "y": 5, "z": -4}) == [-12.0]
    (name, node), = graph.outputs
    assert name == "f"
    assert graph.names == {node.args[0]: ["q"], node: ["f"]}
    spans = [graph.spans[found] for found in (node.args[0], node)]
    assert [graph.source[span.start:span.stop] for span in spans] == ["x + y", "q * z"]


@pytest.mark.parametrize(("text", "names"), [
    ("x + y", ["value"]), ("f = x", ["f"]), ("q = 2*x; q", ["q"]), ("x, 2*x", ["value_0", "value_1"]),
    ("q = 2*x\n(q, x, q)", ["q", "value_1", "q_2"]), ("f = x, 2*x", ["f_0", "f_1"]), ("x,", ["value_0"]),
])
def test_outputs_are_named_after_values_or_numbered(text: str, names: list[str]) -> None:
    assert [name for name, _ in parse(text).outputs] == names


def test_layout_of_statements_is_free() -> None:
    text = "\n  # a comment: π is fine here\r\n  q = (x +\n     y)  # more\n\n  ;; f = q * z ;\n"
    assert scalar(text, x=1.0, y=2.0, z=3.0) == 9.0


@pytest.mark.parametrize(("args", "names"), [
    (None, ["b", "a", "x", "m"]), ("a, b", ["a", "b", "x", "m"]),
    (["x", "unused"], ["x", "unused", "b", "a", "m"]),
    ({"a": "float32", "unused": "n K"}, ["a", "unused", "b", "x", "m"]),
    ("m a", ["m", "a", "b", "x"]), ({"x": "", "m": "int"}, ["x", "m", "b", "a"]),
])
def test_arguments_come_declared_first_then_by_appearance_then_whole_numbers(args: Any,
                                                                             names: list[str]) -> None:
    graph = parse("sum(b for i in range(m)) + a * x", args)
    assert list(graph.inputs) == names
    assert graph.inputs["m"].dtype == "int64"


def test_declarations_give_dtypes_and_shapes() -> None:
    graph = parse("b", {"x": "float32 n+1 3", "j": "int64 2*n", "k": "int", "b": "bool", "t": ""})
    found = {name: (node.dtype, [str(dim) for dim in node.shape]) for name, node in graph.inputs.items()}
    assert found == {"x": ("float32", ["n + 1", "3"]), "j": ("int64", ["2*n"]), "k": ("int64", []),
                     "b": ("bool", []), "t": ("float64", []), "n": ("int64", [])}


def test_a_logarithm_takes_a_base_and_a_sign_begins_a_statement() -> None:
    assert scalar("log(x, 2)", x=8.0) == pytest.approx(3.0, rel=1e-15)
    assert scalar("q = 2 * x; -q", x=1.0) == -2.0


def test_constants_give_way_to_arguments_and_assigned_names() -> None:
    assert scalar("e + pi") == math.e + math.pi
    assert value("e + pi", "e", e=1.0) == 1.0 + math.pi
    assert value("e * pi", {"pi": "", "e": ""}, e=2.0, pi=3.0) == 6.0
    assert scalar("e = sin(e) * e; e", e=0.5) == math.sin(0.5) * 0.5
    assert scalar("pi = 3; pi + inf") == math.inf
    assert list(parse("e = sin(e) * e").inputs) == ["e"]


def test_a_name_of_a_function_is_an_argument_where_it_is_not_called() -> None:
    assert scalar("gamma * x + beta", gamma=2.0, x=3.0, beta=1.0) == 7.0


def test_a_dimension_is_a_value_and_an_unbound_one_an_argument() -> None:
    assert value("sum(x) / n", {"x": "n"}, x=np.ones(4)) == 1.0
    graph = parse("sum(x[i] for i in range(m)) / m", {"x": "n"})
    assert list(graph.inputs) == ["x", "m"]
    assert evaluate(graph, {"x": np.arange(5.0), "m": 3}) == [1.0]


def test_whole_number_arguments_are_dimensions_too() -> None:
    graph = parse("x[k] * k + sum(x[i] for i in range(k))", {"x": "n", "k": "int"})
    assert {node.attr.name for node in graph.nodes if node.op == "dim"} >= {"k"}
    assert evaluate(graph, {"x": np.arange(5.0), "k": 3}) == [3.0 * 3 + 3.0]


@pytest.mark.parametrize(("text", "dtype"), [
    ("k // 2 + k % 2", "int64"), ("k * k - 3", "int64"), ("k / 2", "float64"), ("k ** 2", "int64"),
    ("k ** 5", "float64"), ("2 ** k", "float64"), ("k + 0.5", "float64"), ("2 ** 10", "int64"),
    ("2 ** 80", "float64"), ("k > 1", "bool"), ("min(k, 3)", "int64"), ("9 ** 9 ** 9", "float64"),
])
def test_whole_numbers_stay_whole_where_they_can(text: str, dtype: str) -> None:
    assert parse(text, {"k": "int"}).outputs[0][1].dtype == dtype


def test_literals_beside_real_values_are_floats_and_share_a_node() -> None:
    graph = parse("2 * x + 2.0 * y + x ** 2")
    assert [node.value for node in graph.nodes if node.op == "const" and node.dtype == "float64"] == [2.0]


def test_float32_is_kept_beside_literals() -> None:
    assert parse("2 * x + 0.5", {"x": "float32"}).outputs[0][1].dtype == "float32"


def test_arrays_come_back_over_the_lowest_axes() -> None:
    graph = parse("x[:, None] * x", {"x": "n"})
    (_, node), = graph.outputs
    assert node.op == "store"
    assert [str(axis) for axis in node.attr.parts[0].axes] == ["n#0", "n#1"]


def test_unlike_dimensions_must_agree_at_run_time() -> None:
    graph = parse("x * y", {"x": "n", "y": "m"})
    assert [(str(a), str(b)) for a, b in graph.equal] == [("n", "m")]
    np.testing.assert_array_equal(evaluate(graph, {"x": np.ones(3), "y": np.full(3, 2.0)})[0],
                                  np.full(3, 2.0))
    with pytest.raises(ShapeError):
        evaluate(graph, {"x": np.ones(3), "y": np.ones(1)})


def reads(graph: Graph) -> list[int]:
    """How many guards each reachable read carries."""
    return [len(node.args) - 1 - node.attr for node in graph.reachable() if node.op == "read"]


def test_only_reads_that_are_not_proved_carry_the_condition_of_their_branch() -> None:
    assert reads(parse("sum(x[i-1] if i > 0 else 0 for i in range(n))", {"x": "n"})) == [1]
    assert reads(parse("sum(x[i] if x[i] > 0 else 0 for i in range(n))", {"x": "n"})) == [0]
    assert reads(parse("sum(x[i+1] for i in range(n) if i < n - 1)", {"x": "n"})) == [1]
    assert sorted(reads(parse("sum(x[i] * x[j] for i in range(n) for j in range(n) if i != j)",
                              {"x": "n"}))) == [0, 0]


def test_a_read_that_no_branch_takes_touches_nothing() -> None:
    text = "sum(x[idx[i]] if idx[i] >= 0 else 0 for i in range(m))"
    assert value(text, {"x": "n", "idx": "int m"}, x=np.array([5.0]), idx=np.array([-7, 0, -1])) == 5.0
    assert value("x[k] if k < n else -1", {"x": "n", "k": "int"}, x=np.ones(2), k=9) == -1
    text = "t = x * x; sum(t[i - 1] if i > 0 else 0 for i in range(n))"
    assert value(text, {"x": "n"}, x=np.array([1.0, 2.0, 3.0])) == 5.0


def test_a_triangular_range_shares_the_outer_dimension() -> None:
    graph = parse("sum(x[i] * x[j] for i in range(n) for j in range(i))", {"x": "n"})
    assert {str(node.attr.dim) for node in graph.reachable() if node.is_reduction} == {"n"}
    assert graph.checks == []


def test_equal_sums_are_one_node_whatever_the_index_is_called() -> None:
    graph = parse("sum(x[i]**2 for i in range(n)) * sum(x[j]**2 for j in range(n))", {"x": "n"})
    node = graph.outputs[0][1]
    assert node.args[0] is node.args[1]


def test_the_same_text_gives_the_same_graph() -> None:
    text = "t = S @ x; sum(t[i] * exp(x[j]) for i in range(n) for j in range(i)) + max(x, y, 0)[0]"
    first, second = parse(text, SHAPES), parse(text, SHAPES)
    assert [repr(node) for node in first.nodes] == [repr(node) for node in second.nodes]


def test_long_programs_and_long_expressions_pass() -> None:
    steps = 10_000
    graph = parse(";".join(f"t{i + 1} = sin(t{i}) * t{i}" for i in range(steps)))
    assert list(graph.inputs) == ["t0"]
    assert len(graph.nodes) == 2 * steps + 1
    product = parse(" * ".join(f"x{i}" for i in range(1000)))
    assert len(product.inputs) == 1000
    assert evaluate(product, {f"x{i}": 2.0 if i % 100 == 0 else 1.0 for i in range(1000)}) == [1024.0]


def test_a_deep_expression_needs_no_python_stack() -> None:
    text = "x" + " + x" * 800
    found: list[Any] = []

    def deep(level: int) -> None:
        if level:
            deep(level - 1)
        else:
            found.append(parse(text))

    thread = threading.Thread(target=deep, args=(600,))
    thread.start()
    thread.join()
    assert evaluate(found[0], {"x": 1.0}) == [801.0]


@settings(deadline=None)
@given(st.data())
def test_broadcasting_is_numpys(data: st.DataObject) -> None:
    """Operands of any rank up to 3 over literal dimensions 1, 2 and 3: the same shape, values or refusal."""
    sizes = st.lists(st.sampled_from([1, 2, 3]), max_size=3)
    shapes = [data.draw(sizes) for _ in range(3)]
    arrays = [np.arange(1.0, 1 + math.prod(shape)).reshape(shape) for shape in shapes]
    names = dict(zip("abc", arrays, strict=True))
    declared = {name: " ".join(map(str, array.shape)) for name, array in names.items()}
    text = data.draw(st.sampled_from(["a + b * c", "where(a > b, b, c)", "(a - b) / c", "max(a, b, c)"]))
    numpy = {"where": np.where, "max": lambda *args: np.maximum(np.maximum(*args[:2]), args[2])}
    try:
        expected = eval(text, {**numpy, **names})
    except ValueError:
        with pytest.raises(ShapeError):
            parse(text, declared)
        return
    got = value(text, declared, **names)
    assert np.shape(got) == np.shape(expected)
    np.testing.assert_array_equal(got, expected)


@settings(deadline=None)
@given(st.data())
def test_indexing_is_numpys(data: st.DataObject) -> None:
    """Up to four index items on an array of three dimensions; what is out of range is refused in both."""
    array = np.arange(24.0).reshape(2, 3, 4)
    item = st.sampled_from(["0", "1", "-1", "-2", ":", "1:", ":2", "::2", "::-1", "None", "p", "q", "k"])
    items = data.draw(st.lists(item, min_size=1, max_size=4))
    arguments = {"a": array, "p": np.array([0, 1, 1]), "q": np.array([[1], [0]]), "k": 1}
    text = f"a[{', '.join(items)}]"
    try:
        expected = eval(text, dict(arguments))
    except IndexError:
        with pytest.raises(GradcError):
            value(text, {"a": "2 3 4", "p": "int 3", "q": "int 2 1", "k": "int"}, **arguments)
        return
    got = value(text, {"a": "2 3 4", "p": "int 3", "q": "int 2 1", "k": "int"}, **arguments)
    assert np.shape(got) == np.shape(expected)
    np.testing.assert_array_equal(got, expected)


def test_a_root_of_a_negative_number_is_nan_as_in_numpy() -> None:
    for formula in ("(-8.0)**(1/3) * x", "q = -8; x * q**0.3", "x * (-2)**0.5"):
        f = gradc.compile(formula, jit=False)
        assert np.isnan(f(1.0)) and np.isnan(f.grad(1.0))
        assert np.isnan(evaluate(f.graph, {"x": 1.0})[0])
