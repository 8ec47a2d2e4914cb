"""Loading generated modules: compiled and plain give the same, from Python and from the user's code."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import math
import pickle
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from gradc.codegen import cache
from gradc.codegen import load as loading
from gradc.codegen.load import Entry, Module, load
from gradc.codegen.results import FieldError, result_class

from .sample_module import SAMPLE, run

X = np.arange(1.0, 5.0)
EXPECTED = 15.867617652259083

KINDS = Module(
    '''"""Accumulations of every kind."""
import numpy as np


def total(x):
    s = 0.0
    for i in range(x.shape[0]):
        s += x[i]
    return s


def total_and_product_single(x):
    s = np.float32(0.0)
    p = np.float32(1.0)
    for i in range(x.shape[0]):
        s += 2.0 * x[i]
        p *= x[i]
    return s, p


def integers(n, flag):
    count = 0
    for i in range(n):
        count += i
        count *= 1
        count += flag
    return count


def mixed(n, x):
    s = 0
    for i in range(n):
        s += x
        s += i
    return s


def kahan(x):
    s = 0.0
    lost = 0.0
    for i in range(x.shape[0]):
        y = x[i] - lost
        t = s + y
        lost = (t - s) - y
        s = t
    return s


def in_place(a, b):
    a += b
    a *= 2.0
    return a


def readers(a, flags):
    s = 0.0
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            if flags[j]:
                s += a[i, j]
    return s
''',
    entries=(
        Entry("total", ("float64[::1]",)),
        Entry("total_and_product_single", ("float32[::1]",)),
        Entry("integers", ("int64", "bool")),
        Entry("mixed", ("int64", "float64")),
        Entry("kahan", ("float64[::1]",)),
        Entry("in_place", ("float64[::1]", "float64[::1]")),
        Entry("readers", ("const float64[:,::1]", "const bool[:]")),
    ),
)

Functions = dict[str, Callable[..., Any]]


@pytest.fixture(scope="module", autouse=True)
def _private_cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(cache.VARIABLE, str(tmp_path_factory.mktemp("load") / "cache"))
        yield


@pytest.fixture(scope="module")
def compiled() -> Functions:
    return load(SAMPLE)


@pytest.fixture(scope="module")
def plain() -> Functions:
    return load(SAMPLE, jit=False)


@pytest.fixture(scope="module")
def kinds() -> Functions:
    return load(KINDS, cache=False)


def test_plain_and_compiled_agree(plain: Functions, compiled: Functions) -> None:
    assert plain["value"](X, 0.5) == pytest.approx(EXPECTED, rel=1e-15)
    assert compiled["value"](X, 0.5) == pytest.approx(EXPECTED, rel=1e-15)
    for functions in (plain, compiled):
        value, gradient = functions["value_and_grad"](X, 0.5)
        assert value == 15.0
        np.testing.assert_array_equal(gradient.x, X)
        assert gradient.arg_lambda == 30.0


def test_buffers_are_filled_in_place(compiled: Functions) -> None:
    d_x = np.zeros(4)
    assert compiled["value_and_grad_into"](X, 0.5, d_x) == (15.0, 30.0)
    np.testing.assert_array_equal(d_x, X)


def test_equal_modules_are_loaded_once(compiled: Functions) -> None:
    assert load(copy.deepcopy(SAMPLE))["value"] is compiled["value"]


@pytest.mark.parametrize(
    "arguments",
    [(X.astype(np.float32), 0.5), (X[::2], 0.5), (X.tolist(), 0.5), (X, 0.5j), (X, "0.5"), (X,), (X, 0.5, 1)],
)
def test_other_types_raise_type_error_without_compiling(compiled: Functions, arguments: Any) -> None:
    before = cache.cache_events()["compiled"]
    with pytest.raises(TypeError):
        compiled["value"](*arguments)
    assert cache.cache_events()["compiled"] == before


def test_convertible_scalars_are_accepted(compiled: Functions) -> None:
    for lam in (1, True, np.float32(1), np.int32(1)):
        assert compiled["value_and_grad"](X, lam)[0] == 30.0


def test_users_compiled_code_calls_entries_with_convertible_types(compiled: Functions) -> None:
    value, value_and_grad = compiled["value"], compiled["value_and_grad"]

    @numba.njit
    def newton(x: Any, steps: int) -> Any:
        lam = 0.0
        for _ in range(steps):
            f, gradient = value_and_grad(x, 2)
            lam += f + gradient.arg_lambda + gradient[1] + gradient.x[0] + value(x, 1) - value(x, True)
        return lam

    assert newton(X, 3) == pytest.approx(3 * (60.0 + 30.0 + 30.0 + 4.0), rel=1e-14)


def test_users_compiled_code_refuses_types_that_do_not_convert(compiled: Functions) -> None:
    value = compiled["value"]

    @numba.njit
    def call(x: Any) -> Any:
        return value(x, 1.0)

    with pytest.raises(numba.TypingError, match="value"):
        call(X.astype(np.float32))


def test_cached_entries_work_in_users_compiled_and_cached_code(tmp_path: Path) -> None:
    (tmp_path / "users_module.py").write_text(
        "import numba\n"
        "from gradc.codegen.load import Entry, Module, load\n"
        f"functions = load({SAMPLE!r})\n"
        "value, value_and_grad = functions['value'], functions['value_and_grad']\n"
        "@numba.njit(cache=True)\n"
        "def user(x):\n"
        "    return value(x, 0.5) + value_and_grad(x, 1)[1].arg_lambda\n"
    )
    body = f"""
