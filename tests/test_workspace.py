"""Buffers in memory that the caller lends: the same bits, nothing allocated, and what is refused."""

from __future__ import annotations

import importlib
import re
from typing import Any

import numpy as np
import pytest

import gradc
from gradc import nn
from gradc.codegen import scratch
from gradc.ir.errors import ArgumentError, ShapeError

from .comparison import close

RNG = np.random.default_rng(3)


def mixture(alpha: Any, mu: Any, Q: Any, x: Any) -> Any:
    """The negative logarithm of a mixture of Gaussians, which works in tiles."""
    differences = x[:, None, :] - mu[None]
    terms = alpha - 0.5 * np.sum(np.einsum("kab,nkb->nka", np.tril(Q), differences) ** 2, axis=-1)
    largest = np.max(terms, axis=1)
    return np.sum(largest + np.log(np.sum(np.exp(terms - largest[:, None]), axis=1)))


def layers(x: Any, y: Any, V: Any, W: Any) -> Any:
    """A network, whose gradient begins with an array of zeros and multiplies matrices."""
    return nn.cross_entropy(nn.relu(x @ V.T) @ W.T, y)


def pooled(x: Any, w: Any) -> Any:
    """A convolution with a pool: single precision, truth values and whole numbers among the buffers."""
    return np.sum(nn.max_pool(nn.relu(nn.conv2d(x, w, padding="same")), 2) ** 2)


def given(shapes: dict[str, str], sizes: dict[str, int]) -> dict[str, Any]:
    """An array for each declaration: whole numbers are classes."""
    found: dict[str, Any] = {}
    for name, text in shapes.items():
        dtype, *dims = text.split() if text.split()[0] in ("int", "float32") else ("float64", *text.split())
        shape = [int(dim) if dim.isdigit() else sizes[dim] for dim in dims]
        found[name] = RNG.integers(0, 3, shape) if dtype == "int" else RNG.standard_normal(shape).astype(dtype)
    return found


SIZES = {"n": 70, "k": 4, "d": 3, "h": 5}
MIXTURE = {"alpha": "k", "mu": "k d", "Q": "k d d", "x": "n d"}
LAYERS = {"x": "n d", "y": "int n", "V": "h d", "W": "k h"}
PROGRAMS: list[tuple[Any, dict[str, str]]] = [
    (mixture, MIXTURE),
    (layers, LAYERS),
    (layers, {name: text if "int" in text else f"float32 {text}" for name, text in LAYERS.items()}),
    (pooled, {"x": "float32 n 2 6 6", "w": "float32 k 2 3 3"}),
]
NAMES = ["in tiles", "network", "network in single precision", "convolution"]


def bits(result: Any) -> list[bytes]:
    """Every number of a result."""
    return [np.asarray(leaf).tobytes() for part in result for leaf in (part if isinstance(part, tuple) else (part,))]


def stale(size: int) -> Any:
    """A workspace in which no bit is 0 that was not written: what is read must have been written before."""
    return np.full(size, -1, np.int64).view(np.float64)


@pytest.mark.parametrize(("program", "shapes"), PROGRAMS, ids=NAMES)
@pytest.mark.parametrize("jit", [False, True], ids=["plain", "compiled"])
def test_a_workspace_changes_no_bit(program: Any, shapes: dict[str, str], jit: bool) -> None:
    f = gradc.compile(program, shapes, jit=jit).value_and_grad
    arguments = given(shapes, SIZES)
    wanted = bits(f(**arguments))
    work = stale(f.workspace(**arguments).size)
    assert work.size > scratch.LINE
    for _ in range(2):
        assert bits(f(**arguments, workspace=work)) == wanted
    assert bits(f(*arguments.values(), workspace=None)) == wanted
    assert bits(f(*arguments.values(), workspace=work)) == wanted


@pytest.mark.parametrize("offset", range(9))
def test_a_workspace_may_begin_anywhere(offset: int) -> None:
    f = gradc.compile(layers, LAYERS, jit=False).value_and_grad
    arguments = given(LAYERS, SIZES)
    wanted, size = bits(f(**arguments)), f.workspace(**arguments).size
    whole = stale(size + 20)
    assert bits(f(**arguments, workspace=whole[offset:offset + size])) == wanted
    beside = np.r_[whole[:offset], whole[offset + size:]].view(np.int64)
    assert (beside == -1).all()                                 # nothing is written beside it


