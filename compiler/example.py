"""A point at which a formula can be checked: inside its domain, where it is finite and smooth.

Takes a graph and looks, in a fixed order, at random points of several ranges and sizes with the
interpreter. Gives the arguments together with the Python text that makes them again, for the check of a
saved file. Which derivative is right is not asked here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradc.ir.errors import GradcError
from gradc.ir.graph import Graph, Node
from gradc.ir.interpret import evaluate

TRIES = 200
LARGEST = 400                   # elements in a literal
RANGES = ((0.3, 1.7), (0.1, 0.9), (-0.9, 0.9), (1.1, 3.0), (-2.0, 2.0), (2.0, 10.0), (-3.0, -0.5),
          (10.0, 50.0))
SIZES = (4, 3, 5, 2, 6, 1, 8)


@dataclass(frozen=True)
class Example:
    """Arguments of a check.

    seed       of NumPy's generator, from which the arguments are drawn in order
    draws      whether anything is drawn
    lines      argument -> the Python expression that makes it, with `rng` the generator
    values     the outputs there, from the interpreter
    arguments  the arguments themselves
    """

    seed: int
    draws: bool
    lines: dict[str, str]
    values: tuple[Any, ...]
    arguments: dict[str, Any]


def find_example(graph: Graph) -> Example | None:
    """Arguments where all outputs are finite and a small step changes them smoothly; None if none is found.

    >>> g = Graph()
    >>> g.outputs = [("f", g.ops.log(g.input("x")))]
    >>> find_example(g).lines
    {'x': 'rng.uniform(0.3, 1.7)'}
    """
    for seed in range(TRIES):
        choice = np.random.default_rng(1000 + seed)
        lines, arguments = _point(graph, seed, choice)
        try:
            values = evaluate(graph, arguments)
            if all(np.all(np.isfinite(v)) for v in values) and _is_smooth(graph, arguments):
                draws = any("rng" in line for line in lines.values())
                return Example(seed, draws, lines, tuple(values), arguments)
        except GradcError:
            continue
    return None


def _point(graph: Graph, seed: int, choice: np.random.Generator) -> tuple[dict[str, str], dict[str, Any]]:
    """One candidate: the same range and size for all arguments at first, later any mixture."""
    rng = np.random.default_rng(seed)
    mixed = seed >= len(RANGES)
    size = SIZES[seed % len(SIZES)]
    sizes: dict[str, int] = {}
    lines: dict[str, str] = {}
    arguments: dict[str, Any] = {}
    for name in _dimension_names(graph):
        sizes[name] = int(choice.choice(SIZES)) if mixed and seed % 2 else size
    for name, node in graph.inputs.items():
        low, high = RANGES[int(choice.integers(len(RANGES)))] if mixed else RANGES[seed]
        shape = tuple(max(0, dim.evaluate(sizes)) for dim in node.shape)
        lines[name], arguments[name] = _drawn(node, rng, low, high, shape, sizes)
    return lines, arguments


def _dimension_names(graph: Graph) -> list[str]:
    names = {name for node in graph.inputs.values() for dim in node.shape for name in dim.names()}
    whole = {name for name, node in graph.inputs.items() if node.dtype == "int64" and not node.shape}
    return sorted(names | whole)


def _drawn(node: Node, rng: np.random.Generator, low: float, high: float, shape: tuple[int, ...],
           sizes: Mapping[str, int]) -> tuple[str, Any]:
    """An argument as text and as value; both draw the same numbers."""
    if node.dtype == "int64":
        if not shape:
            return str(sizes[node.attr.name]), sizes[node.attr.name]
        return f"rng.integers(0, 2, {shape})", rng.integers(0, 2, shape)
    if node.dtype == "bool":
        if not shape:
            return "True", True
        return f"rng.integers(0, 2, {shape}) == 1", rng.integers(0, 2, shape) == 1
    if not shape:
        return f"rng.uniform({low}, {high})", rng.uniform(low, high)
    text, value = f"rng.uniform({low}, {high}, {shape})", rng.uniform(low, high, shape)
    if node.dtype == "float32":
        return f"{text}.astype(np.float32)", value.astype(np.float32)
    return text, value


def _is_smooth(graph: Graph, arguments: Mapping[str, Any]) -> bool:
    """Whether central differences along each real argument settle when the step is halved."""
    single = any(node.dtype == "float32" for node in graph.inputs.values())
    step, allowed = (0.05, 1e-2) if single else (1e-3, 1e-7)
    for name, node in graph.inputs.items():
        if not node.dtype.startswith("float"):
            continue
        slopes = []
        for h in (step, step / 2, step / 4):
            above = evaluate(graph, {**arguments, name: arguments[name] + h})
            below = evaluate(graph, {**arguments, name: arguments[name] - h})
            with np.errstate(all="ignore"):                     # infinities are no differences: not smooth
                slopes.append(np.concatenate([np.ravel(np.subtract(a, b, dtype=np.float64)) / (2 * h)
                                              for a, b in zip(above, below, strict=True)]))
        with np.errstate(all="ignore"):
            coarse, fine = (4 * slopes[1] - slopes[0]) / 3, (4 * slopes[2] - slopes[1]) / 3
            settled = np.all(np.abs(fine - coarse) <= allowed * np.maximum(1.0, np.abs(fine)))
        if not settled:
            return False
    return True


def literal(values: Sequence[Any]) -> str | None:
    """The numbers of some outputs as one flat list; None beyond 400 of them."""
    flat = np.concatenate([np.zeros(0), *(np.ravel(np.asarray(v, dtype=np.float64)) for v in values)])
    return repr(flat.tolist()) if flat.size <= LARGEST else None
