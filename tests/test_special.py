"""Special functions in compiled code are SciPy's, from the cache too; our own kernels keep their digits."""

from __future__ import annotations

import math
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath
import numba
import numpy as np
import pytest
import scipy.special

from gradc.codegen import kernels, special
from gradc.codegen.load import Entry, Module, load
from gradc.ir.errors import UnsupportedError

from .sample_module import run

REAL = (-30.5, -2.5, -0.75, -0.3, 0.2, 0.5, 0.9, 1.0, 2.5, 7.0, 30.0)
POSITIVE = (0.2, 0.5, 1.0, 2.5, 7.0, 30.0)
BOUND = sorted([*special.ARGUMENTS, "jn", "digamma"])


def points(name: str) -> list[tuple[float, ...]]:
    """Arguments at which to compare a function with SciPy's."""
    kinds = special.ARGUMENTS[{"jn": "jv", "digamma": "psi"}.get(name, name)]
    if kinds == "d":
        return [(x,) for x in REAL]
    if kinds == "nd":
        return [(n, x) for n in (0, 1, 4) for x in POSITIVE]
    return [(v, x) for v in (0.0, 0.5, 2.0, 3.7) for x in POSITIVE]


@pytest.fixture(scope="module")
def bound() -> dict[str, Callable[..., Any]]:
    return special.bind(BOUND)


@pytest.mark.parametrize("name", BOUND)
def test_bound_function_equals_scipys(bound: dict[str, Callable[..., Any]], name: str) -> None:
    finite = 0
    for arguments in points(name):
        expected = float(getattr(scipy.special, name)(*arguments))
        # The C library's and SciPy's own differ in the last digits, by the worse of the two.
        tolerance = 1e-12 if name in special._C_LIBRARY else 4e-15
        assert bound[name](*arguments) == pytest.approx(expected, rel=tolerance, abs=0, nan_ok=True), (
            arguments
        )
        finite += math.isfinite(expected)
    assert finite >= 3


def ulps(value: float, reference: Any) -> float:
    return float(abs(mpmath.mpf(value) - reference) / math.ulp(float(reference)))


@pytest.mark.parametrize(
    ("name", "bound_in_ulp"), [("erf", 2.0), ("erfc", 4.0), ("gamma", 6.0), ("gammaln", 4.0)]
)
def test_error_and_gamma_functions_are_accurate(
    bound: dict[str, Callable[..., Any]], name: str, bound_in_ulp: float
) -> None:
    reference = {"gammaln": mpmath.loggamma}.get(name) or getattr(mpmath, name)
    with mpmath.workdps(40):
        worst = max(ulps(bound[name](x), reference(x)) for x in np.linspace(0.02, 26.0, 200).tolist())
    assert worst <= bound_in_ulp


def test_variant_is_chosen_by_signature() -> None:
    signatures = {
        "__pyx_fuse_0jv": "__pyx_t_double_complex (double, __pyx_t_double_complex, int __pyx_skip_dispatch)",
        "__pyx_fuse_1jv": "double (double, double, int __pyx_skip_dispatch)",
        "__pyx_fuse_0expit": "float (float, int __pyx_skip_dispatch)",
        "__pyx_fuse_1expit": "long double (long double, int __pyx_skip_dispatch)",
        "__pyx_fuse_0yn": "double (double, double, int __pyx_skip_dispatch)",
        "__pyx_fuse_1yn": "double (long, double, int __pyx_skip_dispatch)",
        "__pyx_fuse_2yn": "double (Py_ssize_t, double, int __pyx_skip_dispatch)",
        "__pyx_fuse_1spherical_jn": "double (Py_ssize_t, double, int __pyx_skip_dispatch, struct o *__pyx_o)",
        "i0": "double (double)",
        "i1": "double (double, double *)",
        "xj0": "double (double, int __pyx_skip_dispatch)",
    }
    assert special.find_variant("jv", signatures) == ("__pyx_fuse_1jv", ("double", "double", "int"))
    assert special.find_variant("yn", signatures) == ("__pyx_fuse_2yn", ("Py_ssize_t", "double", "int"))
    assert special.find_variant("i0", signatures) == ("i0", ("double",))
    spherical = special.find_variant("spherical_jn", signatures)
    assert spherical is not None
    assert spherical.types == ("Py_ssize_t", "double", "int", "pointer")
    del signatures["__pyx_fuse_2yn"]
    assert special.find_variant("yn", signatures) == ("__pyx_fuse_1yn", ("long", "double", "int"))
    assert special.find_variant("expit", signatures) is None
    assert special.find_variant("j0", signatures) is None


@pytest.mark.parametrize("name", ["zeta", "polygamma", "nothing"])
def test_function_without_a_compiled_variant_is_refused(name: str) -> None:
    with pytest.raises(UnsupportedError, match=rf"scipy.special.{name} has no compiled variant"):
        special.bind([name])


