"""The Function object: calls, derivatives, `out=`, the gate, pickles, threads, and its use from compiled code."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import pytest

import gradc
from gradc.compiler.function import Function
from gradc.ir.errors import ArgumentError

from .comparison import same
from .sources import body

ROSENBROCK = "sum(100*(x[i+1] - x[i]**2)**2 + (1 - x[i])**2 for i in range(n - 1))"
NETWORK = {"W1": "h d", "W2": "c h", "x": "d", "y": "c"}
LOSS = "hidden = maximum(W1 @ x, 0); sum((W2 @ hidden - y)**2)"


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "compiled"])
def circuit(request: pytest.FixtureRequest) -> Function:
    return gradc.compile("q = x + y; q * z", jit=request.param)


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "compiled"])
def rosenbrock(request: pytest.FixtureRequest) -> Function:
    return gradc.compile(ROSENBROCK, {"x": "n"}, jit=request.param)


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "compiled"])
def network(request: pytest.FixtureRequest) -> Function:
    return gradc.compile(LOSS, NETWORK, jit=request.param)


def data() -> dict[str, Any]:
    random = np.random.default_rng(0)
    return {"W1": random.standard_normal((4, 3)), "W2": random.standard_normal((2, 4)),
            "x": random.standard_normal(3), "y": random.standard_normal(2)}


# -- calls --------------------------------------------------------------------------------------


def test_a_function_is_called_by_position_and_by_keyword(circuit: Function) -> None:
    for _ in range(2):                                          # the first call compiles
        assert circuit(-2, 5, -4) == -12.0
        assert circuit(-2.0, 5.0, z=-4.0) == -12.0
        assert circuit(z=-4.0, x=-2.0, y=5.0) == -12.0
        assert circuit.grad(-2, 5, z=-4) == (-4.0, -4.0, 3.0)
        assert circuit.value_and_grad(x=-2.0, y=5.0, z=-4.0) == (-12.0, (-4.0, -4.0, 3.0))


def test_the_gradient_is_bare_for_one_argument_and_a_named_tuple_for_more(circuit: Function,
                                                                         rosenbrock: Function) -> None:
    gradient = circuit.grad(-2.0, 5.0, -4.0)
    assert gradient._fields == ("x", "y", "z")
    assert (gradient.x, gradient["z"], gradient[1]) == (-4.0, 3.0, -4.0)
    assert repr(gradient) == "Gradient(x=-4.0, y=-4.0, z=3.0)"
    assert isinstance(rosenbrock.grad(np.ones(3)), np.ndarray)
    only = gradc.compile("x * y", wrt="y", jit=False)
    assert only.wrt == ("y",)
    assert only.grad(3.0, 5.0) == 3.0
    pair = gradc.compile("x * y * z", wrt=("z", "x"), jit=False)
    assert pair.grad(2.0, 3.0, 5.0)._asdict() == {"z": 6.0, "x": 15.0}


def test_scalars_are_pythons_own_numbers(circuit: Function) -> None:
    assert type(circuit(1, 2, 3)) is float
    assert [type(part) for part in circuit.grad(1, 2, 3)] == [float] * 3


def test_a_function_knows_its_arguments_and_derivatives(network: Function) -> None:
    assert network.args == ("W1", "W2", "x", "y")
    assert network.wrt == ("W1", "W2", "x", "y")
    assert network.grad.args == network.args
    assert network.grad is network.grad
    assert network.value_and_grad.wrt == network.wrt
    assert network.grad.primal is network
    assert network.primal is None
    assert network.__name__ == "value"
    assert network.grad.__name__ == "grad"


def test_source_and_graph_can_be_looked_at(network: Function) -> None:
    assert "def value_and_grad(W1, W2, x, y):" in network.value_and_grad.source
    assert str(network.graph).startswith("gradc graph 1")
    assert 'output "value"' in str(network.graph)
    assert 'output "d_W1"' in str(network.grad.graph)
    assert repr(network) == "<gradc.Function value(W1, W2, x, y)>"
    assert network._repr_html_().startswith("<pre>")
    assert "&lt;" in gradc.compile("where(x < y, x, y)", jit=False)._repr_html_()


def test_values_are_those_of_numpy(network: Function) -> None:
    given = data()
    hidden = np.maximum(given["W1"] @ given["x"], 0.0)
    error = given["W2"] @ hidden - given["y"]
    value, gradient = network.value_and_grad(**given)
    assert value == pytest.approx(error @ error)
    np.testing.assert_allclose(gradient.W2, 2.0 * np.outer(error, hidden))
    back = (given["W2"].T @ (2.0 * error)) * (hidden > 0)
    np.testing.assert_allclose(gradient.W1, np.outer(back, given["x"]))
    np.testing.assert_allclose(gradient.x, given["W1"].T @ back)
    np.testing.assert_allclose(gradient.y, -2.0 * error)


def test_several_outputs_come_as_a_tuple(rosenbrock: Function) -> None:
    f = gradc.compile("q = A @ x; sum(q), q, 2 * q", {"A": "n m", "x": "m"}, jit=rosenbrock.options.jit)
    total, q, twice = f(np.eye(2), [1.0, 2.0])
    assert total == 3.0
    assert q.tolist() == [1.0, 2.0]
    assert twice.tolist() == [2.0, 4.0]
    one, same_one = gradc.compile("x, x", {"x": "n"}, jit=False)([1.0])
    one[0] = 5.0
    assert same_one[0] == 1.0                                   # each result is an array of its own


def test_a_result_is_a_fresh_array(rosenbrock: Function) -> None:
    x = np.array([0.5, 0.7])
    first = rosenbrock.grad(x)
    kept = first.copy()
    second = rosenbrock.grad(np.zeros(2))
    assert first is not second
    np.testing.assert_array_equal(first, kept)
    given = gradc.compile("x", {"x": "n"}, jit=False)(x)
    given[0] = 9.0
    assert x[0] == 0.5


# -- what is converted and what is not ------------------------------------------------------------


def test_whole_numbers_and_lists_are_converted(rosenbrock: Function) -> None:
    wanted = rosenbrock.grad(np.array([1.0, 2.0, 3.0]))
    for given in ([1, 2, 3], (1.0, 2, 3), np.array([1, 2, 3]), np.array([1, 2, 3], np.int8),
                  np.array([1, 2, 3], np.float32), np.array([1.0, 9.0, 2.0, 9.0, 3.0])[::2], np.array([True, 2, 3])):
        np.testing.assert_array_equal(rosenbrock.grad(given), wanted)
    frozen = np.array([1.0, 2.0, 3.0])
    frozen.flags.writeable = False
    np.testing.assert_array_equal(rosenbrock.grad(frozen), wanted)
    np.testing.assert_array_equal(rosenbrock.grad(np.array([1.0, 2.0, 3.0], ">f8")), wanted)


def test_arrays_in_fortran_order_are_read_right() -> None:
    f = gradc.compile("sum(A[i, j] * (i + 10 * j) for i in range(n) for j in range(m))", {"A": "n m"})
    A = np.arange(6.0).reshape(2, 3)
    for _ in range(2):
        assert f(np.asfortranarray(A)) == f(A)
        assert f(A.T.copy().T) == f(A)


def test_numpy_scalars_and_arrays_without_dimensions_are_numbers(circuit: Function) -> None:
    assert circuit(np.float64(-2), np.int32(5), np.array(-4.0)) == -12.0
    assert circuit(True, np.float32(0.5), 2) == 3.0


def test_nothing_is_narrowed() -> None:
    f = gradc.compile("sum(x)", {"x": "float32 n"}, jit=False)
    assert f(np.array([0.5, 0.25], np.float32)) == 0.75
    assert f([1, 2]) == 3.0
    with pytest.raises(ArgumentError, match="declared float32"):
        f(np.array([0.5, 0.25]))
    k = gradc.compile("x**k", {"k": "int"}, jit=False)
    assert k(k=np.int64(2), x=3.0) == 9.0
    with pytest.raises(ArgumentError, match="must be int64"):
        k(k=2.5, x=3.0)


def test_types_declared_are_types_received() -> None:
    f = gradc.compile("where(b, x, y) * k", {"b": "bool", "k": "int"})
    for _ in range(2):
        assert f(b=True, k=2, x=1.0, y=5.0) == 2.0
        assert f(b=False, k=2, x=1.0, y=5.0) == 10.0
        assert f(b=np.bool_(False), k=np.int8(2), x=1, y=5) == 10.0


# -- out= ---------------------------------------------------------------------------------------


def test_out_receives_one_array(rosenbrock: Function) -> None:
    x, out = np.array([0.5, 0.7, -1.0]), np.full(3, np.nan)
    for _ in range(2):
        assert rosenbrock.grad(x, out=out) is out
        np.testing.assert_array_equal(out, rosenbrock.grad(x))
        value, gradient = rosenbrock.value_and_grad(x, out=out)
        assert gradient is out
        assert value == rosenbrock(x)
    np.testing.assert_array_equal(rosenbrock.grad([0.5, 0.7, -1], out=np.empty(3)), out)


def test_out_receives_several_arrays(network: Function) -> None:
    given = data()
    wanted = network.grad(**given)
    outs = tuple(np.full(np.shape(part), np.nan) for part in wanted)
    for form in (outs, list(outs), dict(zip(network.wrt, outs, strict=True))):
        found = network.grad(**given, out=form)
        assert all(a is b for a, b in zip(found, outs, strict=True))
        same(found, wanted)


def test_a_view_may_be_given_as_out(rosenbrock: Function) -> None:
    held = np.zeros((2, 3))
    rosenbrock.grad(np.ones(3) / 2, out=held[1])
    np.testing.assert_array_equal(held[1], rosenbrock.grad(np.ones(3) / 2))
    assert held[0].tolist() == [0.0, 0.0, 0.0]


# -- forward and backward -------------------------------------------------------------------------


def test_the_gate_gives_the_gradient(network: Function) -> None:
    given = data()
    value, saved = network.forward(**given)
    assert value == network(**given)
    same(network.backward(saved), network.grad(**given))
    same(network.backward(saved, 3.0), tuple(3.0 * part for part in network.grad(**given)))


def test_the_gate_reads_forward_values_instead_of_computing_them_again() -> None:
    f = gradc.compile("q = exp(x * y); q * q", jit=False)
    _, saved = f.forward(0.3, 0.5)
    assert np.exp(0.15) in saved.values
    assert "exp(" in body(f._gate[1].source)
    assert "exp(" not in body(f._gate[2].source)


def test_the_gate_takes_a_cotangent_of_any_shape() -> None:
    f = gradc.compile("tanh(W @ x)", {"W": "n m", "x": "m"}, jit=False)
    W, x, d = np.arange(6.0).reshape(2, 3) / 10, np.array([0.1, -0.2, 0.3]), np.array([0.5, -2.0])
    value, saved = f.forward(W, x)
    gradient = f.backward(saved, d)
    back = d * (1.0 - value**2)
    np.testing.assert_allclose(gradient.W, np.outer(back, x))
    np.testing.assert_allclose(gradient.x, W.T @ back)
    both = gradc.compile("x * y, x + y", jit=False)
    value, saved = both.forward(2.0, 3.0)
    assert value == (6.0, 5.0)
    assert both.backward(saved, (10.0, 1.0)) == (31.0, 21.0)


def test_the_gates_cotangent_may_share_the_name_of_an_argument() -> None:
    f = gradc.compile("value = x * d_value; value", jit=False)
    _, saved = f.forward(2.0, 3.0)
    assert f.backward(saved, 10.0) == (30.0, 20.0)


# -- from compiled code -------------------------------------------------------------------------


def test_the_dispatchers_are_called_in_the_users_own_compiled_code() -> None:
    import numba

    f = gradc.compile(ROSENBROCK, {"x": "n"})
    value, gradient, both = f.jit, f.grad.jit, f.value_and_grad.jit

    @numba.njit
    def descend(x, steps):  # type: ignore[no-untyped-def]
        for _ in range(steps):
            x = x - 1e-3 * gradient(x)
        return value(x), both(x)[0]

    start = np.array([0.5, 0.7])
    after, again = descend(start, 10)
    assert after == again
    assert after < f(start)


@pytest.mark.parametrize(("formula", "count"), [
    ("+".join(f"max(a{i}, 0)" for i in range(40)), 40), ("+".join(f"a{i}**b{i}" for i in range(20)), 40)])
def test_gradients_of_many_arguments_compile(formula: str, count: int) -> None:
    f = gradc.compile(formula, cache=False)
    plain = gradc.compile(formula, jit=False)
    point = np.linspace(0.5, 2.0, count).tolist()
    same(f.value_and_grad(*point), plain.value_and_grad(*point))


FIXED = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])     # Numba takes the globals of compiled code as read-only


def test_read_only_arrays_are_arguments_in_compiled_code_and_in_calls() -> None:
    f = gradc.compile("sum((A @ x)**2)", {"A": "m n", "x": "n"}, wrt="x")
    slope = f.grad.jit

    @numba.njit
    def rows(x: Any) -> Any:
        return slope(FIXED[1:], x)

    wanted = 2.0 * FIXED[1:].T @ (FIXED[1:] @ np.ones(2))
    np.testing.assert_allclose(rows(np.ones(2)), wanted)
    locked = FIXED[1:].copy()
    locked.flags.writeable = False
    np.testing.assert_allclose(f.grad(locked, np.ones(2)), wanted)


def test_the_named_tuple_passes_through_the_users_compiled_code() -> None:
    import numba

    gradient = gradc.compile("(x + y) * z").grad.jit

    @numba.njit
    def use(x, y, z):  # type: ignore[no-untyped-def]
        g = gradient(x, y, z)
        return g.x + 10.0 * g.z

    assert use(-2.0, 5.0, -4.0) == 26.0


def test_compiled_code_refuses_shapes_that_disagree() -> None:
    f = gradc.compile("sum(x * y)", {"x": "n", "y": "n"})
    with pytest.raises(ValueError, match="must equal n"):
        f.jit(np.ones(2), np.ones(3))


def test_without_jit_the_plain_function_is_there() -> None:
    f = gradc.compile("x * y", jit=False)
    assert f.jit(2.0, 3.0) == 6.0
    assert not hasattr(f.jit, "signatures")


DISABLED = """
import gradc, numpy as np, sys
f = gradc.compile({formula!r}, {{"x": "n"}})
value, gradient = f.value_and_grad(np.array([0.5, 0.7, -1.0]))
print(repr(value), gradient.tolist())
assert "numba" not in sys.modules
assert not hasattr(f.jit, "signatures")
"""


def test_numbas_own_switch_runs_the_plain_text() -> None:
    run = subprocess.run([sys.executable, "-c", DISABLED.format(formula=ROSENBROCK)], text=True, check=True,
                         capture_output=True, env={**os.environ, "NUMBA_DISABLE_JIT": "1"})
    value, gradient = gradc.compile(ROSENBROCK, {"x": "n"}, jit=False).value_and_grad(np.array([0.5, 0.7, -1.0]))
    assert run.stdout.strip() == f"{value!r} {gradient.tolist()}"


def test_compiled_and_plain_calls_agree(network: Function) -> None:
    given = data()
    plain = gradc.compile(LOSS, NETWORK, jit=False)
    same(network.value_and_grad(**given), plain.value_and_grad(**given))


# -- pickles, processes, threads ------------------------------------------------------------------


def test_functions_pickle(network: Function) -> None:
    given = data()
    for function in (network, network.grad, network.value_and_grad, network.grad.primal):
        assert function is not None
        copy = pickle.loads(pickle.dumps(function))
        same(copy(**given), function(**given))
        assert copy.source == function.source
        assert (copy.args, copy.wrt, copy.__name__) == (function.args, function.wrt, function.__name__)
        assert copy.options == function.options


def test_derivatives_of_derivatives_and_results_pickle() -> None:
    f = gradc.compile("x**3 * y", wrt="x", jit=False)
    second = pickle.loads(pickle.dumps(f.grad.grad))
    assert second(2.0, 5.0) == 60.0
    gradient = gradc.compile("x * y", jit=False).grad(2.0, 5.0)
    assert pickle.loads(pickle.dumps(gradient)) == gradient


def test_halves_of_the_gate_pickle() -> None:
    f = gradc.compile("q = exp(x); q * y", jit=False)
    _, forward, backward = f._gate
    assert pickle.loads(pickle.dumps(forward))(0.0, 3.0) == forward(0.0, 3.0)
    assert pickle.loads(pickle.dumps(backward)).source == backward.source


def test_a_pickle_holds_no_code() -> None:
    assert b"def " not in pickle.dumps(gradc.compile(ROSENBROCK, {"x": "n"}, jit=False).grad)


UNPICKLE = "import pickle, sys; f = pickle.load(sys.stdin.buffer); print(f([0.5, 0.7, -1.0]).tolist())"


def test_a_pickle_runs_in_another_process() -> None:
    f = gradc.compile(ROSENBROCK, {"x": "n"})
    run = subprocess.run([sys.executable, "-c", UNPICKLE], input=pickle.dumps(f.grad), capture_output=True, check=True)
    assert run.stdout.decode().strip() == str(f.grad([0.5, 0.7, -1.0]).tolist())


def test_threads_may_share_a_function_from_its_first_call_on() -> None:
    f = gradc.compile(f"{ROSENBROCK} + 0.125", {"x": "n"}, cache=False)
    points = [np.full(5, k / 10) for k in range(40)]
    start = threading.Barrier(8)

    def work(k: int) -> list[float]:
        start.wait()
        return [f.value_and_grad(x)[0] for x in points[k::8]]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(8)))
    plain = gradc.compile(f"{ROSENBROCK} + 0.125", {"x": "n"}, jit=False)
    for k in range(8):
        assert found[k] == pytest.approx([plain(x) for x in points[k::8]])


def test_a_function_without_arguments_is_a_constant() -> None:
    for jit in (False, True):
        f = gradc.compile("2 + pi", jit=jit)
        assert f() == f() == pytest.approx(2 + np.pi)
        assert f.args == ()