sys.path.insert(0, {str(tmp_path)!r})
import users_module
total = float(users_module.user(x))
report(total=total, hits=sum(users_module.user.stats.cache_hits.values()),
       gradient=pickle.dumps(users_module.value_and_grad(x, 0.5)[1]).hex())
"""
    environment = {"NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    first, second = run(body, **environment), run(body, **environment)
    assert first["total"] == second["total"] == pytest.approx(EXPECTED + 30.0, rel=1e-15)
    assert (first["hits"], second["hits"]) == (0, 1)
    assert second["events"]["compiled"] == 0
    # The gradient of a process whose code came from the cache is readable here by value.
    gradient = pickle.loads(bytes.fromhex(second["gradient"]))
    assert gradient["lambda"] == 30.0
    np.testing.assert_array_equal(gradient["x"], X)


def test_entries_pickle_to_another_process_alone_and_inside_users_functions(compiled: Functions) -> None:
    value = compiled["value"]

    @numba.njit
    def user(x: Any) -> Any:
        return 2.0 * value(x, 0.5)

    assert pickle.loads(pickle.dumps(value)) is value
    shipped = [pickle.dumps(function).hex() for function in (value, user)]
    reported = run(
        f"value, user = (pickle.loads(bytes.fromhex(each)) for each in {shipped!r})\n"
        "report(value=float(value(x, 0.5)), user=float(user(x)))"
    )
    assert reported["value"] == pytest.approx(EXPECTED, rel=1e-15)
    assert reported["user"] == pytest.approx(2 * EXPECTED, rel=1e-15)
    assert reported["events"]["hits"] == 1


@pytest.mark.parametrize("environment", [{"NUMBA_DISABLE_JIT": "1"}, {}])
def test_plain_python_never_imports_numba(environment: dict[str, str]) -> None:
    jit = bool(environment)  # once by Numba's own switch, once by the argument
    body = f"""
