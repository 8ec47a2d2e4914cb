"""Elementary functions in loops: vector instructions, at most 4 units in the last place, NumPy's special values."""

from __future__ import annotations

import ast
import math
import platform
import re
from typing import Any

import numpy as np
import pytest

import gradc
from gradc.codegen import vector_maths
from gradc.codegen.load import Entry, Module, load
from gradc.codegen.vector_kernels import KERNELS
from gradc.ir.table import OPERATIONS

from .accuracy.measure import normalised, ulps
from .accuracy.points import points
from .accuracy.polynomials import FITS, coefficients
from .accuracy.programs import of_operation
from .accuracy.truth import truth
from .accuracy.vector_maths import BOUND, measure
from .sample_module import run

HERE = bool(vector_maths.widths())
needs_vectors = pytest.mark.skipif(not HERE, reason="this processor has no vector maths")
X = np.linspace(-3.0, 3.0, 101)

SEVERAL = '''"""Several functions in a reduction, a branch with a guard, a call outside loops."""
from numpy import cos, exp, log, sin


def reduction(x):
    s = 0.0
    for i in range(x.shape[0]):
        s += sin(x[i]) * exp(-x[i]) + log(2.0 + cos(x[i]))
    return s


def guarded(x, out):
    for i in range(x.shape[0]):
        out[i] = log(x[i]) if x[i] > 0.0 else 0.0


def outside(x):
    return exp(x)


def outer(x, out):
    for i in range(x.shape[0]):
        s = 0.0
        for j in range(x.shape[1]):
            s += x[i, j]
        out[i] = exp(s)


def short(x, out):
    for i in range(out.shape[0]):
        s = 0.0
        for j in range(3):
            s += x[3 * i + j]
        out[i] = exp(s)


def carried(x, out):
    h = 0.0
    for i in range(x.shape[0]):
        h = exp(-h) * x[i]
        out[i] = h
'''


def compiled(name: str, *types: str) -> Any:
    return load(Module(SEVERAL, entries=(Entry(name, types),)), cache=False)[name]


def called(dispatcher: Any) -> set[str]:
    """The functions of vector maths that a compiled function itself calls; its module carries their text too."""
    text = str(dispatcher.inspect_asm(dispatcher.signatures[0]))
    entry = text[:text.index("gradc_", text.index(".weak\tgradc_"))] if ".weak\tgradc_" in text else text
    return set(re.findall(r"\b(gradc_(?!generated)\w+)", entry))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kernel", sorted(KERNELS))
def test_a_function_is_within_its_bound_and_has_numpys_special_values(kernel: str, dtype: str) -> None:
    report = measure(kernel, dtype, 300)
    assert report.error <= BOUND, report.where
    assert not report.wrong


@pytest.mark.parametrize("name", ["atan2", "erf", "logaddexp", "pow", "sigmoid", "tanh"])
def test_derivatives_in_loops_keep_the_bound_of_their_rules(name: str) -> None:
    program = of_operation(name)
    assert program is not None
    chosen = points(name, 200)
    names = ("x", "y")[:len(chosen[0])]
    f = gradc.compile(f"sum({program.formula})", args=dict.fromkeys(names, "n"))
    found = f.grad(*(np.array(column) for column in zip(*chosen, strict=True)))
    for at, point in enumerate(chosen):
        for i, true in truth(name, point).first.items():
            value = found[i][at] if len(names) > 1 else found[at]
            assert normalised(ulps(float(value), true.value), true) <= OPERATIONS[name].ulps[0], point


@needs_vectors
def test_a_reduction_with_several_functions_is_vectorised() -> None:
    dispatcher = compiled("reduction", "float64[::1]")
    expected = np.sum(np.sin(X) * np.exp(-X) + np.log(2.0 + np.cos(X)))
    assert math.isclose(dispatcher(X), expected, rel_tol=1e-14)
    width = vector_maths.widths()[0]
    assert {f"gradc_{name}_{width}" for name in ("sin", "cos", "exp", "log")} <= called(dispatcher)


@needs_vectors
def test_a_guarded_branch_is_vectorised_and_keeps_its_guard() -> None:
    dispatcher, out = compiled("guarded", "float64[::1]", "float64[::1]"), np.empty_like(X)
    dispatcher(X, out)
    np.testing.assert_allclose(out, np.log(np.where(X > 0, X, 1.0)), rtol=1e-15)
    assert f"gradc_log_{vector_maths.widths()[0]}" in called(dispatcher)


@needs_vectors
def test_an_inner_loop_of_a_few_rounds_is_no_obstacle() -> None:
    dispatcher, out = compiled("short", "float64[::1]", "float64[::1]"), np.empty(33)
    dispatcher(X, out)
    np.testing.assert_allclose(out, np.exp(X[:99].reshape(33, 3).sum(axis=1)), rtol=1e-14)
    assert f"gradc_exp_{vector_maths.widths()[0]}" in called(dispatcher)


@pytest.mark.parametrize(("name", "types"), [
    ("outside", ("float64",)), ("outer", ("float64[:,::1]", "float64[::1]")),
    ("carried", ("float64[::1]", "float64[::1]"))])
def test_a_call_that_no_loop_can_vectorise_stays_the_c_librarys(name: str, types: tuple[str, ...]) -> None:
    dispatcher = compiled(name, *types)
    assert not called(dispatcher)


