"""Arrays put together from parts: nothing is zeroed first where the parts reach every element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradc
from gradc.ir.interpret import evaluate

RNG = np.random.default_rng(3)


def turned(x: Any) -> Any:
    """A matrix of six numbers, then one of twelve, each from rows that are stacked."""
    rows = np.stack([np.stack([np.sin(x), x * x]), np.stack([np.cos(x), np.zeros_like(x)])])
    return np.concatenate([rows, np.ones((2, 2, 1))], axis=2)


def hollow(x: Any) -> Any:
    """Two elements of four written."""
    made = np.zeros(4)
    made[1] = np.sin(x[0])
    made[3] = x[1] * x[0]
    return made


def overlapping(x: Any) -> Any:
    """Parts whose sizes add up to that of the array, one over the other."""
    made = np.zeros(4)
    made[0:2] = np.sin(x[0:2])
    made[1:3] = x[0:2] * x[0]
    return made


CASES: dict[str, tuple[Callable[..., Any], str, bool]] = {
    "side by side": (turned, "3", True),
    "side by side, of any size": (lambda x: np.stack([np.sin(x), np.cos(x)], axis=1), "n", True),
    "of symbolic sizes": (lambda x: np.concatenate([np.sin(x), np.ones(2)]), "n", False),
    "hollow": (hollow, "3", False),
    "overlapping": (overlapping, "3", False),
}


@pytest.mark.parametrize("case", CASES)
def test_only_what_no_part_reaches_is_zeroed(case: str) -> None:
    function, shape, tiled = CASES[case]
    f = gradc.compile(function, args={"x": shape})
    zeroed = [line for line in f.source.splitlines() if "np.zeros" in line or line.endswith("] = 0.0")]
    assert not (tiled and any("zeros" in line or "[:" in line for line in zeroed)), zeroed
    x = RNG.normal(size=3)
    out = np.full(np.shape(function(x)), np.nan)
    f(x, out=out)
    for made in (f(x), out):
        np.testing.assert_allclose(made, evaluate(f.graph, {"x": x})[0], rtol=1e-14)
    steps = [(function(x + h) - function(x - h)) / 2e-6 for h in 1e-6 * np.eye(3)]
    np.testing.assert_allclose(np.moveaxis(f.jvp.many(x, np.eye(3)), -1, 0), steps, atol=1e-8)