def test_a_workspace_for_large_arguments_serves_small_ones() -> None:
    f = gradc.compile(mixture, MIXTURE, jit=False).value_and_grad
    work = f.workspace(**given(MIXTURE, SIZES))
    small = given(MIXTURE, {**SIZES, "n": 5, "k": 2})
    assert bits(f(**small, workspace=work)) == bits(f(**small))


@pytest.mark.parametrize(("program", "shapes"), PROGRAMS[:3], ids=NAMES[:3])
def test_compiled_calls_with_a_workspace_allocate_nothing(program: Any, shapes: dict[str, str]) -> None:
    memory: Any = importlib.import_module("numba.core.runtime._nrt_python")
    f = gradc.compile(program, shapes, wrt="W" if "W" in shapes else "mu").value_and_grad
    arguments = given(shapes, SIZES)
    out, work = np.empty_like(arguments[f.wrt[0]]), f.workspace(**arguments)
    f(**arguments, workspace=work)
    f(**arguments)
    memory.memsys_enable_stats()
    try:
        before = memory.memsys_get_stats_alloc()
        f(**arguments, out=out, workspace=work)
        assert memory.memsys_get_stats_alloc() == before
        f(**arguments, out=out)
        assert memory.memsys_get_stats_alloc() > before
    finally:
        memory.memsys_disable_stats()


def test_the_source_is_the_same_with_a_workspace() -> None:
    f = gradc.compile(layers, LAYERS, jit=False).value_and_grad
    arguments, before = given(LAYERS, SIZES), f.source
    f(**arguments, workspace=f.workspace(**arguments))
    assert f.source == before
    assert "workspace" not in before


@pytest.mark.parametrize("jit", [False, True], ids=["plain", "compiled"])
def test_a_function_without_buffers_leaves_a_workspace_alone(jit: bool) -> None:
    f = gradc.compile("sum(x) * a", {"x": "n"}, jit=jit)
    work = f.workspace(np.ones(3), 2.0)
    assert work.size == 0
    for lent in (work, stale(3)):
        before = lent.tobytes()
        assert f(np.ones(3), 2.0, workspace=lent) == 6.0
        assert f(np.ones(3), a=2.0, workspace=lent) == 6.0
        assert lent.tobytes() == before


def test_numbers_that_are_sizes_count() -> None:
    f = gradc.compile("sum(max(i * x[j] for i in range(m))**2 for j in range(n))", {"x": "n", "m": "int"}, wrt="x",
                      jit=False).jacobian
    x = np.arange(1.0, 4.0)
    close(f(x, 3, workspace=f.workspace(x, 3)), 8.0 * x)


@pytest.mark.parametrize("jit", [False, True], ids=["plain", "compiled"])
def test_workspaces_that_will_not_do_are_refused(jit: bool) -> None:
    f = gradc.compile(layers, LAYERS, wrt=("V", "W"), jit=jit).value_and_grad
    arguments = given(LAYERS, SIZES)
    work = f.workspace(**arguments)
    f(**arguments, workspace=work)
    fixed = work.copy()
    fixed.flags.writeable = False
    kind = ("workspace must be a vector of float64 that is C-contiguous, aligned and writeable: give what "
            "value_and_grad.workspace(...) returns")
    for wrong in (3, [0.0] * 5000, np.zeros(work.size, np.float32), work.reshape(1, -1), np.r_[work, work][::2], fixed,
                  np.zeros(work.nbytes + 1, np.uint8)[1:].view(np.float64), np.zeros(work.size, ">f8")):
        with pytest.raises(ArgumentError, match=re.escape(kind)):
            f(**arguments, workspace=wrong)
    short = (f"workspace has {work.size - 1} elements, but {work.size} are needed for these arguments: make it with "
             "value_and_grad.workspace(...) for the largest ones; it serves all smaller ones")
    with pytest.raises(ArgumentError, match=re.escape(short)):
        f(**arguments, workspace=work[1:])
    large = np.empty(work.size + arguments["V"].size)
    inside = large[5:5 + arguments["V"].size].reshape(arguments["V"].shape)
    inside[...] = arguments["V"]
    shared = "workspace shares memory with an argument or with out: give memory of its own"
    with pytest.raises(ArgumentError, match=shared):
        f(**{**arguments, "V": inside}, workspace=large)
    with pytest.raises(ArgumentError, match=shared):
        f(**arguments, out=(inside, np.empty_like(arguments["W"])), workspace=large)
    with pytest.raises(ShapeError, match=r"y.shape\[0\] is 69, but n .* is 70"):
        f(**{**arguments, "y": arguments["y"][1:]}, workspace=work)
    with pytest.raises(ArgumentError, match="5 positional arguments were given"):
        f(*arguments.values(), 1.0, workspace=work)
    with pytest.raises(ArgumentError, match="there is no argument q"):
        f(**arguments, q=1.0, workspace=work)
    with pytest.raises(ArgumentError, match="the argument W is missing"):
        f.workspace(arguments["x"], arguments["y"], arguments["V"])


