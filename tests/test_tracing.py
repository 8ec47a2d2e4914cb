"""NumPy functions traced: what NumPy itself gives, and gradients that hold at 60 digits.

One table of functions as people write them, each compared with the same function run by NumPy; then what
tracing refuses, with the line; then names, branches, closures and sizes.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import scipy.special
from numpy import exp as imported_exp

import gradc
from gradc.compiler.from_python import convert
from gradc.ir.errors import DomainError, FormulaError, ShapeError, UnsupportedError

from .comparison import agrees, close, leaves
from .sources import body

RANDOM = np.random.default_rng(11)
SIZES = {"n": 4, "m": 3, "k": 2, "b": 2}
A, B, V, W, X, T, S = "n m", "m k", "n", "m", "n m", "b n m", "n n"

Case = tuple[str, Callable[..., Any], dict[str, str]]


def _points(args: dict[str, str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, text in args.items():
        words = text.split()
        whole = words[:1] == ["int"]
        shape = tuple(SIZES.get(w, 0) or int(w) for w in (words[1:] if whole else words))
        given[name] = RANDOM.integers(0, 3, shape) if whole else RANDOM.uniform(0.2, 1.5, shape) * RANDOM.choice(
            [-1.0, 1.0], shape)
        if not shape:
            given[name] = int(given[name]) if whole else float(given[name])
    return given


CASES: list[Case] = [
    ("arithmetic", lambda x, y: x * y + x / (2 + y**2) - x**3, {"x": X, "y": W}),
    ("mirrored operators", lambda x: 2 - x + 1 / (2 + x * x) + 2**x + 3 * x, {"x": V}),
    ("integers and booleans", lambda x, i: x * i + (x > 0) * x - (i == 1) * 2.0, {"x": V, "i": "int n"}),
    ("ufuncs", lambda x: np.exp(x) + np.sin(x) * np.cos(x) + np.tanh(x) + np.arctan(x) + np.sqrt(1 + x * x), {"x": X}),
    ("more ufuncs", lambda x, y: np.hypot(x, y) + np.arctan2(x, y) + np.logaddexp(x, y) + np.square(x), {"x": V, "y": V}),
    ("logarithms", lambda x: np.log(np.abs(x)) + np.log1p(x * x) + np.log2(2 + x) + np.log10(2 + x), {"x": V}),
    ("extremes", lambda x, y: np.maximum(x, y) + np.minimum(x, 0.1) + np.clip(x, -0.3, 0.4) + abs(y), {"x": V, "y": V}),
    ("where", lambda x: np.where(x > 0, np.log(abs(x)), x**2), {"x": X}),
    ("logic", lambda x: np.where((x > 0) & ~(x > 1) | (x < -1), x, -x), {"x": V}),
    ("mathematics", lambda x: math.exp(x) * math.sin(x) + math.pi + math.pow(abs(x), 1.5), {"x": ""}),
    ("special", lambda x: scipy.special.expit(x) + scipy.special.erf(x) + scipy.special.gammaln(2 + x), {"x": V}),
    ("imported names", lambda x: imported_exp(x) * x, {"x": V}),
    ("sum", lambda x: np.sum(x * x), {"x": X}),
    ("sum over an axis", lambda x: np.sum(x, axis=0) * x.sum(axis=-2), {"x": X}),
    ("keepdims", lambda x: x - np.mean(x, axis=1, keepdims=True), {"x": X}),
    ("several axes", lambda x: x.mean(axis=(0, 2)) + np.sum(x, axis=(2, 0)), {"x": T}),
    ("prod", lambda x: np.prod(x, axis=1), {"x": X}),
    ("max and min", lambda x: x.max(axis=0) + np.min(x) - np.ptp(x, axis=0), {"x": X}),
    ("var and std", lambda x: np.var(x, axis=0) + np.std(x, axis=0, ddof=1), {"x": X}),
    ("argmax", lambda x: x[np.argmax(x)] * x[x.argmin()], {"x": V}),
    ("any and all", lambda x: np.where(np.any(x > 0, axis=0) | np.all(x < 2, axis=0), x[0], x[1]), {"x": X}),
    ("cumsum", lambda x: np.cumsum(x, axis=0) * x, {"x": X}),
    ("cumprod", lambda x: np.cumprod(x), {"x": V}),
    ("diff", lambda x: np.diff(x) ** 2, {"x": V}),
    ("second differences", lambda x: np.diff(x, 2, axis=0), {"x": X}),
    ("logsumexp", lambda x: scipy.special.logsumexp(x, axis=1), {"x": X}),
    ("softmax", lambda x: scipy.special.softmax(x, axis=-1) * scipy.special.log_softmax(x, axis=-1), {"x": X}),
    ("norms", lambda x: np.linalg.norm(x) + np.linalg.norm(x, axis=0) + np.linalg.norm(x, 1, axis=0), {"x": X}),
    ("matrix times vector", lambda A, x: A @ x, {"A": A, "x": W}),
    ("vector times matrix", lambda x, A: x @ A, {"A": A, "x": V}),
    ("matrix product", lambda A, B: A @ B, {"A": A, "B": B}),
    ("batched product", lambda A, B: A @ B, {"A": T, "B": B}),
    ("batches on both sides", lambda A, B: np.matmul(A, np.swapaxes(B, -1, -2)), {"A": T, "B": T}),
    ("dot", lambda A, x: np.dot(A, x) * np.dot(x, x), {"A": A, "x": W}),
    ("inner, outer, vdot", lambda x, y: np.outer(x, y) * np.inner(x, x) + np.vdot(y, y), {"x": V, "y": W}),
    ("tensordot", lambda A, B: np.tensordot(A, B, axes=([1, 2], [0, 1])), {"A": T, "B": "n m"}),
    ("einsum", lambda A, x: np.einsum("bij,j->bi", A, x), {"A": T, "x": W}),
    ("einsum with dots", lambda A, B: np.einsum("...ij,jk->...ik", A, B), {"A": T, "B": B}),
    ("einsum without arrow", lambda A, B: np.einsum("ij,jk", A, B), {"A": A, "B": B}),
    ("diagonals", lambda A: np.trace(A) + np.diagonal(A) * np.diag(A), {"A": S}),
    ("diag of a vector", lambda x: np.diag(x) @ x, {"x": V}),
    ("triangles", lambda A: np.tril(A) + np.triu(A, 1) * 2 + np.tril(A, -1), {"A": S}),
    ("transpose", lambda x: x.T * np.transpose(x) + np.sum(x), {"x": S}),
    ("moved axes", lambda x: np.moveaxis(x, 0, -1) * np.transpose(x, (1, 2, 0)) + np.swapaxes(x, 0, 2).swapaxes(0, 1)[:, :, :1],
     {"x": T}),
    ("reshape", lambda x: x.reshape(-1) @ np.ravel(x), {"x": X}),
    ("merged axes", lambda x: x.reshape(x.shape[0], -1) * 2, {"x": T}),
    ("split axes", lambda x: x.reshape(2, 3).sum(axis=0), {"x": "6"}),
    ("unaligned reshape", lambda x: x.reshape(3, 4) * 2, {"x": "2 6"}),
    ("new axes", lambda x: x[:, None] - x[None, :] + np.expand_dims(x, 0), {"x": V}),
    ("squeeze", lambda x: np.squeeze(x, 1) * x.squeeze(), {"x": "n 1"}),
    ("broadcast_to", lambda x: np.broadcast_to(x, (5, x.shape[0])), {"x": V}),
    ("concatenate", lambda x, y: np.concatenate([x, y, 2 * x]) ** 2, {"x": V, "y": W}),
    ("concatenate along an axis", lambda x: np.concatenate((x, x * x), axis=1), {"x": X}),
    ("stack", lambda x: np.stack([x, x**2], axis=1) + np.array([1.0, 2.0]), {"x": V}),
    ("hstack and vstack", lambda x: np.hstack([x, x]) * np.vstack([x, -x])[:, 0].sum(), {"x": V}),
    ("array of values", lambda x, y: np.array([x, y, x * y]) @ np.array([1.0, 2.0, 3.0]), {"x": "", "y": ""}),
    ("pad", lambda x: np.pad(x, 1) * np.pad(x, (1, 1), mode="edge") + np.pad(x, 1, mode="reflect"), {"x": V}),
    ("roll and flip", lambda x: np.roll(x, 1) * np.flip(x) + np.roll(x, -2), {"x": V}),
    ("tile and repeat", lambda x: np.tile(x, 2) * np.repeat(x, 2), {"x": V}),
    ("slices", lambda x: x[1:] * x[:-1] + x[::-1][1:], {"x": V}),
    ("slices of matrices", lambda x: x[1:-1, ::2].sum() * x[..., 0] + x[0, 0], {"x": "n 3"}),
    ("negative indices", lambda x: x[-1] * x[0] + x[-2, -1], {"x": X}),
    ("gather", lambda x, i: x[i] * x[i, 0][:, None], {"x": X, "i": "int m"}),
    ("take", lambda x, i: np.take(x, i, axis=1), {"x": "n 3", "i": "int m"}),
    ("take_along_axis", lambda x, i: np.take_along_axis(x, i, axis=1), {"x": "n 3", "i": "int n 1"}),
    ("constant indices", lambda x: x[[2, 0, 1]] * x[np.array([0, -1, 1])], {"x": "4"}),
    ("split", lambda x: np.split(x, 2)[0] * np.split(x, 2)[1], {"x": "4"}),
    ("constructors", lambda x: np.zeros((x.shape[0], 2)) + x[:, None] * np.ones(2) + np.arange(2) + np.full(2, 3.0), {"x": V}),
    ("eye and linspace", lambda x: np.eye(x.shape[0]) * x + np.linspace(0.0, 1.0, 4), {"x": "4"}),
    ("like", lambda x: np.zeros_like(x) + np.ones_like(x) * x, {"x": X}),
    ("sizes in arithmetic", lambda x: x / x.shape[0] + x.size * 0.5 + np.sum(x) / x.shape[1], {"x": X}),
    ("two results", lambda x: (x * 2, np.sum(x)), {"x": V}),
]


@pytest.mark.parametrize(("name", "function", "args"), CASES, ids=[case[0] for case in CASES])
def test_a_traced_function_is_what_numpy_gives_and_has_its_gradient(
        name: str, function: Callable[..., Any], args: dict[str, str]) -> None:
    given = _points(args)
    f = agrees(function, args, given, tolerance=1e-8)
    for found, wanted in zip(leaves(f(**given)), leaves(function(**given)), strict=True):
        close(found, wanted)
    larger = {**SIZES, "n": 5, "b": 3}
    if all(word in larger for text in args.values() for word in text.split() if word != "int") and "n" in str(args):
        before = dict(SIZES)
        SIZES.update(larger)
        try:
            again = _points(args)
        finally:
            SIZES.update(before)
        for found, wanted in zip(leaves(f(**again)), leaves(function(**again)), strict=True):
            close(found, wanted)


def _assigning(x: Any) -> Any:
    y = np.zeros((x.shape[0] + 2, 2))
    y[1:-1, 0] = x
    y[0, 1] = 2.0 * x[0]
    y[1:, 1] += x[-1] ** 2
    y *= 2.0
    return y


def test_assignment_to_elements_has_value_semantics() -> None:
    x = RANDOM.standard_normal(4)
    f = agrees(_assigning, {"x": "n"}, {"x": x})
    close(f(x), _assigning(x))

    def aliased(x: Any) -> Any:
        y = x
        y = y + 1.0
        return x * y

    close(gradc.compile(aliased, {"x": "n"}, jit=False)(x), x * (x + 1.0))


def test_a_decorated_network_keeps_its_names_and_is_the_gradient_one_would_write() -> None:
    @gradc.compile(args={"W1": "h d", "W2": "c h", "x": "d", "y": "c"}, wrt=("W1", "W2"), jit=False)
    def loss(W1: Any, W2: Any, x: Any, y: Any) -> Any:
        hidden = np.maximum(W1 @ x, 0)
        return np.sum((W2 @ hidden - y) ** 2)

    assert "hidden[i] = maximum(" in loss.value_and_grad.source
    assert "d_hidden = " in loss.value_and_grad.source
    W1, W2, x, y = (RANDOM.standard_normal(s) for s in ((5, 3), (2, 5), 3, 2))
    value, gradient = loss.value_and_grad(W1, W2, x, y)
    hidden = np.maximum(W1 @ x, 0)
    close(value, np.sum((W2 @ hidden - y) ** 2))
    close(gradient.W2, np.outer(2 * (W2 @ hidden - y), hidden))
    close(gradient.W1, np.outer((hidden > 0) * (W2.T @ (2 * (W2 @ hidden - y))), x))


def test_one_compilation_serves_every_size() -> None:
    def score(W: Any, X: Any) -> Any:
        return np.mean(np.tanh(X @ W.T))

    f = gradc.compile(score, {"W": "h d", "X": "n d"}, wrt="W", cache=False)
    for n in (1, 32, 7):
        W, X = RANDOM.standard_normal((3, 2)), RANDOM.standard_normal((n, 2))
        close(f(W, X), score(W, X))
        close(f.grad(W, X), ((1 - np.tanh(X @ W.T) ** 2).T @ X) / (3 * n))
    assert len(f.grad.jit.signatures) == 1


SCALE = 3.0


def _helper(x: Any) -> Any:
    return SCALE * np.exp(-x)


def test_closures_defaults_and_helpers_are_seen_and_left_as_they_are() -> None:
    offset = np.array([1.0, 2.0])

    def model(x: Any, power: float = 2.0) -> Any:
        def inner(z: Any) -> Any:
            return np.sin(z) + offset

        return inner(_helper(x)) ** 2 + x * power

    x = np.array([0.3, 0.8])
    f = gradc.compile(model, {"x": "2", "power": ""}, jit=False)
    close(f(x, 2.0), model(x))
    assert _helper(0.0) == 3.0
    assert isinstance(model(x), np.ndarray)


def test_declarations_come_from_annotations_too() -> None:
    def energy(x: "n", k: "n n", shift: float) -> Any:  # type: ignore[name-defined]  # noqa: F722, F821, UP037
        return 0.5 * (x - shift) @ k @ (x - shift)

    f = gradc.compile(energy, jit=False)
    x, k = RANDOM.standard_normal(3), RANDOM.standard_normal((3, 3))
    close(f(x, k, 0.5), energy(x, k, 0.5))


def _branching(x: Any) -> Any:
    if x[0] > 0:
        return x
    return -x


def _looping(x: Any) -> Any:
    total = 0.0
    for element in x:
        total = total + element
    return total


def _put(x: Any, place: Any, value: Any) -> Any:
    y = x + 0.0
    y[place] = value
    return y


REFUSED: list[tuple[Callable[..., Any], dict[str, str], str]] = [
    (_branching, {"x": "n"}, "a Python branch or loop on a traced value, which has no value yet (line "),
    (_looping, {"x": "n"}, "a Python loop over an array whose size is not known (line "),
    (lambda x: range(x.shape[0]), {"x": "n"}, "a traced value is needed as a Python number"),
    (lambda x: x.__len__(), {"x": "n"}, "len() of an array whose size is not known"),
    (lambda x: sum(x[i] for i in range(len(x))), {"x": "n"}, "a traced value is needed as a Python number"),
    (lambda x: float(x), {"x": ""}, "a traced value is needed as a Python number"),
    (lambda x: np.unique(x), {"x": "n"}, "np.unique is not known on traced arrays"),
    (lambda x: np.linalg.tensorinv(x), {"x": "n n"}, "np.linalg.tensorinv is not known on traced arrays"),
    (lambda x: x[x > 0], {"x": "n"}, "a mask selects elements, and their number is not known"),
    (lambda x: x[0.5], {"x": "n"}, "an index is no whole number"),
    (lambda x: x[0, 0, 0], {"x": "n"}, "3 indices for an array of 1 dimensions"),
    (lambda x: np.exp(x, where=x > 0), {"x": "n"}, "np.exp(..., where=...) has no meaning here"),
    (lambda x: np.add.reduceat(x), {"x": "n"}, "np.add.reduceat is not known on traced arrays"),
    (lambda x: x + 1j, {"x": "n"}, "a value of type complex meets a traced array"),
    (lambda x: np.linalg.norm(x, 3), {"x": "n n"}, "np.linalg.norm with ord=3"),
    (lambda x: x + np.frombuffer(bytes(8 * 300)), {"x": "300"}, "an array of 300 numbers that is no argument"),
    (lambda x: np.einsum("ij->i", x), {"x": "n"}, "np.einsum: the term 'ij' stands for an array of 1 dimensions"),
    (lambda x: np.squeeze(x, 0), {"x": "n"}, "np.squeeze of a dimension that is not 1"),
    (lambda x: "a text", {"x": "n"}, "the function returns str"),
    (lambda x: {"a": []}, {"x": "n"}, "the function returns dict without an array"),
    (lambda x: None, {"x": "n"}, "the function returns nothing"),
    (lambda x: x @ 2.0, {"x": "n"}, "@ takes arrays, and one operand is a number"),
    (lambda x: np.zeros((x[0], 2)), {"x": "n"}, "a dimension of a shape is no number and no size"),
    (lambda x: np.split(x, 2), {"x": "3"}, "a dimension of 3 cannot be split into 2 equal parts"),
    (lambda x: x.astype(np.float16), {"x": "n"}, "an array of float64 cannot become float16"),
    (lambda x: np.sum(x, axis=(0, 0)), {"x": "n m"}, "an axis is named twice"),
    (lambda x: x + np.array([]), {"x": "n"}, "an empty list is no array"),
    (lambda x: np.concatenate([x, x[:, None]]), {"x": "n"}, "arrays of different ranks are joined"),
    (lambda x: np.arange(0, x.shape[0], 0.5), {"x": "n"}, "np.arange of sizes takes whole numbers and a step"),
    (lambda x: np.einsum("i,j", x), {"x": "n"}, "np.einsum has 1 operands for 'i,j'"),
    (lambda x: np.einsum("i->ii", x), {"x": "n"}, "np.einsum: the result 'ii' has a letter twice"),
    (lambda x: np.pad(x, 1, mode="mean"), {"x": "n"}, "np.pad with mode='mean' is not known"),
    (lambda x: np.transpose(x, (0,)), {"x": "n m"}, "1 axes for an array of 2 dimensions"),
    (lambda x: x.reshape(2, 2), {"x": "3"}, "3 elements cannot be reshaped to (2, 2)"),
    (lambda A, x: A @ x, {"A": "n 1", "x": "3"}, "the dimensions 1 and 3 cannot be equal"),
    (lambda x: x[::0], {"x": "n"}, "the step of a slice is no whole number"),
    (lambda x, k: x[:k[0]], {"x": "n", "k": "int m"}, "the length of a slice is not known"),
    (lambda x: _put(x, 0, x), {"x": "n"}, "the value that is assigned has more dimensions or elements than the place"),
    (lambda x: np.sum(x, 0, foo=1), {"x": "n"}, "np.sum: got an unexpected keyword argument 'foo'"),
]


@pytest.mark.parametrize(("function", "args", "message"), REFUSED)
def test_what_cannot_be_traced_is_refused_with_the_line(
        function: Callable[..., Any], args: dict[str, str], message: str) -> None:
    with pytest.raises(gradc.GradcError) as caught:
        gradc.compile(function, args, jit=False)
    text = str(caught.value)
    assert message in text.splitlines()[0]
    assert len(text.splitlines()) == 2
    assert text.splitlines()[1].endswith(".")


def test_shapes_and_declarations_that_do_not_fit_are_told() -> None:
    with pytest.raises(ShapeError, match="the dimensions 2 and 3 cannot be equal"):
        gradc.compile(lambda x, y: x + y, {"x": "2", "y": "3"})
    with pytest.raises(ShapeError, match="there is no axis 2 in an array of 1 dimensions"):
        gradc.compile(lambda x: np.sum(x, axis=2), {"x": "n"})
    with pytest.raises(FormulaError, match="args declares z, which is no argument of "):
        gradc.compile(lambda x: x, {"z": "n"})
    with pytest.raises(UnsupportedError, match=r"takes \*xs"):
        gradc.compile(lambda *xs: xs[0])
    with pytest.raises(FormulaError, match="reserved"):
        gradc.compile(lambda out: out)
    f = gradc.compile(lambda x, y: x + y, {"x": "n", "y": "m"}, jit=False)
    with pytest.raises(ShapeError, match="they meet in one expression and must be equal"):
        f([1.0], [1.0, 2.0])
    with pytest.raises(ShapeError, match="outside"):
        gradc.compile(lambda x, i: x[i], {"x": "n", "i": "int"}, jit=False)([1.0], 3)
    with pytest.raises(DomainError, match="max over an empty axis"):
        gradc.compile(lambda x: np.max(x), {"x": "n"}, jit=False)([])


def test_single_precision_stays_single() -> None:
    f = gradc.compile(lambda x: 2.0 * x + np.pi * x, {"x": "float32 n"}, jit=False)
    assert f(np.ones(3, np.float32)).dtype == np.float32


def test_pickles_and_saved_files_are_those_of_any_function(tmp_path: Any) -> None:
    import pickle

    f = gradc.compile(lambda x: np.sum(np.sin(x)), {"x": "n"}, jit=False)
    again = pickle.loads(pickle.dumps(f))
    x = RANDOM.standard_normal(3)
    close(again.grad(x), np.cos(x))
    f.save(tmp_path / "saved.py")
    assert "def grad(" in (tmp_path / "saved.py").read_text(encoding="utf-8")


def test_the_graph_of_a_function_is_the_graph_of_the_formula() -> None:
    traced = gradc.compile(lambda A, x: np.sum((A @ x) ** 2), {"A": "m n", "x": "n"}, jit=False)
    formula = gradc.compile("sum((A @ x)**2)", {"A": "m n", "x": "n"}, jit=False)
    assert body(traced.grad.source) == body(formula.grad.source)
    assert list(convert(lambda A, x: A @ x, {"A": "m n", "x": "n"}).inputs) == ["A", "x"]


def test_undeclared_functions_are_compiled_when_called_and_not_for_sizes() -> None:
    @gradc.compile(jit=False)
    def loss(W: Any, x: Any, y: Any, weight: Any = 0.1) -> Any:
        hidden = np.tanh(W @ x)
        return np.sum((hidden - y) ** 2) + weight * np.sum(W**2)

    for n, d in ((4, 3), (2, 5), (7, 2)):
        W, x, y = RANDOM.standard_normal((n, d)), RANDOM.standard_normal(d), RANDOM.standard_normal(n)
        wanted = np.sum((np.tanh(W @ x) - y) ** 2) + 0.1 * np.sum(W**2)
        close(loss(W, x, y), wanted)
        close(loss.value_and_grad(W, x, y)[0], wanted)
        close(loss.grad(W, x, y=y).y, 2 * (y - np.tanh(W @ x)))
    assert loss.source == loss.at(W, x, y).source
    assert "n_x" in loss.source and "n_y" in loss.source
    assert "W_0" not in loss.source                             # dimensions that must be equal have one name
    close(loss(W[:1], x, y[:1]), np.sum((np.tanh(W[:1] @ x) - y[:1]) ** 2) + 0.1 * np.sum(W[:1] ** 2))
    with pytest.raises(gradc.ArgumentError, match="it was called with 2 kinds of them: declare them in args"):
        _ = loss.source
    with pytest.raises(AttributeError, match="has no attribute frobnicate"):
        _ = loss.frobnicate


def test_undeclared_whole_numbers_are_real_unless_they_must_be_whole() -> None:
    f = gradc.compile(lambda x, i: np.sum(x[i] ** 2), jit=False)
    close(f.grad(np.arange(4), [1, 1]), [0.0, 4.0, 0.0, 0.0])
    g = gradc.compile(lambda x: np.sum(x * x), jit=False)
    close(g.grad([1, 2, 3]), [2.0, 4.0, 6.0])
    with pytest.raises(UnsupportedError, match="np.unique is not known"):
        gradc.compile(lambda x: np.unique(x), jit=False)([3, 1])


# -- memory that arrays share ---------------------------------------------------------------------


def _assigned_to_slice(x):
    y = x.copy()
    part = y[1:]
    part *= 2.0
    return np.sum(y**2)


def _assigned_to_transpose(x):
    y = x.copy()
    y.T[0] = 1.0
    np.swapaxes(y, 0, 1)[1, ::2] += y[0, 0]
    return np.sum(y**2)


def _slice_of_slice(x):
    y = x.copy()
    part = y[1:]
    part[0][1:] = x[0, 1:] ** 3
    return np.sum(part * y[:-1])


def _view_shows_assignment(x):
    y = x.copy()
    row, copy, chosen, last = y[0], y[0].copy(), y[[0]], y.T[-1]
    y[0] = y[1] * x[0]
    return np.sum(row**2 + copy + chosen[0] ** 3) + np.sum(last**2)


def _two_names(x):
    y = x + 0.0
    z = y
    y += x
    w = +z
    w -= 1.0
    return np.sum(z * y * w)


def _helper_assigns(x):
    def double(a):
        a *= 2.0

    y = x.copy()
    double(y)
    double(y[1])
    return np.sum(y**3)


def _numbers_are_values(x):
    total = x[0, 0]
    before = total
    total += x[1, 1]
    return total * before


def _selection_is_a_copy(x):
    y = x.copy()
    large = y[y > 0.0]
    y[0] = 3.0
    return large.sum() * y.sum()


def _rows_change_places(x):
    y = x.copy()
    y[0], y[2] = y[2], y[0]
    return np.sum(y * x)


def _sorted_in_place(x):
    y = x.copy()
    y[1].sort()
    y.sort(axis=0)
    return np.sum(y * np.arange(3.0) ** 2)


@pytest.mark.parametrize("function", [
    _sorted_in_place, _assigned_to_slice, _assigned_to_transpose, _slice_of_slice, _view_shows_assignment, _two_names,
    _helper_assigns, _numbers_are_values, _selection_is_a_copy, _rows_change_places], ids=lambda f: f.__name__.strip("_"))
def test_assignment_is_seen_by_all_who_share_the_memory_as_in_numpy(function):
    x = np.random.default_rng(5).normal(size=(4, 3))
    before = x.copy()
    f = gradc.compile(function, jit=False)
    assert f(x) == pytest.approx(float(function(x)), rel=1e-12)
    assert np.array_equal(x, before)
    gradc.check_gradients(f, x, order=1)


def _read_after_a_reshape_of_it_was_assigned_to(x):
    y = x.copy()
    y[1:].ravel()[0] = 0.0
    return np.sum(y)


def _reshape_read_after_assignment(x):
    y = x.copy()
    flat = y.ravel()
    y[0] = 0.0
    return np.sum(flat)


@pytest.mark.parametrize("function", [_read_after_a_reshape_of_it_was_assigned_to, _reshape_read_after_assignment])
def test_memory_that_may_be_shared_is_refused_where_it_is_read(function):
    with pytest.raises(UnsupportedError, match=r"may share its memory.*\(line \d+: return np.sum(.|\n)*\.copy\(\)"):
        gradc.compile(function, {"x": "4 3"}, jit=False)


def test_a_reshape_may_be_assigned_to_where_its_array_is_read_no_more():
    def f(x):
        y = x.reshape(-1)
        y[0] = 0.0
        return np.sum(y**2)

    assert gradc.compile(f, {"x": "2 2"}, jit=False)([[3.0, 1.0], [1.0, 2.0]]) == 6.0


def test_len_is_the_size_of_the_first_dimension() -> None:
    f = gradc.compile(lambda x: np.sum(x * np.arange(len(x))) / len(x) + len([x, x]), jit=False)
    for n in (2, 3):
        x = np.arange(n) + 1.0
        close(f(x), np.sum(x * np.arange(n)) / n + 2)
        close(f.grad(x), np.arange(n) / n)


def test_a_recursion_without_end_is_refused() -> None:
    def endless(x: Any) -> Any:
        return endless(x * 2.0)

    with pytest.raises(UnsupportedError, match="endless calls itself without end while it is traced"):
        gradc.compile(endless, {"x": ""})


KINDS = {
    "an array": lambda x, k, a: isinstance(x, np.ndarray) and type(x) is np.ndarray and not isinstance(x, (list, tuple)),
    "an array or a list": lambda x, k, a: isinstance(x, (list, np.ndarray)) and isinstance(x, list | np.ndarray),
    "a number": lambda x, k, a: isinstance(a, float) and type(a) == float and isinstance(a, int | float),  # noqa: E721
    "an element": lambda x, k, a: isinstance(x[0], np.float64) and isinstance(x[0], (int, np.floating)),
    "a whole number": lambda x, k, a: isinstance(k, int) and isinstance(k, numbers.Integral) and not isinstance(k, float),
    "what can be looped over": lambda x, k, a: isinstance(x, Iterable) and np.iterable(x) and not np.iterable(a),
    "a scalar": lambda x, k, a: np.isscalar(a) and not np.isscalar(x),
    "what has a length": lambda x, k, a: hasattr(x, "__len__") and not hasattr(a, "__len__") and hasattr(x, "shape"),
    "a dtype": lambda x, k, a: np.issubdtype(x.dtype, np.floating) and not np.issubdtype(x.dtype, np.integer),
    "other values": lambda x, k, a: isinstance(np.float64(1.0), np.float64) and isinstance(np.float64, type) and type(len(x)) is not str,
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_traced_value_is_of_the_kind_that_stands_in_its_place(kind: str) -> None:
    asked, x = KINDS[kind], np.array([1.0, 2.0])
    assert asked(x, 2, 1.5)
    assert gradc.compile(lambda x, k, a: np.sum(x) if asked(x, k, a) else a, {"x": "n", "k": "int", "a": ""}, jit=False)(
        x, 2, 1.5) == 3.0