def test_a_value_does_not_depend_on_its_place_in_an_array() -> None:
    f = gradc.compile("tanh(x) * x**1.7 + erf(x)", args={"x": "n"})
    x = np.random.default_rng(0).uniform(0.1, 3.0, 37)
    whole = f(x)
    for start in range(9):
        assert np.array_equal(f(x[start:]), whole[start:])
        assert np.array_equal(f(x[start:start + 1]), whole[start:start + 1])


def test_the_source_says_what_the_user_wrote() -> None:
    f = gradc.compile("sum(exp(x[i]) * sigmoid(x[i]) for i in range(n))", args={"x": "n"})
    assert math.isclose(f(X), np.sum(np.exp(X) / (1.0 + np.exp(-X))), rel_tol=1e-14)
    assert "from numpy import exp" in f.source
    assert "exp(x[i]) * sigmoid(x[i])" in f.source or "exp(x_i) * sigmoid(x_i)" in f.source
    assert "gradc_" not in f.source


def test_helpers_get_a_twin_for_loops_and_stay_as_they_are_elsewhere() -> None:
    text = ("from numpy import exp\n\n\ndef half(x):\n    return 0.5 * exp(x)\n\n\ndef twice(x):\n    return 4.0 * half(x)\n\n\n"
            "def f(x, out):\n    for i in range(x.shape[0]):\n        out[i] = twice(x[i])\n    return half(1.0)\n")
    tree = ast.parse(text)
    done = vector_maths.rewrite(tree, ("half", "twice"))
    if HERE:
        assert done.helpers == ["_gradc_vector_half", "_gradc_vector_twice"]
        assert "return half(1.0)" in ast.unparse(tree)
        assert "out[i] = _gradc_vector_twice(x[i])" in ast.unparse(tree)
    out = np.empty_like(X)
    entry = Entry("f", ("float64[::1]", "float64[::1]"))
    assert load(Module(text, ("half", "twice"), (entry,)), cache=False)["f"](X, out) == 0.5 * math.e
    np.testing.assert_allclose(out, 2.0 * np.exp(X), rtol=1e-15)


def test_powers_of_integers_stay_integers() -> None:
    text = "def f(n, k):\n    s = 0\n    for i in range(n):\n        s += i ** k\n    return s\n"
    f = load(Module(text, entries=(Entry("f", ("int64", "int64")),)), cache=False)["f"]
    assert f(5, 3) == 100 and isinstance(f(5, 3), int)


def test_an_array_in_a_loop_takes_numpys_function() -> None:
    text = ("from numpy import exp\n\n\ndef f(x, out):\n    for i in range(x.shape[0]):\n"
            "        out[i] = exp(x)[i]\n")
    out = np.empty_like(X)
    load(Module(text, entries=(Entry("f", ("float64[::1]",) * 2),)), cache=False)["f"](X, out)
    np.testing.assert_allclose(out, np.exp(X), rtol=1e-15)


def test_without_vector_maths_the_c_library_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = compiled("reduction", "float64[::1]")(X)
    monkeypatch.setenv(vector_maths.VARIABLE, "off")
    assert not vector_maths.widths()
    dispatcher = compiled("reduction", "float64[::1]")
    assert math.isclose(dispatcher(X), vectors, rel_tol=1e-14)
    if HERE:
        assert not called(dispatcher)


BODY = """
import gradc
from gradc.codegen import vector_maths
f = gradc.compile("sum(exp(-x[i]) * tan(1e8 * x[i]) * x[i]**0.3 * erfc(x[i]) for i in range(n))", args={"x": "n"})
x = np.linspace(0.1, 20.0, 1001)
report(value=float(f(x)), grad=f.grad(x).tolist(), widths=vector_maths.widths())
"""
AVX2 = "+64bit,+avx,+avx2,+bmi,+bmi2,+cmov,+cx16,+cx8,+f16c,+fma,+fxsr,+lzcnt,+mmx,+movbe,+popcnt,+sse,+sse2,+sse3,+sse4.1,+sse4.2,+ssse3"


def test_another_process_loads_them_from_the_cache_and_settings_do_not_mix(tmp_path: Any) -> None:
    folder = {"GRADC_CACHE_DIR": str(tmp_path / "cache")}
    first, second = run(BODY, **folder), run(BODY, **folder)
    assert not second["events"]["compiled"]
    assert (second["value"], second["grad"]) == (first["value"], first["grad"])
    off = run(BODY, **folder, GRADC_VECTOR_MATHS="off")
    assert off["events"]["compiled"] and not off["widths"]
    np.testing.assert_allclose(off["grad"], first["grad"], rtol=1e-12)


@needs_vectors
@pytest.mark.skipif(platform.machine() != "x86_64", reason="a processor of another kind")
def test_narrower_and_older_processors_give_the_same_bits_or_the_c_librarys(tmp_path: Any) -> None:
    here = run(BODY, GRADC_CACHE_DIR=str(tmp_path))
    narrow = run(BODY, GRADC_CACHE_DIR=str(tmp_path), NUMBA_CPU_NAME="haswell", NUMBA_CPU_FEATURES=AVX2)
    old = run(BODY, GRADC_CACHE_DIR=str(tmp_path), NUMBA_CPU_NAME="generic")
    assert narrow["widths"] == [4] and narrow["grad"] == here["grad"]
    assert old["widths"] == []
    np.testing.assert_allclose(old["grad"], here["grad"], rtol=1e-12)


@pytest.mark.parametrize("name", ["EXP", "SIN", "LOG"])
def test_coefficients_are_what_the_command_fits(name: str) -> None:
    from gradc.codegen import polynomials

    assert getattr(polynomials, name) == coefficients(FITS[name])[0]
