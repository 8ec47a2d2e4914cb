"""The text of a routine that solves equations: the function of residual and Jacobian, and Newton's method around it.

The first is printed from the graph that the routine's definition holds, like every function; the second is one of the
two texts below, for one unknown or several. They are pasted into a module that calls the routine, as those of
`routines` are. What the routine means stands in `ir.implicit`.
"""

from __future__ import annotations

import functools

from gradc.ir.implicit import (
    EXPONENT,
    HALVINGS,
    JACOBIAN,
    NOT_FINITE,
    PREFIX,
    RESIDUAL,
    SINGULAR,
    STUCK,
    TOO_MANY,
    equations,
)

from . import routines
from .module import Group, print_function

ONE = '''def {name}({arguments}):
    """The x at which the residual is 0, by Newton's method; a step that does not reduce it is halved."""
    x, epsilon = guess[0], np.finfo(guess.dtype).eps
    scale = abs(x)
    residual, slope = {system}(x{given})
    for _ in range({iterations}):
        if not np.isfinite(residual):
            raise ArithmeticError("{not_finite}")
        if residual == 0.0:
            return np.full(1, x, guess.dtype)
        step = residual / slope
        if not np.isfinite(step):
            raise np.linalg.LinAlgError("{singular}")
        part, tried = 1.0, np.inf
        while not abs(tried) < abs(residual):
            moved = x - part * step
            if abs(step) <= {tolerance} * scale:
                return np.full(1, moved, guess.dtype)
            if part < {least}:
                if abs(step) <= np.sqrt(epsilon) * scale:
                    return np.full(1, x, guess.dtype)
                raise ArithmeticError("{stuck}")
            tried, slope = {system}(moved{given})
            part *= 0.5
        x, residual = moved, tried
        scale = max(scale, abs(x))
    raise ArithmeticError("{too_many}")'''

SEVERAL = '''def {name}({arguments}):
    """The x at which the residual is 0, by Newton's method; a step that does not reduce it is halved."""
    x, moved, step, size = guess.copy(), guess.copy(), np.empty_like(guess), len(guess)
    residual, jacobian = np.empty_like(x), np.empty((size, size), x.dtype)
    epsilon, scale, error = np.finfo(x.dtype).eps, 0.0, 0.0
    {system}(x{given}, residual, jacobian)
    for i in range(size):
        scale = max(scale, abs(x[i]))
        error = abs(residual[i]) if abs(residual[i]) > error or np.isnan(residual[i]) else error
    for _ in range({iterations}):
        if not np.isfinite(error):
            raise ArithmeticError("{not_finite}")
        if error == 0.0:
            return x
        length = newton_step(jacobian, residual, step)
        if not np.isfinite(length):
            raise np.linalg.LinAlgError("{singular}")
        part, tried = 1.0, np.inf
        while not tried < error:
            for i in range(size):
                moved[i] = x[i] - part * step[i]
            if length <= {tolerance} * scale:
                return moved
            if part < {least}:
                if length <= np.sqrt(epsilon) * scale:
                    return x
                raise ArithmeticError("{stuck}")
            {system}(moved{given}, residual, jacobian)
            tried = 0.0
            for i in range(size):
                tried = abs(residual[i]) if abs(residual[i]) > tried or np.isnan(residual[i]) else tried
            part *= 0.5
        error = tried
        for i in range(size):
            x[i] = moved[i]
            scale = max(scale, abs(x[i]))
    raise ArithmeticError("{too_many}")'''


@functools.cache
def paste(routine: str) -> frozenset[str]:
    """Put the texts of a routine among those that can be pasted; the names that they call."""
    solved = equations(routine)
    assert solved is not None
    name, text, used = print_function(solved.graph, f"system_{routine.removeprefix(PREFIX)}",
                                      (Group((RESIDUAL,)), Group((JACOBIAN,))))
    unknown, *others = solved.graph.inputs.values()
    arguments = [f"p{k}" for k in range(len(others))]
    given = [f", {own}" if node.shape else f", {own}[0]" for own, node in zip(arguments, others, strict=True)]
    tolerance = repr(solved.tolerance) if solved.tolerance else f"epsilon ** {EXPONENT!r}"
    routines.PASTED[name] = text
    routines.PASTED[routine] = (SEVERAL if unknown.shape else ONE).format(
        name=routine, arguments=", ".join(["guess", *arguments]), system=name, given="".join(given),
        iterations=solved.iterations, tolerance=tolerance, least=repr(0.5 ** (HALVINGS - 0.5)),
        not_finite=NOT_FINITE, singular=SINGULAR, stuck=STUCK, too_many=TOO_MANY.format(solved.iterations))
    routines.NEEDED[routine] = (name, "newton_step", routine) if unknown.shape else (name, routine)
    return used
