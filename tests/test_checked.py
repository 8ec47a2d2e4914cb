"""Arrays that compiled code checks itself: what it takes, what it refuses, and the same from Python."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradc
from gradc.codegen import checked
from gradc.codegen.load import Entry, Module, load, unguarded

TEXT = """\
def add_into(x, y, out, k):
    \"\"\"Add k times y to x.\"\"\"
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = x[i, j] + k * y[j]
    return out.shape[0] + 0.5
"""
TYPES = ("checked const float64[:,::1]", "checked const int64[::1]", "checked float64[:,::1]", "float64")
MODULE = Module(TEXT, entries=(Entry("add_into", TYPES),))


class Own(np.ndarray[Any, Any]):
    """A subclass, which may mean something else by its elements."""


@pytest.fixture(scope="module", params=["compiled code", "Python"])
def add(request: pytest.FixtureRequest) -> Any:
    """The entry whose arrays are checked, by itself and where NumPy's structure is not known."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "Python":
            patch.setattr(checked, "available", lambda: False)
        return unguarded(load(MODULE, cache=False)["add_into"])


def arrays() -> dict[str, Any]:
    return {"x": np.arange(6.0).reshape(2, 3), "y": np.array([1, 2, 3]), "out": np.zeros((2, 3))}


def frozen(array: Any) -> Any:
    array.flags.writeable = False
    return array


def unaligned(shape: tuple[int, ...]) -> Any:
    return np.frombuffer(bytearray(8 * int(np.prod(shape)) + 1), np.uint8)[1:].view(np.float64).reshape(shape)


def test_numpys_structure_is_known_here() -> None:
    assert checked.available()


def test_arrays_as_declared_are_taken(add: Any) -> None:
    given = arrays()
    for x in (given["x"], frozen(given["x"].copy()), pickle.loads(pickle.dumps(given["x"]))):
        given["out"][:] = 0.0
        assert add(x, given["y"], given["out"], 2.0) == 2.5
        np.testing.assert_array_equal(given["out"], given["x"] + 2.0 * given["y"])


def test_empty_arrays_share_nothing(add: Any) -> None:
    out = np.zeros((2, 3))
    assert add(out[:0], np.array([1, 2, 3]), out[1:], 2.0) == 1.5
    assert add(out[1:1], np.array([1, 2, 3]), out, 2.0) == 2.5


@pytest.mark.parametrize(("name", "other"), [
    ("x", lambda: [[1.0, 2.0, 3.0]]),
    ("x", lambda: None),
    ("x", lambda: 1.0),
    ("x", lambda: np.float64(1.0)),
    ("x", lambda: np.zeros(6)),
    ("x", lambda: np.zeros((2, 3, 1))),
    ("x", lambda: np.zeros((2, 3), np.float32)),
    ("x", lambda: np.zeros((2, 3), np.int64)),
    ("x", lambda: np.zeros((2, 3), ">f8")),
    ("x", lambda: np.zeros((2, 3), complex)),
    ("x", lambda: np.zeros((2, 3), object)),
    ("x", lambda: np.zeros((3, 2)).T),
    ("x", lambda: np.zeros((2, 6))[:, ::2]),
    ("x", lambda: np.zeros((2, 3))[::-1]),
    ("x", lambda: unaligned((2, 3))),
    ("x", lambda: np.zeros((2, 3)).view(Own)),
    ("x", lambda: np.ma.zeros((2, 3))),
    ("y", lambda: np.zeros(3)),
    ("y", lambda: np.zeros(3, np.int32)),
    ("y", lambda: np.zeros(3, np.uint64)),
    ("out", lambda: frozen(np.zeros((2, 3)))),
    ("out", lambda: unaligned((2, 3))),
])
def test_any_other_array_is_refused(add: Any, name: str, other: Any) -> None:
    given = {**arrays(), name: other()}
    with pytest.raises(TypeError, match="an array is not as declared"):
        add(*given.values(), 2.0)


