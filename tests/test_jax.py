"""Compiled functions on arrays of JAX: under jit, grad, jvp, vmap and their compositions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gradc

jax: Any = pytest.importorskip("jax", reason="JAX is not installed")


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def compiled(*args: Any, **options: Any) -> Any:
    return gradc.compile(*args, jit=False, **options)


WAVE = compiled("sum(sin(W @ x)) * k", {"W": "m n", "x": "n", "k": ""})
PAIR = compiled("x * sin(x) * y, sum(x)**2, n", {"x": "n", "y": ""})
RNG = np.random.default_rng(2)
MATRIX, ROWS = RNG.standard_normal((3, 2)), RNG.standard_normal((4, 2))


def wave(W: Any, x: Any, k: Any) -> Any:
    return jax.numpy.sum(jax.numpy.sin(W @ x)) * k


def same(found: Any, wanted: Any) -> None:
    one, other = jax.tree.leaves(found), jax.tree.leaves(wanted)
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.dtype == b.dtype
        assert_allclose(a, b, rtol=1e-12, atol=1e-14)


TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "value": lambda f: f,
    "jit": lambda f: jax.jit(f),
    "grad": lambda f: jax.grad(f, (0, 1, 2)),
    "jit of grad": lambda f: jax.jit(jax.value_and_grad(f, (0, 1, 2))),
    "hessian": lambda f: jax.hessian(f, (0, 1)),
    "forward over forward": lambda f: jax.jacfwd(jax.jacfwd(f, 1), 1),
    "reverse over reverse": lambda f: jax.jit(jax.jacrev(jax.jacrev(f, 1), 0)),
    "reverse over forward": lambda f: jax.jacrev(jax.jacfwd(f, 1), 1),
    "jvp": lambda f: lambda *args: jax.jvp(f, args, args),
    "third": lambda f: jax.grad(lambda W, x, k: jax.grad(jax.grad(f, 2), 2)(W, x, k) + jax.jacfwd(f, 2)(W, x, k) ** 2),
    "inside a loss": lambda f: jax.grad(lambda W, x, k: jax.numpy.exp(f(W, 2.0 * x, k)) * k, (0, 1, 2)),
    "checkpoint": lambda f: jax.grad(jax.checkpoint(f), 1),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_it_composes_as_functions_of_jax_do(name: str) -> None:
    args = (jax.numpy.asarray(MATRIX), jax.numpy.asarray(ROWS[0]), 1.5)
    same(TRANSFORMS[name](WAVE.jax())(*args), TRANSFORMS[name](wave)(*args))


def test_a_batch_is_run_entry_by_entry() -> None:
    W, rows = jax.numpy.asarray(MATRIX), jax.numpy.asarray(ROWS)

    def both(f: Any) -> Any:
        one = jax.vmap(jax.value_and_grad(f, 1), (None, 0, None))(W, rows, 2.0)
        turned = jax.vmap(f, (None, 1, None))(W, rows.T, 2.0)
        whole = jax.jit(jax.grad(lambda rows: jax.numpy.sum(jax.vmap(f, (None, 0, None))(W, rows, 2.0) ** 2)))(rows)
        return one, turned, whole

    same(both(WAVE.jax()), both(wave))


def test_nested_arguments_and_results_keep_their_structure() -> None:
    f = compiled(lambda p, x: {"y": np.tanh(x @ p["W"] + p["b"]), "count": np.sum(x > 0)}).jax()
    p, rows = {"W": jax.numpy.ones((2, 3)), "b": jax.numpy.zeros(3)}, jax.numpy.asarray(ROWS)
    found = f(p, rows)
    assert found["count"] == np.sum(ROWS > 0) and found["y"].shape == (4, 3)
    gradient = jax.grad(lambda p: jax.numpy.sum(f(p, rows)["y"]))(p)
    wanted = jax.grad(lambda p: jax.numpy.sum(jax.numpy.tanh(rows @ p["W"] + p["b"])))(p)
    same(gradient, wanted)
    tangent = jax.jvp(lambda p: f(p, rows), (p,), (p,))[1]
    assert tangent["count"].dtype == jax.dtypes.float0


def test_several_results_have_their_own_cotangents() -> None:
    x = jax.numpy.asarray([1.0, 2.0])
    first, second, count = PAIR.jax()(x, 3.0)
    assert count == 2 and first.shape == (2,)
    assert_allclose(jax.grad(lambda x: PAIR.jax()(x, 3.0)[1])(x), [6.0, 6.0])
    assert_allclose(jax.jacobian(lambda x: PAIR.jax()(x, 3.0)[0])(x), PAIR.by("x").jacobian([1.0, 2.0], 3.0)[0])
    assert second == 9.0


def test_in_single_precision_numbers_take_that_of_jax() -> None:
    jax.config.update("jax_enable_x64", False)
    f = compiled("sum(x**2) * k", {"x": "float32 n", "k": ""}).jax()
    value, (dx, dk) = jax.jit(jax.value_and_grad(f, (0, 1)))(jax.numpy.asarray([1.0, 2.0]), 3.0)
    assert value == 15.0 and dx.dtype == dk.dtype == np.float32
    assert_allclose(dx, [6.0, 12.0])
    undeclared = compiled(lambda x: np.sum(np.exp(x))).jax()
    assert jax.grad(undeclared)(jax.numpy.zeros(2)).dtype == np.float32
    with pytest.raises(gradc.ArgumentError, match=r"the argument W is float64, and an array of float32 is given"):
        WAVE.jax()(jax.numpy.asarray(MATRIX), jax.numpy.asarray(ROWS[0]), 1.0)


def test_sizes_are_known_when_jax_traces() -> None:
    f = compiled("x[:k] * 2", {"x": "n", "k": "int"}).jax()
    x = jax.numpy.asarray([1.0, 2.0, 3.0])
    assert_allclose(jax.jit(lambda x: f(x, 2))(x), [2.0, 4.0])
    with pytest.raises(gradc.ArgumentError, match="the argument k is a size, and JAX must know"):
        jax.jit(f)(x, 2)


def test_whole_numbers_and_conditions_take_part() -> None:
    f = compiled("sum(x[i]**k for i in range(n) if flags[i])", {"x": "n", "flags": "bool n", "k": "int"}).jax()
    x, flags = jax.numpy.asarray([1.0, 2.0, 3.0]), jax.numpy.asarray([True, False, True])
    assert_allclose(jax.jit(jax.grad(lambda x: f(x, flags, 3)))(x), [3.0, 0.0, 27.0])


@pytest.mark.parametrize(("args", "error", "match"), [
    ((MATRIX.astype(np.float32), ROWS[0], 1.0), gradc.ArgumentError, "the argument W is float64, and an array of float32"),
    ((MATRIX, ROWS[0], 1.0j), gradc.ArgumentError, "the argument k is float64, and an array of complex128"),
    ((MATRIX, ROWS, 1.0), gradc.ShapeError, "the argument x must have 1 dimensions, but it has shape"),
    ((MATRIX.T, ROWS[0], 1.0), gradc.ShapeError, r"x.shape\[0\] is 2, but n"),
    ((MATRIX, ROWS[0], "one"), gradc.ArgumentError, "the argument k is no array for JAX .*give an array or a number"),
    ((MATRIX, ROWS[0]), gradc.ArgumentError, "the argument k is missing"),
])
def test_arrays_that_do_not_fit_are_refused(args: Any, error: Any, match: str) -> None:
    with pytest.raises(error, match=match):
        WAVE.jax()(*args)


def test_what_the_function_refuses_is_refused_inside_jit() -> None:
    f = compiled(lambda a: gradc.root(lambda x: x * x + a, 0.5), {"a": ""}).jax()
    assert_allclose(f(-4.0), 2.0)
    with pytest.raises(gradc.DomainError, match="gradc.root"):
        f(4.0)
    with pytest.raises(Exception, match="gradc.root"):
        jax.block_until_ready(jax.jit(f)(4.0))


def test_it_says_what_it_is() -> None:
    assert "of gradc on arrays of JAX" in repr(WAVE.jax())


def test_without_jax_the_adapter_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(gradc.UnsupportedError, match=r"f.jax\(\) needs jax, .*pip install 'gradc\[jax\]'"):
        WAVE.jax()