def test_users_compiled_code_calls_bound_functions(bound: dict[str, Callable[..., Any]]) -> None:
    psi, expn = bound["psi"], bound["expn"]

    @numba.njit
    def total(x: Any) -> Any:
        s = 0.0
        for i in range(x.shape[0]):
            s += psi(x[i]) + expn(i, 1)
        return s

    x = np.linspace(0.5, 3.0, 6)
    expected = float(np.sum(scipy.special.psi(x) + scipy.special.expn(np.arange(6), 1.0)))
    assert total(x) == pytest.approx(expected, rel=1e-14)


CACHED = Module(
    "from scipy.special import erfinv, iv, jv, psi as digamma, spherical_jn, yn\n\n\n"
    "def f(x):\n"
    "    s = 0.0\n"
    "    for i in range(x.shape[0]):\n"
    "        s += erfinv(x[i]) + jv(0.5, x[i]) + yn(2, x[i]) + digamma(x[i]) + iv(1.5, x[i])\n"
    "        s += spherical_jn(1, x[i])\n"
    "    return s\n",
    entries=(Entry("f", ("float64[::1]",)),),
)


def test_cached_code_finds_the_functions_in_another_process(tmp_path: Path) -> None:
    body = f"""
import numba
f = load({CACHED!r})["f"]
@numba.njit
def user(x):
    return f(x)
x = np.linspace(0.1, 0.9, 5)
report(value=float(f(x)), user=float(user(x)))
"""
    first, second = (run(body, GRADC_CACHE_DIR=str(tmp_path / "cache")) for _ in range(2))
    assert first["events"]["compiled"] == second["events"]["hits"] == 1
    assert second["events"]["compiled"] == 0
    expected = float(load(CACHED, jit=False)["f"](np.linspace(0.1, 0.9, 5)))
    for value in (first["value"], first["user"], second["value"], second["user"]):
        assert value == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("mode", ["numba", "numba switched off", "no numba"])
def test_standalone_text_binds_the_functions(tmp_path: Path, mode: str) -> None:
    names = ["erfinv", "erfc", "jn", "expn", "psi", "beta"]
    call = "erfinv(0.25) + erfc(x) + jn(1.5, x) + expn(2, x) + psi(x) + beta(x, 1.5)"
    file = tmp_path / "saved.py"
    file.write_text(
        special.standalone_prelude(names)
        + f"\n\ndef f(x):\n    return {call}\n\n\n"
        + "if __name__ == '__main__':\n"
        + ("    from numba import njit\n    f = njit(f)\n" if mode == "numba" else "")
        + "    print(repr(float(f(0.7))))\n"
    )
    prepare = {
        "numba": "",
        "numba switched off": "import os; os.environ['NUMBA_DISABLE_JIT'] = '1'; ",
        "no numba": "import sys; sys.modules['numba'] = None; ",
    }[mode]
    code = f"{prepare}import runpy; runpy.run_path({str(file)!r}, run_name='__main__')"
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert finished.returncode == 0, finished.stderr
    sc = scipy.special
    expected = sc.erfinv(0.25) + sc.erfc(0.7) + sc.jv(1.5, 0.7) + sc.expn(2, 0.7) + sc.psi(0.7)
    assert float(finished.stdout) == pytest.approx(float(expected + sc.beta(0.7, 1.5)), rel=1e-14)


def test_standalone_text_refuses_what_it_cannot_bind() -> None:
    for name in ("spherical_jn", "zeta"):
        with pytest.raises(UnsupportedError, match=rf"scipy.special.{name} cannot be bound in a saved file"):
            special.standalone_prelude([name])
    assert special.standalone_prelude([]) == ""


@pytest.fixture(scope="module")
def pasted() -> dict[str, Callable[..., Any]]:
    """The kernels as a generated module holds them: their text pasted and compiled."""
    needed = [kernels.KERNELS[name] for name in ("polygamma", "sinc_derivative")]
    imports = sorted({line for kernel in needed for line in kernel.imports})
    text = (
        "\n".join(imports)
        + "\n\n\n"
        + "\n\n".join(map(kernels.kernel_text, ("polygamma", "sinc_derivative")))
    )
    helpers = tuple(name for kernel in needed for name in kernel.functions if name not in ENTRIES)
    module = Module(text, helpers, tuple(Entry(name, ("int64", "float64")) for name in ENTRIES))
    return load(module, cache=False)


ENTRIES = ("polygamma", "sinc_derivative")


def zeta(s: int, x: Any) -> Any:
    """Hurwitz's zeta function for integers s and any x: the sum over k >= 0 of (x + k)**-s."""
    shift = max(0, int(mpmath.ceil(-x)))
    return mpmath.fsum((x + k) ** -s for k in range(shift)) + mpmath.zeta(s, x + shift)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 10])
