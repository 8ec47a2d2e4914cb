"""The public checker of gradients: differences of the function against what gradc derives, with a report.

`check_gradients` moves the arguments along random directions and along every coordinate of small ones, takes the
slope from values (`slopes`), and compares. An output that is an array is contracted with random weights; the
second order is the gradient of a directional derivative, and so on. It uses what any user can call (`grad`,
`forward`, `backward`), so that it tests what is delivered. Which points are smooth is seen, not assumed: at a kink
the gradient has to lie between the slopes of the two sides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradc.ir.dims import Axis
from gradc.ir.errors import ArgumentError, DerivativeError, GradientError
from gradc.ir.graph import Graph, Node, copy_graph

from .arguments import bind, convert
from .function import Function
from .late import Late
from .slopes import DOUBLE, SINGLE, Precision, Slope, rate, slope
from .structured import Structured

EVERY_COORDINATE = 32           # an argument of at most so many elements is checked at each
DIRECTIONS = 2                  # random ones, for each larger argument
MEANING = {
    "wrong": "the gradient is not the slope of the function",
    "not finite": "the gradient is infinite or not a number where the function has a value",
    "no value": "the function has no finite value at these arguments",
    "unclear": "differences are too inexact here to confirm or to contradict the gradient",
    "jump": "the function is not continuous here, so it has no slope to compare with",
    "small": "the slope is too small beside the function's value for differences to see it",
    "kink": "the slopes on the two sides differ, and the gradient lies between them",
    "right": "",
}
MODES = ("fwd", "rev")
FAILING = ("wrong", "not finite", "no value", "unclear")


@dataclass(frozen=True)
class Row:
    """One comparison.

    argument  name of the argument that was moved
    order     1 for the gradient, 2 for the gradient of a directional derivative, and so on
    place     the element, such as "[0, 2]", "" for a number, or "a direction"
    analytic  what gradc derives; numeric, what differences say; error, the absolute difference
    allowed   the largest error that passes
    rate      the power of the step with which differences approach `analytic`: 2 or more for a right gradient, 0
              for a wrong one, None where they are exact at once
    verdict   "right", "kink" (between the slopes of the two sides), "jump" (no slope to compare with) and "small"
              (rounding hides it) pass; "wrong", "not finite", "no value" and "unclear" do not
    mode      "rev" or "fwd"
    """

    argument: str
    order: int
    place: str
    analytic: float
    numeric: float
    error: float
    allowed: float
    rate: float | None
    verdict: str
    mode: str = "rev"


@dataclass(frozen=True, repr=False)
class Report:
    """What `check_gradients` found; printed, a table with the worst comparison of each argument and order."""

    rows: tuple[Row, ...]

    @property
    def ok(self) -> bool:
        """Whether every comparison passed."""
        return not any(row.verdict in FAILING for row in self.rows)

    @property
    def worst(self) -> Row | None:
        """The comparison to look at first: of the lowest order that did not pass, else the least good one."""
        failed = [row for row in self.rows if row.verdict in FAILING]
        lowest = [row for row in failed if row.order == failed[0].order]
        return max(lowest or self.rows, key=_badness, default=None)

    def __str__(self) -> str:
        groups: dict[tuple[int, str], list[Row]] = {}
        for row in self.rows:
            groups.setdefault((row.order, row.argument), []).append(row)
        lines = [("argument", "order", "checked", "worst at", "analytic", "numeric", "error", "rate", "verdict")]
        for (order, argument), rows in groups.items():
            worst = max(rows, key=_badness)
            alike = sum(row.verdict == worst.verdict for row in rows)
            verdict = worst.verdict if alike == len(rows) else f"{worst.verdict} ({alike} of {len(rows)})"
            lines.append((argument, str(order), str(len(rows)), worst.place or "-", f"{worst.analytic:.8g}",
                          f"{worst.numeric:.8g}", f"{worst.error:.1e}", _shown(worst), verdict))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
                 for line in lines]
        met = dict.fromkeys(row.verdict for row in self.rows if MEANING[row.verdict])
        return "\n".join([*table, *(f"{verdict}: {MEANING[verdict]}" for verdict in met)])

    __repr__ = __str__


def _badness(row: Row) -> tuple[int, bool, float]:
    share = row.error / row.allowed if row.allowed else row.error
    element = row.verdict in FAILING and row.place != "a direction"
    return -list(MEANING).index(row.verdict), element, share if math.isfinite(share) else math.inf


def _shown(row: Row) -> str:
    return f"{row.rate:.1f}" if row.rate is not None else "exact" if row.error <= row.allowed else "-"


def check_gradients(f: Any, /, *args: Any, order: int = 2, modes: Sequence[str] | str | None = None,
                    atol: float | None = None, rtol: float | None = None, eps: float | None = None, seed: int = 0,
                    raises: bool = True, **keywords: Any) -> Report:
    """Compare the derivatives of a function with differences of its values.

    f         a Function, or whatever `gradc.compile` takes: a Python function runs as plain Python then
    args      the arguments to check at, also by name; float32 arguments are checked with coarser steps. Only those
              in `f.wrt` are moved: whole numbers and truth values never are
    order     1 checks the gradient, 2 also the gradient of a directional derivative, 3 one more
    modes     "rev" checks the gradient, "fwd" the derivative along directions (`jvp`); by default "rev", or both
    atol, rtol  a gradient passes within atol + rtol |slope|; by default 1e-6 of it (1e-2 in float32), and a
              thousandth of that of the largest element of the gradient; then also what rounding of the value hides
    eps       the largest step, by default 2**-7 (2**-3 in float32) of 1 or of the argument, if that is larger
    seed      of the random directions and weights
    raises    False returns the report of a failure too

    Returns a Report. Raises GradientError, an AssertionError, where a derivative is wrong, is not finite, or can
    not be confirmed; the message names the argument, the element and both values. Raises DerivativeError where
    there is nothing to check, and the errors of a call.

    Differences at halved steps are extrapolated by C. Ridders, Advances in Engineering Software 4 (1982), 75-76.

    >>> import numpy as np
    >>> import gradc
    >>> report = gradc.check_gradients(lambda x: np.sum(np.abs(x) ** 3), np.array([1.0, -2.0]), order=1)
    >>> report.ok, [(row.place, row.analytic) for row in report.rows[1:]]
    (True, [('[0]', 3.0), ('[1]', -12.0)])
    """
    _check_options(order, modes)
    function, given = _function(f, args, keywords)
    values = convert(function.graph, given)
    random = np.random.default_rng(seed)
    single = any(node.dtype == "float32" for node in (*function.graph.inputs.values(), *(
        node for _, node in function.graph.outputs)))
    settings = [Setting(SINGLE if single else DOUBLE, atol, rtol if rtol is not None else 1e-2 if single else 1e-6, eps,
                        mode) for mode in _listed(modes)]
    level = Level(function, values, random)
    rows: list[Row] = []
    for number in range(1, order + 1):
        rows += [row for setting in settings for row in _checked(level, number, setting, random)]
        valueless = any(row.verdict == "no value" for row in rows)
        if number == order or valueless or (raises and not Report(tuple(rows)).ok):
            break
        level = level.derived(random)
    report = Report(tuple(rows))
    if raises and not report.ok:
        raise GradientError(_message(report))
    return report


def check_grads(f: Any, args: Sequence[Any] | None = None, order: int = 2, modes: Sequence[str] | str | None = None,
                atol: float | None = None, rtol: float | None = None, eps: float | None = None) -> Any:
    """`check_gradients` of both modes, with the signature of `jax.test_util.check_grads`; it raises GradientError.

    Without `args` it gives a function of them, as autograd's does.

    >>> check_grads("x * y", (2.0, 3.0), order=2).ok, check_grads("x * y", order=1)(2.0, 3.0).ok
    (True, True)
    """
    if args is None:
        return lambda *given: check_grads(f, given, order, modes, atol, rtol, eps)
    return check_gradients(f, *args, order=order, modes=modes or MODES, atol=atol, rtol=rtol, eps=eps)


def _check_options(order: Any, modes: Any) -> None:
    if not isinstance(order, int) or order < 1:
        raise ArgumentError(f"order is {order!r}: give a whole number from 1")
    for mode in _listed(modes):
        if mode not in MODES:
            raise ArgumentError(f'the mode {mode!r} is none: modes are "fwd" and "rev", or leave modes out')


def _listed(modes: Sequence[str] | str | None) -> Sequence[str]:
    return (modes,) if isinstance(modes, str) else modes or ("rev",)


def _function(f: Any, args: Sequence[Any], keywords: dict[str, Any]) -> tuple[Function, Sequence[Any]]:
    """The Function to check and its arguments; of a function of nested structures that of the leaves."""
    if not isinstance(f, (Function, Late, Structured)):
        from . import api

        f = api.compile(f, jit=False)
    if isinstance(f, Late):
        f, args = f.bound(args, keywords)
        keywords = {}
    if isinstance(f, Structured):
        return f.flat, f.flattened(args, keywords)
    return f, bind(f.args, args, keywords)


@dataclass(frozen=True)
class Setting:
    """Steps and tolerances of a check, and the mode that is checked."""

    precision: Precision
    atol: float | None
    rtol: float
    eps: float | None
    mode: str

    def allowed(self, value: float, largest: float) -> float:
        """The error that passes for a slope, in a gradient whose largest element is given."""
        return (1e-3 * self.rtol * largest if self.atol is None else self.atol) + self.rtol * abs(value)

    def unseen(self, size: float) -> float:
        """A slope that differences of values of this size do not show."""
        return 1e3 * self.precision.unit / self.precision.start * size if self.atol is None else 0.0


# -- one order ------------------------------------------------------------------------------------


class Level:
    """A function with arguments and a weight for each element of its outputs: a real function with a gradient.

    A derivative is taken to be known no better than to the rounding of what it was derived from: `size` is that.
    """

    def __init__(self, function: Function, values: Sequence[Any], random: np.random.Generator,
                 size: float = 0.0) -> None:
        self.function, self.values = function, list(values)
        outputs = [node for _, node in function.graph.outputs]
        if not function.wrt or not any(node.dtype.startswith("float") for node in outputs):
            raise DerivativeError("there is nothing to check: the function needs a real argument in wrt and a real "
                                  "result")
        self.scalar = len(outputs) == 1 and not outputs[0].is_array
        self.weights: list[Any] = []
        for node, part in zip(outputs, _leaves(function(*values)), strict=True):
            real = node.dtype.startswith("float")               # what is whole has no derivative, and no weight
            weight = 1.0 if self.scalar else random.standard_normal(np.shape(part)) * real
            dtype = node.dtype if real else "float64"
            self.weights.append(np.asarray(weight, dtype) if np.ndim(part) else float(weight))
        here, terms = self.value(self.values)
        self.here, self.size = here, max(size, terms)

    def value(self, values: Sequence[Any]) -> tuple[float, float]:
        """The weighted sum of the outputs, and that of their absolute values."""
        parts = [np.asarray(weight, float) * np.asarray(part, float) for weight, part in zip(
            self.weights, _leaves(self.function(*values)), strict=True) if np.any(weight)]
        return float(sum(np.sum(part) for part in parts)), float(sum(np.sum(np.abs(part)) for part in parts))

    def gradient(self) -> dict[str, Any]:
        """The gradient of that by each argument, as gradc derives it."""
        if self.scalar:
            found = self.function.grad(*self.values)
        else:
            _, saved = self.function.forward(*self.values)
            found = self.function.backward(saved, tuple(self.weights) if len(self.weights) > 1 else self.weights[0])
        parts = _leaves(found)
        return dict(zip(self.function.wrt, parts, strict=True))

    def along(self, name: str, direction: Any) -> float:
        """The derivative of that along a direction of one argument, by forward mode."""
        tangents = []
        for other in self.function.wrt:
            value = self.values[self.function.args.index(other)]
            moved = np.asarray(direction if other == name else np.zeros(np.shape(value)), np.asarray(value).dtype)
            tangents.append(np.ascontiguousarray(moved) if np.ndim(value) else float(moved))
        found = zip(self.weights, _leaves(self.function.jvp(*self.values, *tangents)), strict=True)
        return float(sum(np.sum(np.asarray(weight, float) * part) for weight, part in found if np.any(weight)))

    def derived(self, random: np.random.Generator) -> Level:
        """The gradient as a function: of the weights too, if there are any."""
        if self.scalar:
            return Level(self.function.grad, self.values, random, self.size)
        graph, weighed = _contracted(self.function.prepared)
        added = [weight for weight, used in zip(self.weights, weighed, strict=True) if used]
        total = Function(graph, self.function.wrt, self.function.options, prepared=graph)
        return Level(total.grad, [*self.values, *added], random, self.size)


def _leaves(result: Any) -> list[Any]:
    if isinstance(result, dict):
        result = tuple(result.values())
    return [leaf for part in result for leaf in _leaves(part)] if isinstance(result, (tuple, list)) else [result]


def _contracted(graph: Graph) -> tuple[Graph, list[bool]]:
    """The graph of the sum of all real outputs times weights, which are further inputs."""
    new = copy_graph(graph)
    total: Node = new.const(0.0)
    used = []
    for key, node in new.outputs:
        used.append(node.dtype.startswith("float"))
        if used[-1]:
            name = f"weights_{key}"
            while name in new.inputs:
                name += "_"
            weights = new.input(name, node.dtype, node.shape)
            axes = [Axis(dim, number) for number, dim in enumerate(node.shape)]
            both = [new.read(array, [new.axis(axis) for axis in axes]) if axes else array for array in (node, weights)]
            part = new.apply("mul", *both)
            for axis in axes:
                part = new.reduce("sum", axis, part)
            total = new.apply("add", total, part)
    new.outputs = [("value", total)]
    return new, used


def _checked(level: Level, order: int, setting: Setting, random: np.random.Generator) -> Iterator[Row]:
    """The comparisons of one order."""
    if not math.isfinite(level.here):
        for name in level.function.wrt:
            yield Row(name, order, "", math.nan, level.here, math.nan, math.nan, None, "no value")
        return
    for name, gradient in level.gradient().items():
        line = Line(level, name, np.asarray(gradient, float), order, setting)
        count = line.gradient.size
        if count == 1:
            yield line.row(np.ones(line.gradient.shape), str([0] * line.gradient.ndim) if line.gradient.ndim else "")
            continue
        for _ in range(1 if count <= EVERY_COORDINATE else DIRECTIONS) if count else ():
            direction = random.standard_normal(line.gradient.shape)
            row = line.row(direction, "a direction")
            yield row
            if row.verdict == "wrong" and count > EVERY_COORDINATE:
                yield line.element(line.suspect(direction))
                break
        if count <= EVERY_COORDINATE:
            yield from (line.element(index) for index in np.ndindex(line.gradient.shape))


class Line:
    """Comparisons along lines through the arguments on which one argument moves."""

    def __init__(self, level: Level, name: str, gradient: Any, order: int, setting: Setting) -> None:
        self.level, self.name, self.gradient, self.order, self.setting = level, name, gradient, order, setting
        self.position = level.function.args.index(name)
        self.start = level.values[self.position]
        self.largest = float(np.max(np.abs(gradient[np.isfinite(gradient)]), initial=0.0))

    def element(self, index: tuple[int, ...]) -> Row:
        """The comparison at one element."""
        direction = np.zeros(self.gradient.shape)
        direction[index] = 1.0
        return self.row(direction, str(list(index)))

    def row(self, direction: Any, place: str) -> Row:
        """The comparison along a direction."""
        analytic = self._analytic(direction)
        found = self._slope(direction)
        value = max(abs(analytic), abs(found.value)) if math.isfinite(analytic) else 0.0
        allowed, unseen = self.setting.allowed(value, max(self.largest, found.nearby)), self.setting.unseen(found.size)
        error = abs(analytic - found.value)
        nearest = min(max(analytic, min(found.left, found.right)), max(found.left, found.right))
        if not math.isfinite(analytic):
            verdict = "not finite"
        elif found.kind == "jump":
            verdict = "jump"
        elif found.kind == "kink":
            error = abs(analytic - nearest)
            verdict = "kink" if error <= allowed + unseen else "wrong"
        elif error <= allowed + unseen:
            verdict = "right" if error <= allowed else "small"
        else:
            verdict = "wrong" if error > allowed + unseen + 10 * found.error else "unclear"
        return Row(self.name, self.order, place, analytic, found.value, error, allowed + unseen,
                   rate(found, analytic, self.setting.precision), verdict, self.setting.mode)

    def suspect(self, direction: Any) -> tuple[int, ...]:
        """An element at which the gradient is wrong, found by halving the elements that a direction moves."""
        chosen = np.arange(direction.size)
        while len(chosen) > 1:
            halves = []
            for half in np.array_split(chosen, 2):
                part = np.zeros(direction.size)
                part[half] = direction.ravel()[half]
                part = part.reshape(direction.shape)
                halves.append((abs(self._analytic(part) - self._slope(part).value), half))
            chosen = max(halves, key=lambda pair: pair[0])[1]
        return tuple(int(i) for i in np.unravel_index(chosen[0], direction.shape))

    def _analytic(self, direction: Any) -> float:
        if self.setting.mode == "fwd":
            return self.level.along(self.name, direction)
        moved = direction != 0
        return float(np.sum(self.gradient[moved] * direction[moved]))

    def _allowed(self, value: float, size: float) -> float:
        return self.setting.allowed(value, self.largest) + self.setting.unseen(size)

    def _slope(self, direction: Any) -> Slope:
        values = list(self.level.values)
        start = np.asarray(self.start, float)
        scale = max(1.0, float(np.max(np.abs(start[direction != 0]), initial=0.0)))

        def along(t: float) -> float:
            moved = start + t * direction
            values[self.position] = np.ascontiguousarray(moved, self.start.dtype) if np.ndim(
                self.start) else float(moved)
            return self.level.value(values)[0]

        precision = self.setting.precision
        first = self.setting.eps if self.setting.eps is not None else precision.start * scale
        return slope(along, first, precision, self.level.size, self._allowed)


# -- telling --------------------------------------------------------------------------------------


def _message(report: Report) -> str:
    row = report.worst
    assert row is not None
    place = f"{row.argument}{row.place}" if row.place[:1] == "[" else row.argument
    along = " along a direction" if row.place == "a direction" else ""
    what = f"the {'gradient' if row.order == 1 else f'derivative of order {row.order}'} by {place}{along}"
    both = f"{what} is {row.analytic:.10g}, and differences say {row.numeric:.10g}"
    lines = f"the lines of d_{row.argument} in f.grad.source" if row.mode == "rev" else "f.jvp.source"
    if row.verdict == "no value":
        shown = "function" if row.order == 1 else f"derivative of order {row.order - 1}"
        text = (f"the {shown} is {row.numeric} at these arguments, so there is no gradient to check: choose arguments "
                "where it is finite; f.explain(...) marks the first value that is not")
    elif row.verdict == "not finite":
        text = (f"{what} is {row.analytic}, where the function has a value: f.explain(...) shows the local partial "
                f"that is not finite; see {lines}, and guard the expression by np.where if it is to have a slope here")
    elif row.verdict == "unclear":
        text = (f"{both}, but these are too inexact to be sure (error {row.error:.1e}, allowed {row.allowed:.1e}): "
                "choose other arguments, another first step eps, or larger rtol and atol")
    else:
        steady = "" if row.rate is None else f"; it falls with the power {row.rate:.1f} of the step"
        where = f"then {lines}, and the adjoints in f.explain(...)" if row.order == 1 else (
            "the orders below are right, so it is a derivative of partial derivatives that is not")
        text = (f"{both} (error {row.error:.1e}, allowed {row.allowed:.1e}{steady}): look first at rules of your own "
                f"(partials, {'vjp' if row.mode == 'rev' else 'jvp'}), {where}")
    return f"{text}\n\n{report}"
