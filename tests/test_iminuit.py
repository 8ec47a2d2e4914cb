"""`f.iminuit`: gradc's costs in iminuit, on fits whose answers are known."""

import numpy as np
import pytest

import gradc

T = np.linspace(0.0, 5.0, 40)
Y = 3.0 * np.exp(-0.7 * T) + 1.0 + 0.1 * np.random.default_rng(0).standard_normal(40)
SQUARES = gradc.compile("sum(((A * exp(-rate * t) + c - y) / s)**2)",
                        {"A": "", "rate": "", "c": "", "t": "n", "y": "n", "s": ""}, jit=False)
VECTOR = gradc.compile("sum(((p[0] * exp(-p[1] * t) + p[2] - y) / s)**2)", {"p": "k", "t": "n", "y": "n", "s": ""},
                       wrt="p", jit=False)
LIKELIHOOD = gradc.compile("sum(log(s) + ((x - m) / s)**2 / 2)", {"m": "", "s": "", "x": "n"}, wrt=("m", "s"), jit=False)


def minuit():
    return pytest.importorskip("iminuit", reason="iminuit is not installed: pip install iminuit").Minuit


def test_minuit_takes_the_gradient_and_the_names():
    cost = SQUARES.iminuit(("A", "rate", "c"), t=T, y=Y, s=0.1)
    fit = minuit()(cost, A=1.0, rate=1.0, c=0.0)
    fit.migrad()
    assert fit.valid and fit.parameters == ("A", "rate", "c") and fit.ngrad > 0 and fit.errordef == 1.0
    alone = minuit()(lambda A, rate, c: cost(A, rate, c), A=1.0, rate=1.0, c=0.0)      # differences instead
    alone.migrad()
    assert alone.ngrad == 0 and fit.nfcn < alone.nfcn
    assert np.allclose(fit.values, alone.values, rtol=1e-3) and np.allclose(fit.errors, alone.errors, rtol=1e-2)
    assert np.all(np.abs(np.array(fit.values) - [3.0, 0.7, 1.0]) < 3 * np.array(fit.errors))
    again = minuit()(cost, *fit.values, hessian=cost.hess)
    again.migrad()
    again.hesse()
    assert again.valid and np.allclose(again.errors, fit.errors, rtol=1e-2)


def test_the_elements_of_an_array_are_parameters():
    cost = VECTOR.iminuit(t=T, y=Y, s=0.1)
    start = cost.pack([1.0, 1.0, 0.0])
    fit = minuit()(cost, *start)
    fit.migrad()
    assert fit.parameters == ("p[0]", "p[1]", "p[2]")
    assert np.allclose(cost.unpack(np.array(fit.values)), [3.0, 0.7, 1.0], atol=0.2)
    whole = minuit()(cost, start)                               # called with the vector
    whole.migrad()
    assert np.array_equal(whole.values, fit.values)


def test_a_likelihood_has_its_own_errordef():
    x = np.random.default_rng(1).normal(2.0, 0.5, 400)
    fit = minuit()(LIKELIHOOD.iminuit(errordef=0.5, x=x), m=1.0, s=1.0)
    fit.limits["s"] = (0.01, None)
    fit.migrad()
    assert np.allclose(fit.values, [x.mean(), x.std()], atol=1e-4)
    assert np.allclose(fit.errors, [x.std() / 20, x.std() / np.sqrt(800)], rtol=0.02)


def test_values_and_derivatives_are_those_of_the_function_without_iminuit():
    cost = SQUARES.iminuit(("A", "c"), rate=0.5, t=T, y=Y, s=0.1)
    assert cost(2.0, 1.0) == SQUARES(2.0, 0.5, 1.0, T, Y, 0.1) == cost(np.array([2.0, 1.0]))
    full = SQUARES.grad(2.0, 0.5, 1.0, T, Y, 0.1)
    assert np.array_equal(cost.grad(2.0, 1.0), [full.A, full.c])
    assert cost.hess(2.0, 1.0).shape == (2, 2)


def test_parameters_of_unknown_number_ask_for_the_start():
    with pytest.raises(gradc.ArgumentError, match=r"the sizes of p are not known yet: call pack\(...\)"):
        minuit()(VECTOR.iminuit(t=T, y=Y, s=0.1), 1.0, 1.0, 0.0)