@pytest.mark.parametrize("jit", [False, True], ids=["plain", "compiled"])
def test_sparse_derivatives_take_a_workspace(jit: bool) -> None:
    f = gradc.compile(lambda x, w: np.cumsum(np.exp(x * w))[1:] * x[:-1], {"x": "n", "w": "n"}, wrt=("x", "w"), jit=jit)
    x, w = np.linspace(0.0, 1.0, 7), np.linspace(1.0, 2.0, 7)
    for derivative in (f.jacobian.sparse.stacked, f.jacobian.sparse.stacked.csc):
        work = derivative.workspace(x, w=w)
        assert work.size > 0
        work[:] = np.nan                                        # what was there before does not count
        wanted, data = derivative(x, w), np.empty(derivative(x, w).nnz)
        assert derivative(x, w, workspace=work).data.tobytes() == wanted.data.tobytes()
        assert derivative(x, w=w, out=data, workspace=work).data is data
        assert data.tobytes() == wanted.data.tobytes()
        with pytest.raises(ArgumentError, match="are needed for these arguments"):
            derivative(x, w, workspace=work[1:])
    value, _ = f.value_and_jacobian.sparse(x, w, workspace=f.value_and_jacobian.sparse.workspace(x, w))
    assert value.tobytes() == f(x, w).tobytes()


def test_a_workspace_of_a_kind_is_wanted_by_functions_without_buffers_too() -> None:
    f = gradc.compile("sum(x)", {"x": "n"})
    with pytest.raises(ArgumentError, match=r"give what value.workspace\(\.\.\.\) returns"):
        f(np.ones(2), workspace=3)


def test_arguments_that_are_converted_keep_the_workspace() -> None:
    f = gradc.compile(mixture, MIXTURE).value_and_grad
    arguments = given(MIXTURE, {**SIZES, "n": 9})
    work = f.workspace(**arguments)
    wanted = bits(f(**arguments))
    work[:] = 7.0
    assert bits(f(**{**arguments, "x": arguments["x"].tolist()}, workspace=work)) == wanted
    assert (work != 7.0).any()


def test_functions_of_undeclared_shapes_and_of_structures_take_a_workspace() -> None:
    arguments = given(LAYERS, SIZES)
    x, y, V, W = arguments.values()
    late = gradc.compile(layers, wrt=("V", "W"), jit=False)
    work = late.value_and_grad.workspace(**arguments)
    wanted = bits(late.value_and_grad(x, y, V, W))
    assert bits(late.value_and_grad(x, y, V, W, workspace=work)) == wanted
    assert bits(late.value_and_grad(x, y, W=W, V=V, workspace=work)) == wanted
    slope = late.jvp(x, y, V, W, V, W)
    assert late.jvp(x, y, V, W, V, d_W=W, workspace=late.jvp.workspace(x, y, V, W, V, d_W=W)) == slope
    nested = gradc.compile(lambda p, x, y: layers(x, y, *p), wrt="p", jit=False)
    for f in (nested.value_and_grad, nested.at((V, W), x, y).value_and_grad):
        lent = f.workspace((V, W), x, y)
        assert bits(f((V, W), x, y, workspace=lent)) == wanted
