"""`f.lowlevel`: compiled integrands in SciPy's quad and nquad."""

import gc

import numpy as np
import pytest
from scipy.integrate import nquad, quad
from scipy.special import erf

import gradc
from gradc import ArgumentError, DerivativeError, ShapeError, UnsupportedError

MIXED = gradc.compile("(c[0] + c[1] * x**k) * exp(-a * x) if flag else M[1, 0] * x + s",
                      {"x": "", "a": "", "c": "2", "k": "int", "flag": "bool", "M": "2 2", "s": "float32"})
FIXED = {"a": 2.0, "c": [1.0, 3.0], "k": 2, "flag": True, "M": [[1.0, 2.0], [3.0, 4.0]], "s": 0.5}


def test_quad_integrates_a_compiled_function():
    f = gradc.compile("exp(-x**2)")
    assert f.lowlevel().signature == "double (int, double *, void *)"
    assert np.isclose(quad(f.lowlevel(), 0.0, 2.0)[0], np.sqrt(np.pi) / 2 * erf(2.0), rtol=1e-14)


def test_values_of_every_kind_reach_it():
    value, _ = quad(MIXED.lowlevel(**FIXED), 0.0, np.inf)
    assert np.isclose(value, 1 / 2 + 3 * 2 / 8)
    value, _ = quad(MIXED.lowlevel(**{**FIXED, "flag": False}), 0.0, 2.0)
    assert np.isclose(value, 3.0 * 2.0 + 0.5 * 2.0)


def test_each_callable_has_values_of_its_own_for_as_long_as_it_lives():
    f = gradc.compile("a * x + sum(c)", {"x": "", "a": "", "c": "n"})
    callables = [f.lowlevel(a=float(a), c=np.full(50, a)) for a in range(5)]
    gc.collect()
    assert [quad(low, 0.0, 1.0)[0] for low in callables] == [50.5 * a for a in range(5)]
    assert np.isclose(quad(f.lowlevel(a=0.0, c=[1.0, 2.0]), 0.0, 1.0)[0], 3.0)     # another size


def test_nquad_gives_the_numbers_in_order():
    f = gradc.compile("x**2 * y + k * z", {"x": "", "y": "", "k": "", "z": ""})
    value, _ = nquad(f.lowlevel(k=3.0), [[0.0, 1.0], [0.0, 2.0], [0.0, 4.0]])
    assert np.isclose(value, (1 / 3) * 2 * 4 + 3 * 8 * 2)


def test_the_rest_may_be_given_by_quads_args():
    f = gradc.compile("a * x", {"x": "", "a": ""})
    assert np.isclose(quad(f.lowlevel(), 0.0, 1.0, args=(4.0,))[0], 2.0)


def test_derivatives_are_integrated_too():
    f = gradc.compile("exp(-a * x)", args={"x": "", "a": ""}, wrt="a")
    assert np.isclose(quad(f.grad.lowlevel(a=2.0), 0.0, np.inf)[0], -1 / 4)       # d/da of 1/a


def test_an_undeclared_function_is_compiled_for_the_values():
    f = gradc.compile(lambda x, c: np.sum(c * x))
    assert np.isclose(quad(f.lowlevel(c=np.array([1.0, 2.0])), 0.0, 2.0)[0], 6.0)


@pytest.mark.filterwarnings("ignore::scipy.integrate.IntegrationWarning")
def test_what_the_function_refuses_is_nan():
    f = gradc.compile("abs(x)", kinks="raise", wrt="x").grad
    assert np.isnan(quad(f.lowlevel(), -1.0, 1.0)[0])           # the rule takes the kink at 0
    two = gradc.compile("x * y")
    assert np.isnan(quad(two.lowlevel(), 0.0, 1.0)[0])          # y is missing


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: MIXED.lowlevel(**FIXED, z=1.0), ArgumentError, "there is no argument z"),
    (lambda: MIXED.lowlevel(**{**FIXED, "x": 1.0}), ArgumentError, "nothing is left to integrate over: leave one out"),
    (lambda: MIXED.lowlevel(a=1.0), ArgumentError, "the argument c is no number of float64.*give its value, lowlevel"),
    (lambda: MIXED.lowlevel(**{**FIXED, "c": [1.0]}), ShapeError, "is declared to be 2"),
    (lambda: gradc.compile("x, x**2").lowlevel(), DerivativeError, "an integrand has one number as its value"),
    (lambda: gradc.compile("x", jit=False).lowlevel(), UnsupportedError, "a function with jit=False has no compiled"),
])
def test_what_cannot_be_an_integrand_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()
