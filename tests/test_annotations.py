# ruff: noqa: F722, F821, UP037  (dimensions in annotations are texts, and no names)
"""Annotations as declarations, here with annotations that Python keeps as text; jaxtyping's own where it is installed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pytest

import gradc
from gradc.compiler.annotations import annotated

from .comparison import close


class _Type:
    """An array type as jaxtyping makes it."""

    def __init__(self, dtypes: Any, dim_str: str) -> None:
        self.dtypes, self.dim_str = dtypes, dim_str

    def __call__(self) -> None:
        """Types are callable."""


class _Maker:
    def __init__(self, *dtypes: str) -> None:
        self.dtypes = dtypes or object()

    def __getitem__(self, key: Any) -> Any:
        return _Type(self.dtypes, key[1])


Float = _Maker("bfloat16", "float16", "float32", "float64")
Float32, Int, Bool, Shaped = _Maker("float32"), _Maker("int8", "int64"), _Maker("bool", "bool_"), _Maker()
Complex = _Maker("complex64", "complex128")


def declarations(function: Callable[..., Any]) -> list[Any]:
    return [annotated(function, p) for p in inspect.signature(function).parameters.values()]


def test_texts_types_and_array_types_are_declarations() -> None:
    def f(a: "n d", b: Float[np.ndarray, "n d"], c: Float32[np.ndarray, "n-1 3"], d: Int[np.ndarray, ""],  # type: ignore[valid-type]
          e: Bool[np.ndarray, "rows=4 _ _x"], g: Shaped[np.ndarray, "n"], h: int, i: Annotated[Any, "k"]) -> Any:  # type: ignore[valid-type]
        return None

    assert declarations(f) == ["n d", "float64 n d", "float32 n-1 3", "int64", "bool 4 e_1 e_2", "float64 n", "int", "k"]


def test_other_annotations_declare_nothing() -> None:
    def f(a: npt.NDArray[np.float64], b: np.ndarray, c: Any, d: Unknown, e: list[float], g: np.unknown, h) -> Any:
        return None

    assert declarations(f) == [None] * 7


def test_annotations_that_are_not_texts() -> None:
    def f(a, b, c, d):  # type: ignore[no-untyped-def]
        return np.sum(a["W"] @ b) * c + np.sum(d)

    f.__annotations__ = {"a": {"W": "h d"}, "b": Float[np.ndarray, "d"], "c": float, "d": "Float[np.ndarray, 'm']"}
    assert declarations(f) == [{"W": "h d"}, "float64 d", "float", "float64 m"]
    g = gradc.compile(f, wrt=("a", "b"), jit=False)
    gradient = g.grad({"W": np.ones((3, 2))}, np.array([1.0, 2.0]), 2.0, [1.0])
    close(gradient.a["W"], [[2.0, 4.0]] * 3)
    close(gradient.b, [6.0, 6.0])


REFUSED = [
    (Float[np.ndarray, "*batch n"], "the annotation of x has the dimension *batch, any number of dimensions"),
    (Float[np.ndarray, "... n"], "has the dimension ..., any number of dimensions"),
    (Float[np.ndarray, "#n"], "has the dimension #n, a size that may be 1"),
    (Float[np.ndarray, "?n"], "has the dimension ?n, a size that differs from leaf to leaf"),
    (Float[np.ndarray, "2*{k}"], "has the dimension 2*{k}, a size that a value gives"),
    (Complex[np.ndarray, "n"], "the annotation of x allows the dtypes complex64, complex128, and none of them is known here"),
]


@pytest.mark.parametrize(("annotation", "message"), REFUSED)
def test_array_types_without_a_meaning_are_refused(annotation: Any, message: str) -> None:
    def f(x):  # type: ignore[no-untyped-def]
        return x

    f.__annotations__ = {"x": annotation}
    with pytest.raises(gradc.UnsupportedError) as caught:
        gradc.compile(f)
    assert message in str(caught.value)


def test_single_precision_and_whole_numbers_come_from_the_annotation() -> None:
    def f(x: Float32[np.ndarray, "n"], i: Int[np.ndarray, "m"]) -> Any:  # type: ignore[valid-type]
        return np.sum(x[i]) * 2

    g = gradc.compile(f, jit=False)
    assert g.wrt == ("x",) and g.grad(np.ones(3, np.float32), [0, 0]).dtype == np.float32


def test_jaxtyping_itself() -> None:
    jaxtyping = pytest.importorskip("jaxtyping")

    def f(W, x, k):  # type: ignore[no-untyped-def]
        return (W @ x)[k]

    f.__annotations__ = {"W": jaxtyping.Float[np.ndarray, "h d"], "x": jaxtyping.Float32[np.ndarray, "d"],
                         "k": jaxtyping.Int[np.ndarray, ""]}
    assert declarations(f) == ["float64 h d", "float32 d", "int64"]
    f.__annotations__["x"] = jaxtyping.Shaped[np.ndarray, "rows=2 _ n-1"]
    assert declarations(f)[1] == "float64 2 x_1 n-1"
    f.__annotations__["x"] = jaxtyping.Float[np.ndarray, "*batch n"]
    with pytest.raises(gradc.UnsupportedError, match="any number of dimensions"):
        gradc.compile(f)