f = load(SAMPLE, jit={jit})["value"]
report(value=float(f(x, 0.5)), numba="numba" in sys.modules, kind=type(f).__name__)
"""
    reported = run(body, **environment)
    assert reported["value"] == pytest.approx(EXPECTED, rel=1e-15)
    assert not reported["numba"]
    assert reported["kind"] == "function"


def test_numbas_switch_is_seen_when_numba_is_there_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    assert inspect.isfunction(load(SAMPLE)["value"])


def test_tracebacks_and_getsource_show_the_generated_lines() -> None:
    text = "def f(x):\n    s = 0.0\n    s += x\n    return x['no such']  # the line\n"
    f = load(Module(text, entries=(Entry("f", ("float64",)),)), jit=False)["f"]
    with pytest.raises(TypeError) as caught:
        f(1.0)
    assert "return x['no such']  # the line" in "".join(traceback.format_exception(caught.value))
    assert inspect.getsource(f) == text
    assert sys.modules[f.__module__].__dict__["f"] is f


def test_compiled_functions_keep_the_generated_lines(compiled: Functions) -> None:
    python_function: Any = compiled["value"]
    assert "s += lam * square(x[i])" in inspect.getsource(python_function.py_func)


def test_accumulations_of_every_kind(kinds: Functions) -> None:
    reference = load(KINDS, jit=False)
    singles = X.astype(np.float32)
    assert kinds["total"](X) == 10.0
    assert kinds["total_and_product_single"](singles) == (20.0, 24.0)
    single: Any = kinds["total_and_product_single"]
    assert [str(result.signature.return_type) for result in single.overloads.values()] == [
        "UniTuple(float32 x 2)"
    ]
    assert kinds["integers"](5, True) == reference["integers"](5, True) == 15
    assert isinstance(kinds["integers"](5, True), int)
    assert kinds["mixed"](4, 0.5) == reference["mixed"](4, 0.5) == 8.0
    for functions in (kinds, reference):
        a = np.ones(3)
        functions["in_place"](a, np.full(3, 2.0))
        np.testing.assert_array_equal(a, np.full(3, 6.0))


def test_read_only_and_strided_arrays_are_taken_where_declared(kinds: Functions) -> None:
    a = np.arange(6.0).reshape(2, 3)
    flags = np.array([True, False, False, False, True, False])[::2]
    a.setflags(write=False)
    assert kinds["readers"](a, flags) == 2.0 + 5.0 + 0.0 + 3.0


def test_sums_vectorise_and_compensated_sums_survive(kinds: Functions) -> None:
    function: Any = kinds["total"]
    (text,) = function.inspect_llvm().values()
    assert "fadd reassoc contract <" in text  # the sum runs in vectors
    for flag in ("nnan", "ninf", "nsz", "arcp", "afn", " fast "):
        assert flag not in text
    x = np.array([1.0, 1e100, 1.0, -1e100] * 250)
    tiny = np.full(1001, 1e-16)
    tiny[0] = 1.0
    assert kinds["kahan"](tiny) == math.fsum(tiny)
    assert kinds["kahan"](x) == load(KINDS, jit=False)["kahan"](x)


def test_special_values_pass_through_sums(kinds: Functions) -> None:
    assert math.isnan(kinds["total"](np.array([1.0, math.nan] * 40)))
    assert kinds["total"](np.array([1.0, math.inf] * 40)) == math.inf
    assert math.isnan(kinds["total"](np.array([math.inf, -math.inf] * 40)))


def test_division_by_zero_follows_ieee() -> None:
    text = "def f(x):\n    return 1.0 / x\n"
    assert load(Module(text, entries=(Entry("f", ("float64",)),)), cache=False)["f"](0.0) == math.inf


@pytest.mark.parametrize(
    "changed",
    [
        Module(SAMPLE.source + "\n", SAMPLE.helpers, SAMPLE.entries, SAMPLE.results),
        Module(SAMPLE.source, (), SAMPLE.entries, SAMPLE.results),
        Module(SAMPLE.source, SAMPLE.helpers, SAMPLE.entries[:2], SAMPLE.results),
        Module(SAMPLE.source, SAMPLE.helpers, SAMPLE.entries, (("Gradient", ("x", "l")),)),
        dataclasses.replace(SAMPLE, buffered=("value_and_grad",)),
    ],
)
def test_name_of_an_entry_depends_on_every_part(changed: Module) -> None:
    assert loading._key(changed, plain=False) != loading._key(SAMPLE, plain=False)


def test_name_of_an_entry_depends_on_options_and_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [loading._key(SAMPLE, plain=True), loading._key(SAMPLE, plain=False)]
    keys.append(loading._key(dataclasses.replace(SAMPLE, chunked=SAMPLE.helpers), plain=False))
    for changes in ({"error_model": "python"}, {"fastmath": {"contract", "reassoc"}}):
        with monkeypatch.context() as patch:
            patch.setattr(loading, "OPTIONS", {**loading.OPTIONS, **changes})
            keys.append(loading._key(SAMPLE, plain=False))
    for target in ("numba.__version__", "llvmlite.__version__", "numpy.__version__", "scipy.__version__"):
        with monkeypatch.context() as patch:
            patch.setattr(target, "0.0")
            keys.append(loading._key(SAMPLE, plain=False))
    for target, value in (("numba.config.OPT", 0), ("numba.config.BOUNDSCHECK", 1), ("sys.version", "3")):
        with monkeypatch.context() as patch:
            patch.setattr(target, value)
            keys.append(loading._key(SAMPLE, plain=False))
    with monkeypatch.context() as patch:
        codegen = type(numba.core.registry.cpu_target.target_context.codegen())
        patch.setattr(codegen, "magic_tuple", lambda self: ("triple", "another cpu", "+avx"))
        keys.append(loading._key(SAMPLE, plain=False))
    assert len(set(keys)) == len(keys) == 13
    assert keys[1] == loading._key(SAMPLE, plain=False)


@pytest.mark.parametrize("spelling", ["float65", "float64[", "float64[::2]", "Array", "__import__('os')", ""])
def test_spelling_that_names_no_type_is_refused(spelling: str) -> None:
    with pytest.raises(ValueError, match="names no type"):
        loading._numba_type(spelling)


def test_threads_loading_the_same_module_get_the_same_functions() -> None:
    module = Module(
        "def f(x):\n    return 3.0 * x\n\n\ndef g(x):\n    return f(x)\n", ("f",), (Entry("g", ("float64",)),)
    )
    before = cache.cache_events()["compiled"]
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(load(module)["g"])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({id(function) for function in found}) == 1
    assert found[0](2.0) == 6.0
    assert cache.cache_events()["compiled"] == before + 1


def test_parallel_loops_run_and_load_from_the_cache() -> None:
    text = (
        "import numpy as np\n\nprange = range\n\n\n"
        "def part(x, c):\n    s = 0.0\n    for i in range(c, x.shape[0], 4):\n        s += x[i]\n    return s\n\n\n"
        "def f(x):\n    out = np.empty(4)\n    for c in prange(4):\n        out[c] = part(x, c)\n"
        "    return out\n\n\ndef g(x):\n    return 2.0 * x\n"
    )
    module = Module(text, entries=(Entry("f", ("float64[::1]",)), Entry("g", ("float64",))), chunked=("part",))
    # Numba's workqueue layer needs nothing installed.
    body = f"""
