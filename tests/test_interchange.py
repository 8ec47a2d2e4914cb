"""Nested sums of a derivative are taken in the order that computes least, with the same value and the same conditions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradc
from gradc.compiler.interchange import interchange
from gradc.ir.graph import Graph
from gradc.ir.interpret import evaluate

RNG = np.random.default_rng(3)
SIZES = {"n": 5, "k": 3, "d": 4}
MIXTURE = """
sum(log(sum(exp(-sum((sum(L[j,r,c] * (x[i,c] - mu[j,c]) for c in range(r)) + x[i,r] - mu[j,r])**2 for r in range(d)))
                for j in range(k))) for i in range(n))
"""


def domains(graph: Graph) -> list[list[str]]:
    """The names of the axes over which each sum of a graph runs, itself included."""
    return [sorted(str(axis) for axis in node.args[0].axes) for node in graph.reachable() if node.op == "sum"]


def test_the_means_of_a_mixture_take_no_second_triangular_product_for_each_point() -> None:
    f = gradc.compile(MIXTURE.strip(), {"L": "k d d", "x": "n d", "mu": "k d"}, wrt="mu", jit=False)
    deep = [domain for domain in domains(f.grad.graph) if len(domain) == 4]
    assert len(deep) == 1                                       # that of the value
    given = [RNG.normal(size=[SIZES[s] for s in text.split()]) for text in ("k d d", "n d", "k d")]
    gradc.check_gradients(f, *given, order=1)


CASES: list[tuple[str, dict[str, str]]] = [
    ("sum(sin(sum(a[i,r] * b[r,c] * w[c] for r in range(d))) for i in range(n) for c in range(k))",
     {"a": "n d", "b": "d k", "w": "k"}),
    ("sum(exp(sum(b[r] * (x[i] - mu[r]) for r in range(d) if r < i)) for i in range(n))",
     {"b": "d", "x": "n", "mu": "d"}),
    ("sum(p[i]**2 * sum(t[i,r] * a[r,c] * a[r,c] for r in range(c) if t[i,r] > 0) for i in range(n) for c in range(d))",
     {"p": "n", "t": "n d", "a": "d d"}),
    (MIXTURE.strip(), {"L": "k d d", "x": "n d", "mu": "k d"}),
]


@pytest.mark.parametrize(("formula", "args"), CASES, ids=["product", "guard of both", "guards of data", "mixture"])
def test_derivatives_whose_sums_change_places_are_right(formula: str, args: dict[str, str]) -> None:
    f = gradc.compile(formula, args, jit=False)
    for sizes in (SIZES, {"n": 1, "k": 1, "d": 1}, {"n": 0, "k": 2, "d": 2}):
        given = [RNG.normal(size=[sizes[s] for s in text.split()]) for text in args.values()]
        assert np.isfinite(f(*given))
        gradc.check_gradients(f, *given, order=1)


def test_sums_that_others_use_or_the_user_named_stay() -> None:
    def graph(*, named: bool, twice: bool) -> Graph:
        g = Graph()
        p, t, a = g.input("p", shape=["n"]), g.input("t", shape=["n", "r"]), g.input("a", shape=["r", "c"])
        from gradc.ir.dims import Axis, Dim

        n, r, c = (Axis(Dim.of(name), 0) for name in "nrc")
        inner = g.reduce("sum", r, g.ops.mul(g.read(t, [g.axis(n), g.axis(r)]), g.read(a, [g.axis(r), g.axis(c)])))
        if named:
            g.name(inner, "z")
        outer = g.reduce("sum", n, g.ops.mul(g.read(p, [g.axis(n)]), inner))
        g.outputs = [("f", g.store((c,), outer))]
        if twice:
            g.outputs.append(("z", g.store((n, c), inner)))
        return g

    values: dict[str, Any] = {"p": RNG.normal(size=4), "t": RNG.normal(size=(4, 3)), "a": RNG.normal(size=(3, 2))}
    for named, twice in ((True, False), (False, True), (False, False)):
        before = graph(named=named, twice=twice)
        after = interchange(before)
        assert (domains(after) == domains(before)) == (named or twice)
        for one, other in zip(evaluate(before, values), evaluate(after, values), strict=True):
            np.testing.assert_allclose(np.asarray(one, float), np.asarray(other, float), rtol=1e-13)
