"""Everything of NumPy that a traced function may use: values, first and second derivatives, shapes, dtypes.

Each case of the table is compared with NumPy itself, and its derivatives with central differences of NumPy's
values: along a random direction the first and the second derivative of a random combination of the results.
"""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.special

import gradc

from .coverage_table import CASES, Case

SIZES = {"n": 4, "m": 3, "k": 2, "b": 2}
STEP = 3e-3
IDS = [f"{k}-{case.name}" for k, case in enumerate(CASES)]


def drawn(case: Case, sizes: dict[str, int]) -> dict[str, Any]:
    """Arguments of a case at some sizes."""
    random = np.random.default_rng(case.seed)
    given: dict[str, Any] = {}
    for name, text in case.args.items():
        words = text.split()
        whole = words[:1] == ["int"]
        shape = tuple(int(eval(word, {}, dict(sizes))) for word in (words[1:] if whole else words))
        if whole:
            given[name] = random.integers(0, max(1, min(sizes["n"], 3)), shape)
        else:
            signs = random.choice([-1.0, 1.0], shape) if case.signed else 1.0
            given[name] = random.uniform(*case.within, shape) * signs
        if not shape:
            given[name] = int(given[name]) if whole else float(given[name])
    return given


def plainly(case: Case, given: dict[str, Any]) -> Any:
    """What NumPy gives, without its warnings."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return case.function(**given)


def equal(found: Any, wanted: Any, tolerance: float) -> None:
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape
    scale = max(1.0, float(np.max(np.abs(wanted[np.isfinite(wanted)]), initial=0.0))) if wanted.dtype.kind == "f" else 1.0
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_values_are_those_of_numpy(case: Case) -> None:
    f = gradc.compile(case.function, case.args, jit=False)
    given = drawn(case, SIZES)
    wanted = plainly(case, given)
    found = f(**given)
    equal(found, wanted, 1e-12)
    assert np.asarray(found).dtype == np.asarray(wanted).dtype
    fortran = {name: np.asfortranarray(value) if np.ndim(value) > 1 else
               np.repeat(value, 2)[::2] if np.ndim(value) else value for name, value in given.items()}
    equal(f(**fortran), wanted, 1e-12)
    for sizes in ({"n": 5, "m": 4, "k": 3, "b": 3}, {"n": 1, "m": 1, "k": 1, "b": 1}, {"n": 0, "m": 0, "k": 0, "b": 0}):
        given = drawn(case, sizes)
        if sizes["n"] < case.smallest:
            with pytest.raises(gradc.GradcError):
                f(**given)
            continue
        try:
            wanted = plainly(case, given)
        except (ValueError, IndexError, TypeError, ArithmeticError):
            continue
        if np.all(np.isfinite(np.asarray(wanted))):
            equal(f(**given), wanted, 1e-12)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_derivatives_are_those_of_central_differences(case: Case) -> None:
    given = drawn(case, SIZES)
    value = np.asarray(plainly(case, given))
    real = [name for name, v in given.items() if np.asarray(v).dtype.kind == "f"]
    if value.dtype.kind != "f" or not real:
        return
    real = [name for name in inspect.signature(case.function).parameters if name in real]
    random = np.random.default_rng(5)
    weights = random.standard_normal(value.shape)
    direction = {name: random.standard_normal(np.shape(given[name])) for name in real}
    f = gradc.compile(case.function, case.args, jit=False)
    _, saved = f.forward(**given)
    gradient = f.backward(saved, weights if weights.shape else float(weights))
    gradient = list(gradient) if len(real) > 1 else [gradient]

    def moved(t: float) -> float:
        there = given | {name: given[name] + t * direction[name] for name in real}
        return float(np.sum(weights * plainly(case, there)))

    def differences(h: float) -> tuple[float, float]:
        left2, left, here, right, right2 = (moved(k * h) for k in (-2, -1, 0, 1, 2))
        return ((8 * (right - left) - (right2 - left2)) / (12 * h),
                (16 * (right + left) - (right2 + left2) - 30 * here) / (12 * h * h))

    (first, _), (_, second), here = differences(STEP / 8), differences(STEP), moved(0.0)
    slope = sum(float(np.sum(g * direction[name])) for g, name in zip(gradient, real, strict=True))
    assert abs(slope - first) <= 3e-6 * max(1.0, abs(first), abs(here)), f"first derivative {slope}, not {first}"
    names = ", ".join(case.args)
    scope: dict[str, Any] = {"np": np, "function": case.function, "weights": weights}
    exec(f"def scalar({names}, weights):\n    return np.sum(weights * function({names}))\n", scope)
    shape = "" if not weights.shape else " ".join(map(str, weights.shape))
    scalar = gradc.compile(scope["scalar"], {**case.args, "weights": shape}, wrt=real, jit=False)
    factor = weights if weights.shape else float(weights)
    again = scalar.grad(**given, weights=factor)
    again = list(again) if len(real) > 1 else [again]
    for one, other in zip(again, gradient, strict=True):
        equal(one, other, 1e-9)
    _, saved = scalar.grad.forward(**given, weights=factor)
    cotangents = tuple(direction[name] if np.ndim(direction[name]) else float(direction[name]) for name in real)
    product = scalar.grad.backward(saved, cotangents if len(real) > 1 else cotangents[0])
    product = list(product) if len(real) > 1 else [product]
    curve = sum(float(np.sum(g * direction[name])) for g, name in zip(product, real, strict=True))
    assert abs(curve - second) <= 3e-4 * max(1.0, abs(second), abs(here)), f"second derivative {curve}, not {second}"


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_public_checker_passes_both_orders(case: Case) -> None:
    f = gradc.compile(case.function, case.args, jit=False)
    if f.wrt and f.graph.outputs[0][1].dtype.startswith("float"):
        assert gradc.check_gradients(f, *drawn(case, SIZES).values(), order=2).ok


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_single_precision_gives_the_dtype_of_numpy(case: Case) -> None:
    args = {name: text if text.startswith("int") else f"float32 {text}".strip() for name, text in case.args.items()}
    given = drawn(case, SIZES)
    single = {name: np.asarray(v, np.float32)[()] if np.asarray(v).dtype.kind == "f" else v for name, v in given.items()}
    wanted = np.asarray(plainly(case, single))
    f = gradc.compile(case.function, args, jit=False)
    equal(f(**single), wanted, 2e-5)
    if case.single:
        assert f.graph.outputs[0][1].dtype == wanted.dtype.name



@pytest.mark.parametrize("jit", [False, True])
def test_reductions_whose_result_is_empty_are_empty_as_in_numpy(jit: bool) -> None:
    def extremes(x: Any) -> Any:
        return np.max(x, axis=1) + np.argmin(x, axis=1) + np.ptp(x, axis=1)

    def means(x: Any) -> Any:
        return np.mean(x, axis=1) + np.var(x, axis=1) + scipy.special.logsumexp(x, axis=1)

    f, g = (gradc.compile(function, {"x": "n m"}, jit=jit) for function in (extremes, means))
    for function, shapes in ((f, [(0, 3)]), (g, [(0, 3), (0, 0)])):
        for shape in shapes:
            value, saved = function.forward(np.zeros(shape))
            assert value.shape == (0,)
            assert function.backward(saved, np.zeros(0)).shape == shape
    for function, shapes, message in ((f, [(3, 0), (0, 0)], "m(ax|in)"), (g, [(3, 0)], "(mean|logsumexp)")):
        for shape in shapes:
            with pytest.raises(gradc.DomainError, match=f"{message} over an empty axis of dimension m"):
                function(np.zeros(shape))