functions = load({module!r})
report(values=functions["f"](np.arange(16.0)).tolist(), g=functions["g"](2))
"""
    first, second = run(body), run(body)
    assert first["values"] == second["values"] == [24.0, 28.0, 32.0, 36.0]
    assert first["g"] == second["g"] == 4.0
    assert (first["events"]["compiled"], second["events"]["compiled"]) == (2, 0)


def test_result_fields_are_found_by_the_arguments_own_names(compiled: Functions, plain: Functions) -> None:
    for functions in (compiled, plain):
        gradient = functions["value_and_grad"](X, 0.5)[1]
        assert gradient["lambda"] == gradient["arg_lambda"] == gradient.arg_lambda == gradient[1] == 30.0
        assert gradient[-1] == 30.0
        assert gradient[1:] == (30.0,)
        d_x, d_lam = gradient
        assert d_x is gradient.x
        assert d_lam == 30.0
        assert repr(gradient).startswith("Gradient(x=array([1., 2., 3., 4.]), arg_lambda=")
        with pytest.raises(FieldError) as caught:
            gradient["lamda"]
        assert isinstance(caught.value, KeyError)
        assert str(caught.value) == (
            "Gradient has no field 'lamda'. Its fields are 'x', 'lambda': "
            "use one of these names or a position."
        )
        with pytest.raises(IndexError):
            gradient[2]


def test_argument_name_goes_before_a_field_name() -> None:
    cls = result_class("Gradient", ("arg_in", "arg_in_2"), ("in", "arg_in"), "made_up")
    assert cls(1.0, 2.0)["arg_in"] == 2.0
    assert cls(1.0, 2.0)["in"] == 1.0


def test_results_equal_tuples_and_survive_copies_and_pickles() -> None:
    cls = result_class("Gradient", ("x", "arg_lambda"), ("x", "lambda"), "made_up")
    result = cls(1.0, 2.0)
    assert result == (1.0, 2.0)
    assert result != (1.0, 3.0)
    assert hash(result) == hash((1.0, 2.0))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(result, protocol))
        assert again == result
        assert type(again) is cls
    assert type(copy.deepcopy(result)) is cls
    assert result._replace(x=5.0)["x"] == 5.0
    assert result._asdict() == {"x": 1.0, "arg_lambda": 2.0}


def test_results_are_read_in_a_process_that_never_saw_the_module() -> None:
    cls = result_class("Gradient", ("x", "arg_lambda"), ("x", "lambda"), "a_module_of_this_process")
    pickled = pickle.dumps(cls(1.0, 2.0)).hex()
    reported = run(
        f"g = pickle.loads(bytes.fromhex({pickled!r}))\n"
        "report(fields=g._fields, value=g['lambda'], name=type(g).__name__)"
    )
    assert (reported["fields"], reported["value"], reported["name"]) == (["x", "arg_lambda"], 2.0, "Gradient")


def test_unequal_numbers_of_names_are_refused() -> None:
    with pytest.raises(ValueError, match="1 fields but 2 original names"):
        result_class("Gradient", ("x",), ("x", "y"), "made_up")