def test_polygamma_keeps_its_digits(pasted: dict[str, Callable[..., Any]], n: int) -> None:
    rng = np.random.default_rng(n)
    xs = [*10 ** rng.uniform(-3, 4, 40), *rng.uniform(0.5, 20, 40), *rng.uniform(-20, 0, 40)]
    sign = (-1) ** (n + 1) * math.factorial(n)
    with mpmath.workdps(80), warnings.catch_warnings(action="error"):
        for x in map(float, xs):
            reference = sign * zeta(n + 1, mpmath.mpf(x))
            condition = 1.0
            if x < 0:  # an even order has zeros there
                condition = max(1.0, float(abs(x * (n + 1) * zeta(n + 2, mpmath.mpf(x)) * sign / reference)))
            for function in (pasted["polygamma"], kernels.polygamma):
                assert ulps(function(n, x), reference) <= 10 * condition, x


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4])
def test_polygamma_at_special_points_is_scipys(pasted: dict[str, Callable[..., Any]], n: int) -> None:
    xs = [0.0, -0.0, -1.0, -7.0, -1e17, math.inf, -math.inf, math.nan, 1e-200, -1e-200, 5e-324, 1e300, 1e8]
    with warnings.catch_warnings(action="error"):
        for x in xs:
            if n and x in (-1e-200, 5e-324):
                expected = math.copysign(math.inf, (-1.0) ** (n + 1) * math.copysign(1.0, x) ** (n + 1))
            else:
                expected = float(scipy.special.polygamma(n, x))
            for function in (pasted["polygamma"], kernels.polygamma):
                assert function(n, x) == pytest.approx(expected, rel=1e-14, nan_ok=True), x


def test_polygamma_far_left_costs_no_more_than_near_zero() -> None:
    with mpmath.workdps(60):
        # The integer parts of the arguments cancel: only 1 / x parts of the finite sum are missing.
        x = mpmath.mpf(-1234567.75)
        reference = mpmath.pi**2 / mpmath.sin(mpmath.pi * x) ** 2 - mpmath.zeta(2, 1 - x)
        assert ulps(kernels.polygamma(1, -1234567.75), reference) <= 4


def test_polygamma_of_negative_order_is_nan() -> None:
    assert math.isnan(kernels.polygamma(-1, 2.0))


def sinc_reference(k: int, x: Any) -> Any:
    """The k-th derivative of sin(x) / x in the working precision."""
    if abs(x) < 1:
        terms = (
            (-1) ** ((j + k) // 2) * x**j / (mpmath.factorial(j) * (j + k + 1)) for j in range(k % 2, 60, 2)
        )
        return mpmath.fsum(terms)
    waves = (mpmath.sin(x), mpmath.cos(x), -mpmath.sin(x), -mpmath.cos(x))
    result = waves[0] / x
    for order in range(1, k + 1):
        result = (waves[order % 4] - order * result) / x
    return result


@pytest.mark.parametrize("k", [0, 1, 2, 3, 4, 5])
def test_sinc_derivative_keeps_its_digits(pasted: dict[str, Callable[..., Any]], k: int) -> None:
    rng = np.random.default_rng(k)
    xs = [
        *rng.uniform(-100, 100, 60),
        *rng.uniform(-8, 8, 200),
        *10 ** rng.uniform(-12, 1, 60),
        1e-300,
        5e-324,
    ]
    with mpmath.workdps(60), warnings.catch_warnings(action="error"):
        for x in map(float, xs):
            exact = mpmath.mpf(x)
            reference = sinc_reference(k, exact)
            condition = max(1.0, float(abs(exact * sinc_reference(k + 1, exact) / reference)))
            for function in (pasted["sinc_derivative"], kernels.sinc_derivative):
                assert ulps(function(k, x), reference) <= 4 * condition, x


@pytest.mark.parametrize("k", [0, 1, 2, 3, 4])
def test_sinc_derivative_at_special_points(pasted: dict[str, Callable[..., Any]], k: int) -> None:
    with warnings.catch_warnings(action="error"):
        for function in (pasted["sinc_derivative"], kernels.sinc_derivative):
            assert function(k, 0.0) == [1.0, 0.0, -1.0 / 3.0, 0.0, 0.2][k]
            assert function(k, math.inf) == function(k, -math.inf) == 0.0
            assert math.isnan(function(k, math.nan))


def test_kernels_of_any_order_end_without_an_error() -> None:
    with warnings.catch_warnings(action="error"):
        for order in (20, 60, 200):
            for x in (-1e5, -33.25, -1e-3, 0.0, 1e-3, 5.0, 29.0, 400.0, 1e300):
                assert isinstance(float(kernels.sinc_derivative(order, x)), float)
                assert isinstance(float(kernels.polygamma(order, x)), float)


def test_integer_arguments_are_taken_in_plain_python() -> None:
    assert kernels.sinc_derivative(1, 2) == kernels.sinc_derivative(1, 2.0)
    assert (
        kernels.polygamma(1, 2) == kernels.polygamma(1, 2.0) == pytest.approx(math.pi**2 / 6 - 1, rel=1e-15)
    )
