"""Sparse Jacobians and Hessians: equal to the dense ones, with exact patterns, symmetric to the last bit.

Breadth by the interpreter: every formula of the adjoint's tests and every NumPy function that may be traced. Patterns
of known structures are given in full. What is delivered (formats, `out`, errors, pictures) is tested on small problems,
and compiled where compiling is the point.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from typing import Any

import numba
import numpy as np
import pytest
from scipy import sparse

import gradc
from gradc.compiler.function import Function
from gradc.compiler.sparsity import Sparse
from gradc.ir.interpret import evaluate

from .comparison import close
from .coverage_table import CASES, Case
from .test_adjoint import CASES as FORMULAS
from .test_coverage import SIZES, drawn
from .test_linear_algebra import CASES as MATRICES


def interpreted(derivative: Sparse, arguments: Mapping[str, Any]) -> Any:
    """The stacked matrix, its values by the interpreter."""
    stacked = derivative.stacked
    values = stacked.values
    given = {**arguments, **dict(zip(values.args[len(arguments):], stacked.places(**arguments), strict=True))}
    matrix = stacked.pattern(**arguments).astype(np.float64)
    matrix.data = evaluate(values.graph, given)[0]
    return matrix.toarray()


def agrees(f: Function, arguments: Mapping[str, Any], tolerance: float = 1e-9, *, second: bool = True) -> None:
    """The sparse derivatives are the dense ones, and the Hessian of a number is symmetric to the last bit."""
    if not f.wrt or not any(node.dtype.startswith("float") for _, node in f.graph.outputs):
        return
    dense = evaluate(f.jacobian.graph, arguments)
    sizes = [int(np.size(arguments[name])) for name in f.wrt]
    rows = [dense[k:k + len(sizes)] for k in range(0, len(dense), len(sizes))]
    whole = np.block([[np.reshape(block, (-1, size)) for block, size in zip(row, sizes, strict=True)] for row in rows])
    close(interpreted(f.jacobian.sparse, arguments), whole, tolerance)
    if second and len(f.graph.outputs) == 1 and not f.graph.outputs[0][1].is_array:
        dense = evaluate(f.hessian.graph, arguments)
        whole = np.block([[np.reshape(dense[i * len(sizes) + j], (a, b)) for j, b in enumerate(sizes)]
                          for i, a in enumerate(sizes)])
        found = interpreted(f.hessian.sparse, arguments)
        close(found, whole, tolerance)
        assert np.array_equal(found, found.T)


@pytest.mark.parametrize(("group", "formula", "args", "arguments"), FORMULAS,
                         ids=[f"{case[0]}-{k}" for k, case in enumerate(FORMULAS)])
def test_sparse_derivatives_of_formulas_are_the_dense_ones(
    group: str, formula: str, args: Any, arguments: dict[str, Any]
) -> None:
    agrees(gradc.compile(formula, args, jit=False), arguments)


@pytest.mark.parametrize("case", CASES, ids=[f"{k}-{case.name}" for k, case in enumerate(CASES)])
def test_sparse_jacobians_of_everything_of_numpy(case: Case) -> None:
    agrees(gradc.compile(case.function, case.args, jit=False), drawn(case, SIZES), second=False)


@pytest.mark.parametrize("name", MATRICES)
def test_sparse_jacobians_of_linear_algebra_and_sorting(name: str) -> None:
    function, args = MATRICES[name]
    f = gradc.compile(function, jit=False).at(*args)
    agrees(f, dict(zip(f.args, args, strict=True)), 1e-7, second=False)


def test_conditions_that_keep_reads_inside_hold_for_sorted_sums_too() -> None:
    """Where a sorted element stands is known by real numbers, and so is whether a shifted read lies inside."""
    f = gradc.compile(lambda x, w: np.sort(np.convolve(x, w)), {"x": "n", "w": "k"}, jit=False)
    rng = np.random.default_rng(5)
    for n, k in ((4, 3), (1, 3), (5, 1)):
        x, w = rng.standard_normal(n), rng.standard_normal(k)
        for ours, wanted in zip(f.jacobian.sparse(x, w), f.jacobian(x, w), strict=True):
            close(ours.toarray(), wanted)


# -- patterns of known structures -----------------------------------------------------------------


def band(size: int, *offsets: int) -> np.ndarray[Any, Any]:
    """A square pattern with some diagonals."""
    return np.sum([np.eye(size, k=k) for k in offsets], axis=0).astype(bool)


def arrow(size: int) -> np.ndarray[Any, Any]:
    """A diagonal, and the last row and column."""
    found = np.eye(size, dtype=bool)
    found[-1, :] = found[:, -1] = True
    return found


def shifted(x: Any) -> Any:
    """Differences of neighbours, one row fewer."""
    return np.sin(x[1:] - x[:-1])


KNOWN: dict[str, tuple[str, Any, dict[str, str], dict[str, Any], Any]] = {
    "a chain": ("hessian", "sum(100*(x[i+1] - x[i]**2)**2 + (1 - x[i])**2 for i in range(n - 1))", {"x": "n"},
                {"x": np.arange(6.0)}, band(6, -1, 0, 1)),
    "a separable sum": ("hessian", "sum(exp(x))", {"x": "n"}, {"x": np.arange(5.0)}, band(5, 0)),
    "an arrow": ("hessian", "sum(x[i]**2 * x[n-1] for i in range(n))", {"x": "n"}, {"x": np.arange(5.0)}, arrow(5)),
    "a linear function": ("hessian", "sum(3 * x)", {"x": "n"}, {"x": np.ones(3)}, np.zeros((3, 3), bool)),
    "neighbours": ("jacobian", shifted, {"x": "n"}, {"x": np.arange(5.0)}, (band(5, 0, 1))[:4]),
    "pairs": ("jacobian", lambda x: np.sin(x[:, 0] * x[:, 1]), {"x": "n 2"}, {"x": np.ones((3, 2))},
              np.kron(np.eye(3), [[1, 1]]).astype(bool)),
    "rows of a matrix": ("jacobian", lambda A, x: np.tanh(A @ x), {"A": "m n", "x": "n"},
                         {"A": np.ones((2, 3)), "x": np.ones(3)},
                         np.hstack([np.kron(np.eye(2), np.ones((1, 3))), np.ones((2, 3))]).astype(bool)),
    "an update": ("jacobian", lambda x: np.concatenate([x[:1] ** 2, x[1:] * x[:-1]]), {"x": "n"}, {"x": np.arange(4.0)},
                  band(4, -1, 0)),
    "a gather with a repetition": ("jacobian", lambda x, k: x[k[:-1]] * x[k[1:]], {"x": "n", "k": "int m"},
                                   {"x": np.arange(4.0), "k": np.array([2, 2, 0, 3])},
                                   np.array([[0, 0, 1, 0], [1, 0, 1, 0], [1, 0, 0, 1]], bool)),
    "a running sum": ("jacobian", lambda x: np.cumsum(np.sin(x)), {"x": "n"}, {"x": np.ones(3)}, np.ones((3, 3), bool)),
    "scalars": ("jacobian", "x * y, y", {"x": "", "y": ""}, {"x": 1.0, "y": 2.0}, np.array([[1, 1], [0, 1]], bool)),
}


@pytest.mark.parametrize("name", KNOWN)
def test_patterns_of_known_structures_are_exact(name: str) -> None:
    kind, formula, args, arguments, wanted = KNOWN[name]
    f = gradc.compile(formula, args, jit=False)
    pattern = getattr(f, kind).sparse.stacked.pattern(**arguments)
    assert pattern.dtype == bool
    assert np.array_equal(pattern.toarray(), wanted)
    agrees(f, arguments)


def seen(C: Any, X: Any, camera: Any, point: Any, feature: Any) -> Any:
    """What cameras see of points: a toy of bundle adjustment."""
    moved = X[point] - C[camera]
    return moved[:, :2] / moved[:, 2:] - feature


ADJUSTED = {"C": "k 3", "X": "m 3", "camera": "int n", "point": "int n", "feature": "n 2"}


def observations() -> tuple[Any, ...]:
    """Two cameras, four points, five observations."""
    random = np.random.default_rng(2)
    return (random.standard_normal((2, 3)), random.standard_normal((4, 3)) + np.array([0.0, 0.0, 9.0]),
            np.array([0, 1, 1, 0, 1]), np.array([3, 1, 0, 2, 2]), np.zeros((5, 2)))


def test_the_pattern_follows_the_index_data() -> None:
    f = gradc.compile(seen, ADJUSTED, wrt=("C", "X"), jit=False)
    given = list(observations())
    J, places = f.jacobian.sparse, f.jacobian.sparse.stacked
    for _ in range(2):
        for found, wanted in zip(J(*given), f.jacobian(*given), strict=True):
            close(found.toarray(), wanted.reshape(found.shape), 1e-14)
        whole = places(*given)
        assert whole.shape == (10, 18)
        assert whole.nnz == 10 * 4                              # x and z of u, y and z of v, of a camera and a point
        close(whole.toarray(), np.hstack([block.toarray() for block in J(*given)]))
        given[2] = given[2].copy()
        given[2][0] = 1                                         # another camera: found again
    given[3] = given[3].copy()
    given[3][1] = 4
    for derivative in (J, f.jacobian):
        with pytest.raises(gradc.ShapeError, match=r"outside 0 .. m - 1 \(here k = 2, m = 4, n = 5\)$"):
            derivative(*given)


def test_a_structure_is_kept_for_sizes_and_indices() -> None:
    f = gradc.compile(seen, ADJUSTED, wrt=("C", "X"), jit=False)
    given, J = observations(), f.jacobian.sparse
    first, other = J(*given), J(given[0] + 1.0, *given[1:])
    assert first.C.indices is other.C.indices or np.shares_memory(first.C.indices, other.C.indices)
    with pytest.raises(ValueError, match="read-only"):
        first.C.indices[0] = 1
    assert len(J._structures) == 1
    given[2][0] = 1                                             # changed in place
    close(J(*given).C.toarray(), f.jacobian(*given).C.reshape(10, 6))
    assert len(J._structures) == 2


# -- what is delivered ----------------------------------------------------------------------------


def test_formats_and_forms() -> None:
    f = gradc.compile("s = x**2 * y; s, sum(s)", {"x": "n", "y": ""}, jit=False)
    point = (np.array([1.0, 2.0]), 3.0)
    (by_array, by_sum), dense = f.jacobian.sparse(*point), f.jacobian(*point)
    assert type(by_array).__name__ == "Jacobian"
    close(by_array.x.toarray(), dense[0].x)
    close(by_array.y.toarray()[:, 0], dense[0].y)
    close(by_sum.x.toarray()[0], dense[1].x)
    assert by_sum.y.toarray() == dense[1].y
    whole = f.jacobian.sparse.stacked(*point)
    for kind in ("csr", "csc", "coo"):
        found = getattr(f.jacobian.sparse.stacked, kind)(*point)
        assert found.format == kind
        close(found.toarray(), whole.toarray())
        data = np.empty(found.nnz)
        again = getattr(f.jacobian.sparse.stacked, kind)(*point, out=data)
        assert again.data is data or np.shares_memory(again.data, data)
        assert f.jacobian.sparse.stacked.csc.csr(y=3.0, x=point[0]).format == "csr"
    h = gradc.compile("sum(x**2) * y", {"x": "n", "y": ""}, jit=False).hessian
    close(h.sparse(*point).x.y.toarray()[:, 0], h(*point).x.y)
    assert repr(h.sparse) == "<gradc sparse hessian(x, y)>"
    assert h.sparse.args == ("x", "y")
    assert h.sparse.wrt == ("x", "y")
    assert "def values(" in h.sparse.source
    assert h.sparse.options.jit is False


def test_a_value_comes_with_its_jacobian() -> None:
    f = gradc.compile(lambda x: np.exp(x) * x[0], {"x": "n"}, jit=False)
    point = np.array([0.5, 1.0, 2.0])
    value, dense = f.value_and_jacobian(point)
    close(value, f(point))
    close(dense, f.jacobian(point))
    value, J = f.value_and_jacobian.sparse(point)
    close(value, f(point))
    close(J.toarray(), f.jacobian(point))
    assert f.value_and_jacobian.source.count("exp(") == f.value_and_jacobian.sparse.source.count("exp(") == 1
    out = (np.empty(3), np.empty(J.nnz))
    value, J = f.value_and_jacobian.sparse.stacked(point, out=out)
    assert value is out[0]
    assert np.shares_memory(J.data, out[1])
    close(f.value_and_jacobian.pattern(point).toarray(), f.jacobian.pattern(point).toarray())
    g = gradc.compile("x * y, x + y", jit=False)
    assert g.value_and_jacobian(2.0, 3.0) == ((6.0, 5.0), ((3.0, 2.0), (1.0, 1.0)))


def test_values_take_the_order_of_a_given_pattern() -> None:
    f = gradc.compile(lambda x: x[1:] * x[:-1], {"x": "n"}, jit=False)
    point = np.array([1.0, 2.0, 3.0])
    given = sparse.csr_array((np.zeros(5), np.array([1, 0, 2, 2, 1]), np.array([0, 3, 5])), (2, 3))
    found = f.jacobian.sparse.within(given)(point)
    assert found.indices.tolist() == [1, 0, 2, 2, 1]
    assert found.data.tolist() == [1.0, 2.0, 0.0, 2.0, 3.0]
    close(f.jacobian.sparse.within(given).csc(point).toarray(), f.jacobian(point))
    close(f.jacobian.sparse.csc.within(given)(point).toarray(), f.jacobian(point))
    close(f.jacobian.sparse.coo.within(given)(point).toarray(), f.jacobian(point))
    J = f.jacobian.sparse
    for kind in (J, J.csc):
        with pytest.raises(gradc.ShapeError, match="no place for the entry in row 1 and column 1: give one that holds"):
            kind.within(sparse.csr_array([[1, 1, 0], [0, 0, 1]]))(point)
    with pytest.raises(gradc.ShapeError, match=r"the pattern has shape \(3, 3\), and the matrix \(2, 3\)"):
        J.within(sparse.eye_array(3))(point)
    with pytest.raises(gradc.ArgumentError, match="a pattern is a SciPy sparse array, not of type ndarray"):
        J.within(np.eye(3))
    with pytest.raises(gradc.ArgumentError, match="2 patterns are given, and there are 1 matrices"):
        J.within((given, given))
    twice = sparse.coo_array((np.ones(2), ([0, 0], [1, 1])), (2, 3))
    with pytest.raises(gradc.ArgumentError, match="the pattern has a place twice"):
        J.coo.within(twice)(point)


def test_what_has_no_sparse_form_says_so() -> None:
    f = gradc.compile("sum(x**2)", {"x": "n"}, jit=False)
    for other in (f, f.grad, f.jvp):
        with pytest.raises(gradc.DerivativeError, match="has no sparse form and no pattern: sparse, pattern and"):
            _ = other.sparse
        with pytest.raises(gradc.DerivativeError, match="has no sparse form and no pattern"):
            _ = other.pattern
    with pytest.raises(gradc.DerivativeError, match="a sparse derivative is not saved to"):
        f.hessian.sparse.save("hessian.py")
    with pytest.raises(gradc.DerivativeError, match="cannot be called in a function that is being traced"):
        gradc.compile(lambda x: f.hessian.sparse(x), {"x": "n"}, jit=False)
    with pytest.raises(gradc.ArgumentError, match="the argument x is missing"):
        f.hessian.sparse()


def test_functions_of_structures_and_undeclared_ones_have_sparse_blocks() -> None:
    f = gradc.compile(lambda p: {"u": p["a"] * p["b"], "v": p["a"] ** 2}, args={"p": {"a": "", "b": "n"}}, jit=False)
    point = {"a": 2.0, "b": np.array([1.0, 3.0])}
    found = f.jacobian.sparse(point)
    close(found["u"]["b"].toarray(), np.diag([2.0, 2.0]))
    close(f.jacobian.pattern(point)["u"]["a"].toarray(), np.ones((2, 1)))
    close(f.jacobian.sparse.stacked(point).toarray(), [[1.0, 2.0, 0.0], [3.0, 0.0, 2.0], [4.0, 0.0, 0.0]])
    value, blocks = f.value_and_jacobian.sparse(point)
    close(value["u"], [2.0, 6.0])
    close(blocks["v"]["a"].toarray(), [[4.0]])
    assert str(f.jacobian.draw_pattern(point)).startswith("<svg")
    late = gradc.compile(lambda x, y: x * y, jit=False)
    close(late.jacobian.sparse([1.0, 2.0], [3.0, 4.0]).x.toarray(), np.diag([3.0, 4.0]))
    close(late.jacobian.sparse.stacked([1.0, 2.0], [3.0, 4.0]).toarray(), [[3.0, 0.0, 1.0, 0.0], [0.0, 4.0, 0.0, 2.0]])
    close(late.value_and_jacobian([1.0, 2.0], [3.0, 4.0])[0], [3.0, 8.0])
    assert late.jacobian.pattern([1.0, 2.0], [3.0, 4.0]).y.nnz == 2
    assert str(late.jacobian.draw_pattern([1.0, 2.0], [3.0, 4.0])).startswith("<svg")


def test_patterns_are_drawn(tmp_path: Any) -> None:
    f = gradc.compile("sum(x[i]**2 * x[n-1] for i in range(n))", {"x": "n"}, jit=False)
    picture = f.hessian.draw_pattern(np.ones(5))
    assert str(picture).count('class="entry"') == 13
    assert "5 × 5, 13 entries" in picture._repr_svg_()
    large = f.hessian.draw_pattern(np.ones(1000))
    assert str(large).count('class="entry"') < 1000
    assert "fill-opacity" in str(large)
    assert "0 × 0" in str(gradc.compile("x**2", "x: n", jit=False).jacobian.draw_pattern(np.ones(0)))
    picture.save(tmp_path / "pattern.svg")
    assert (tmp_path / "pattern.svg").read_text("utf-8") == str(picture)
    with pytest.raises(gradc.FormulaError, match=r"a pattern cannot be saved as .png: end the path in .svg"):
        picture.save(tmp_path / "pattern.png")


def test_sizes_may_be_zero_or_one_and_float32_stays() -> None:
    f = gradc.compile(shifted, {"x": "n"}, jit=False)
    for n in (0, 1, 2):
        found = f.jacobian.sparse(np.ones(n))
        assert found.shape == (max(n - 1, 0), n)
        close(found.toarray(), f.jacobian(np.ones(n)))
    g = gradc.compile(lambda x: np.exp(x) * x[0], {"x": "float32 n"}, jit=False)
    assert g.jacobian.sparse(np.ones(2, np.float32)).dtype == np.float32


def test_kinks_are_refused_in_sparse_ones_too() -> None:
    f = gradc.compile("abs(x) * x[0]", {"x": "n"}, kinks="raise", jit=False)
    assert f.jacobian.sparse([1.0, -2.0]).nnz == 3
    with pytest.raises(gradc.DomainError, match=r"abs\(x\) stands on a kink.*\(here n = 2\)$"):
        f.jacobian.sparse([1.0, 0.0])                           # no size is named that the user does not know


COMPILED: dict[str, tuple[Any, dict[str, str], int]] = {
    "a chain": ("sum(100*(x[i+1] - x[i]**2)**2 + (1 - x[i])**2 for i in range(n - 1))", {"x": "n"}, 5000),
    "distances": ("sum(1/sum((X[i,k] - X[j,k])**2 for k in range(3))**3 for i in range(n) for j in range(i))",
                  {"X": "n 3"}, 40),
    "a grid": (lambda u: np.sum(np.sqrt(1 + (u[1:, :-1] - u[:-1, :-1]) ** 2 + (u[:-1, 1:] - u[:-1, :-1]) ** 2)),
               {"u": "n 50"}, 40),
    "a network": (lambda W: np.sum(np.tanh(np.tanh(W) @ W[0]) ** 2), {"W": "n 6"}, 6),
}


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_sparse_hessians_are_the_dense_ones_and_symmetric_to_the_last_bit(name: str) -> None:
    formula, args, n = COMPILED[name]
    f = gradc.compile(formula, args)
    shape = [n if word == "n" else int(word) for word in next(iter(args.values())).split()]
    x = np.random.default_rng(7).standard_normal(shape)
    H = f.hessian.sparse(x)
    assert (H != H.T).nnz == 0
    v = np.random.default_rng(8).standard_normal(shape)
    close(H @ v.ravel(), f.hvp(x, v).ravel(), 1e-9 * max(1.0, float(np.max(np.abs(H.data)))))
    with_arrays = f.hessian.sparse.values(x, *f.hessian.sparse.places(x))
    close(with_arrays, H.data, 1e-12)
    out = np.empty(H.nnz)
    assert np.array_equal(f.hessian.sparse(x, out=out).data, H.data)
    again = pickle.loads(pickle.dumps(f.hessian.sparse))(x)
    assert np.array_equal(again.data, H.data)


def test_sparse_values_are_called_in_compiled_code() -> None:
    f = gradc.compile(shifted, {"x": "n"})
    J, x = f.jacobian.sparse, np.arange(4.0)
    inner, places = J.jit, J.places(x)

    @numba.njit  # type: ignore[untyped-decorator]
    def largest(x: Any, places: Any) -> Any:
        return np.max(inner(x, *places))

    assert largest(x, places) == J(x).data.max()


# -- work on gathered values ---------------------------------------------------------------------------


def turned(angle: Any, x: Any, which: Any) -> Any:
    return np.sin(angle[which]) * x + np.exp(-angle[which] ** 2)


def test_work_on_gathered_values_is_done_once_for_each_where_they_are_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradc.compiler.sparsity.PLAIN", 8)
    f = gradc.compile(turned, {"angle": "n", "x": "p", "which": "int p"}, jit=False)
    derivative = f.jacobian.sparse.stacked
    x, which = np.linspace(0.0, 1.0, 9), np.arange(9) % 3
    for angle, once in ((np.array([0.3, -0.2, 0.9]), True), (np.linspace(-1.0, 1.0, 7), False)):
        found = derivative(angle, x, which).toarray()
        dense = f.jacobian(angle, x, which)
        close(found, np.hstack([dense.angle, dense.x]))
        (run, _) = next(s.ready for s in derivative._structures if s.shapes[0] == angle.shape)
        body = run.source[run.source.index("def values_into"):]
        before, _, after = body.rpartition("for i in range(p):")
        assert ("sin(" in before, "sin(" in after) == (once, not once)


def test_values_that_depend_on_two_gathered_elements_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradc.compiler.sparsity.PLAIN", 1)

    def distances(x: Any, one: Any, other: Any) -> Any:
        return np.sqrt((x[one] - x[other]) ** 2 + 1.0) * np.exp(x[one])

    f = gradc.compile(distances, {"x": "n", "one": "int p", "other": "int p"}, jit=False)
    x, one, other = np.array([0.5, -1.0]), np.array([0, 1, 1, 0, 0]), np.array([1, 0, 1, 0, 1])
    close(f.jacobian.sparse(x, one, other).toarray(), f.jacobian(x, one, other))


def test_a_row_goes_through_an_array_that_is_put_together_of_parts() -> None:
    f = gradc.compile(lambda x, y: np.sum(np.cross(x, y)[:, :2] * x[:, :1], axis=1), {"x": "n 3", "y": "n 3"}, jit=False)
    drawn = np.random.default_rng(5).normal(size=(2, 4, 3))
    pattern = f.jacobian.pattern(*drawn)
    for block, dense, sparse_block in zip(pattern, f.jacobian(*drawn), f.jacobian.sparse(*drawn), strict=True):
        rows, columns = block.nonzero()
        assert np.array_equal(rows, columns // 3)
        close(sparse_block.toarray(), dense.reshape(4, 12))


def test_entries_of_one_place_are_one() -> None:
    """A row of a cross product meets an element of its own row by several ways, which are added up before."""
    f = gradc.compile(lambda x, y: np.sum(np.cross(x, y)[:, :2] * x[:, :1], axis=1), {"x": "n 3", "y": "n 3"}, jit=False)
    entries = f.jacobian.sparse._found[0].entries
    places = [(entry.block, entry.row, entry.column, entry.guards) for entry in entries]
    assert len(places) == len(set(places)) > 5


# -- each slot once ------------------------------------------------------------------------------------


def turned_pairs(x: Any, w: Any) -> Any:
    """Two residuals a point, each with terms of its own at one place."""
    u = np.sum(x**2, axis=1, keepdims=True)
    return w[:, None] * x[:, :2] * u + np.cross(x, x[:, ::-1])[:, :2], np.sin(w)


def test_each_slot_of_a_large_jacobian_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradc.compiler.sparsity.PLAIN", 8)
    f = gradc.compile(turned_pairs, {"x": "n 3", "w": "n"}, jit=False)
    J = f.jacobian.sparse.stacked
    for n in (5, 40, 3):
        x, w = np.random.default_rng(n).normal(size=(n, 3)), np.linspace(0.2, 1.0, n)
        dense = np.vstack([np.hstack([block.reshape(size, -1) for block in row])
                           for row, size in zip(f.jacobian(x, w), (2 * n, n), strict=True)])
        shapes = (((2, 3), (2, 1)), ((1, 3), (1, 1)))
        whole = sparse.csr_array(np.block([[np.kron(np.eye(n), np.ones(shape)) for shape in row] for row in shapes]))
        for derivative in (J, J.within(whole)):                 # the second has places without entries
            close(derivative(x, w).toarray(), dense)
            run, added = derivative._structures[0].ready
            body = run.source[run.source.index("def values_into"):]
            assert "data[:] = 0.0" not in body and not re.search(r"data\[.*\] [-+]=", body)
            given = dict(zip(run.args, (x, w, *added), strict=True))
            close(evaluate(run.graph, given)[-1], derivative(x, w).data)    # refuses a promise that is not kept


def test_numbers_of_slots_that_another_size_changes_are_given_at_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradc.compiler.sparsity.PLAIN", 8)
    f = gradc.compile(lambda A, x: np.exp(A * x), {"A": "m n", "x": "n"}, wrt=("x",), jit=False)
    for m, n in ((3, 4), (5, 4), (3, 7), (6, 9)):
        A, x = np.random.default_rng(m).normal(size=(m, n)), np.linspace(0.1, 1.0, n)
        close(f.jacobian.sparse(A, x).toarray(), f.jacobian(A, x).reshape(m * n, n))
    assert len(f.jacobian.sparse._compiled) <= 2


def test_entries_under_conditions_are_written_once_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradc.compiler.sparsity.PLAIN", 8)

    def chosen(x: Any, y: Any) -> Any:
        return np.where(x > 0.5, np.sqrt(np.abs(x)) * y, y**2)

    f = gradc.compile(chosen, {"x": "n", "y": "n"}, jit=False)
    x, y = np.linspace(-1.0, 1.0, 20), np.linspace(1.0, 2.0, 20)
    for found, dense in zip(f.jacobian.sparse(x, y), f.jacobian(x, y), strict=True):
        close(found.toarray(), dense)