def test_what_is_written_shares_no_memory(add: Any) -> None:
    given = arrays()
    block = np.zeros(12)
    for x, out in ((given["out"], given["out"]), (given["x"], given["x"].view()),
                   (block[:6].reshape(2, 3), block[5:11].reshape(2, 3)),
                   (block[5:11].reshape(2, 3), block[:6].reshape(2, 3))):
        with pytest.raises(ValueError, match="an array that is written shares memory with another"):
            add(x, given["y"], out, 2.0)
    assert add(block[:6].reshape(2, 3), given["y"], block[6:].reshape(2, 3), 2.0) == 2.5


def test_no_reference_is_kept_or_lost(add: Any) -> None:
    given = [*arrays().values(), 2.0]
    before = [sys.getrefcount(array) for array in given]
    for _ in range(100):
        add(*given)
        with pytest.raises(TypeError):
            add(given[0], given[0], given[2], 2.0)
    assert [sys.getrefcount(array) for array in given] == before


@pytest.fixture(scope="module")
def f() -> gradc.Function:
    return gradc.compile("sum((X @ w - y)**2) * t", {"X": "n d", "w": "d", "y": "n", "t": ""}, wrt=("w", "X"))


def values() -> dict[str, Any]:
    random = np.random.default_rng(0)
    return {"X": random.normal(size=(4, 3)), "w": random.normal(size=3), "y": random.normal(size=4), "t": 2.0}


@pytest.mark.parametrize(("name", "change"), [
    ("X", np.asfortranarray),
    ("X", lambda x: x.astype(">f8")),
    ("X", lambda x: np.repeat(x, 2, axis=1)[:, ::2]),
    ("X", lambda x: x.tolist()),
    ("X", lambda x: frozen(x.copy())),
    ("w", lambda x: np.ascontiguousarray(x[::-1])[::-1]),
    ("w", lambda x: [unaligned((3,)), x][0].__iadd__(x)),
    ("w", tuple),
    ("t", np.float64),
    ("t", np.float32),
    ("t", np.array),
    ("t", int),
    ("t", lambda x: np.int8(x)),
])
def test_values_of_other_kinds_are_converted(f: gradc.Function, name: str, change: Any) -> None:
    given = values()
    value, gradient = f.value_and_grad(*given.values())
    assert value == f.value_and_grad(**given)[0]
    out = (np.empty(3), np.empty((4, 3)))
    other, found = f.value_and_grad(*{**given, name: change(given[name])}.values(), out=out)
    assert other == value and found.w is out[0] and found.X is out[1]
    np.testing.assert_array_equal(found.w, gradient.w)
    np.testing.assert_array_equal(found.X, gradient.X)


def test_a_file_in_memory_is_taken_and_written(f: gradc.Function, tmp_path: Path) -> None:
    given = values()
    mapped = np.memmap(tmp_path / "X", np.float64, "w+", shape=(4, 3))
    mapped[:] = given["X"]
    out = np.memmap(tmp_path / "out", np.float64, "w+", shape=(4, 3))
    found = f.grad(mapped, given["w"], given["y"], 2.0, out=(np.empty(3), out))
    assert found.X is out
    np.testing.assert_array_equal(out, f.grad(**given).X)


def test_whole_numbers_of_64_bits_have_two_names() -> None:
    f = gradc.compile("sum(x[k[i]] for i in range(m))", {"x": "n", "k": "int m"}, wrt="x")
    given = np.array([2, 2, 0], np.longlong)
    np.testing.assert_array_equal(f.grad([1.0, 2.0, 3.0], given), [1.0, 0.0, 2.0])
    np.testing.assert_array_equal(f.grad([1.0, 2.0, 3.0], given.astype(np.int64)), [1.0, 0.0, 2.0])


def test_texts_are_no_numbers(f: gradc.Function) -> None:
    for text in ("2.0", b"2.0"):
        with pytest.raises(gradc.GradcError, match="the argument t has dtype"):
            f(*{**values(), "t": text}.values())
