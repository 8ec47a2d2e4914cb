"""The benchmark's own parts: results that survive their file, disagreements that are found, cases that say the same."""

import numpy as np
import pytest

import gradc

from .benchmarks import calls, crossover
from .benchmarks.cases import PROBLEMS, ba, formula, gmm, hand, heat, kernel_density
from .benchmarks.data import adbench
from .benchmarks.results import Results, Row, Section
from .benchmarks.run import disagreement, flat
from .benchmarks.table import markdown, ratio_rows


@pytest.fixture
def no_data(monkeypatch, tmp_path):
    """As on a machine without ADBench's files."""
    monkeypatch.setenv("GRADC_BENCHMARK_DATA", str(tmp_path))


def some_results():
    rows = [Row("gradc", value=1e-6, gradient=2e-6, drift=0.01), Row("JAX", form="a", gradient=7e-6, drift=0.02)]
    machine = {"processor": "p", "system": "s"}
    return Results(machine, {"Python": "3"}, ["gradc", "JAX"], [Section("P", "5", rows)], ["n"])


def test_results_survive_their_file(tmp_path):
    some_results().write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == some_results()


def test_ratios_are_above_one_where_gradc_is_faster():
    assert markdown(ratio_rows(some_results())).splitlines()[-1] == "| P 5 | 2 | 2.00 | 1% | 3.50 |"


@pytest.mark.parametrize("wrong", [[1.0, 2.0, 3.1], [1.0, 2.0], [1.0, np.nan, 3.0], [1.1, 2.0, 3.0]])
def test_a_wrong_value_or_derivative_is_found(wrong):
    assert disagreement(flat((1.0, [2.0, 3.0])), flat((1.0, (np.array([2.0]), np.array([[3.0]])))), 1e-9) is None
    assert disagreement(np.array(wrong), np.array([1.0, 2.0, 3.0]), 1e-3) is not None


def test_names_of_cases_are_their_problem_and_size():
    for problem in PROBLEMS.values():
        assert set(problem.quick) <= set(problem.sizes)
    assert PROBLEMS["Rosenbrock"].make("5").name == PROBLEMS["Rosenbrock"].case_name("5")


def test_made_data_have_the_sizes_of_the_benchmark(no_data):
    assert adbench("gmm") is None
    alpha, mu, icf, x, _, _ = gmm.data(1000, 10, 25)
    assert (alpha.shape, mu.shape, icf.shape, x.shape) == ((25,), (25, 10), (25, 55), (1000, 10))
    cameras, points, w, seen, _, _ = ba.data("1")
    assert (cameras.shape, points.shape, w.shape, seen.shape) == ((49, 11), (7776, 3), (31843,), (31843, 2))
    theta, us, model, where, at = hand.data("complicated small 100")
    assert (theta.shape, us.shape, where.shape, at.shape) == ((26,), (100, 2), (100, 3), (100, 3))
    assert model.weights.shape == (544, 22)


def test_the_formula_and_the_numpy_code_of_a_case_are_the_same_function():
    random = np.random.default_rng(0)
    args = {"alpha": "k", "mu": "k d", "icf": "k h", "x": "n d", "gamma": "", "m": "int"}
    given = (random.random(2), random.random((2, 3)), random.random((2, 6)), random.random((4, 3)), 0.7, 1)
    rows, columns = gmm.triangle(3)
    numpy = gmm.written(*given, rows, columns)
    assert gradc.compile(gmm.FORMULA.strip(), args, jit=False)(*given) == pytest.approx(numpy, rel=1e-13)
    x, c = random.random((4, 2)), random.random((3, 2))
    density = gradc.compile(kernel_density.FORMULA, {"x": "m d", "c": "n d", "h": ""}, jit=False)
    assert density(x, c, 0.5) == pytest.approx(kernel_density.written(x, c, 0.5), rel=1e-13)
    u, v = random.random((5, 4)), random.random((5, 4))
    step = gradc.compile(heat.FORMULA.strip(), {"u": "n m", "v": "n m", "a": ""}, jit=False)
    assert step(u, v, 0.3) == pytest.approx(heat.written(u, v, 0.3), rel=1e-13)


def test_long_formulas_have_the_operations_that_their_size_says():
    assert formula.text(formula.operations(100)).count("\n") == 100


def test_the_calls_whose_cost_is_measured_give_what_those_beside_them_give():
    for way in calls.ways():
        bare = way.bare()
        value = bare[0] if isinstance(bare, tuple) else bare
        assert way.call()[0] == pytest.approx(value), way.name
        if "out" in way.call.keywords:
            written = way.call.keywords["out"].copy()
            way.bare()
            np.testing.assert_allclose(written, way.bare.args[-1])


def test_products_are_the_same_in_loops_and_by_the_library():
    random = np.random.default_rng(0)
    left, right = random.random((5, 4)), random.random((4, 3))
    for name, function in crossover.ways().items():
        out = np.empty((5, 3))
        function(left, right, out)
        np.testing.assert_allclose(out, left @ right, rtol=1e-14, err_msg=name)
