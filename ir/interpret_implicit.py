"""What the interpreter runs for a system of equations: Newton's method on the graphs of residual and Jacobian.

Written apart from the text that generated modules contain, so that one can be held against the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .implicit import EXPONENT, HALVINGS, NOT_FINITE, SINGULAR, STUCK, TOO_MANY, Equations
from .interpret_routines import SingularError


def solution(equations: Equations, guess: Any, *parameters: Any) -> tuple[Any]:
    """The unknowns as a vector, the only result.

    Raises SingularError, or ArithmeticError where the method finds none; the messages are those of generated code.
    """
    from .interpret import evaluate

    graph = equations.graph
    unknown, *others = graph.inputs.items()
    given = {name: value if node.shape else value[0]
             for (name, node), value in zip(others, parameters, strict=True)}

    def at(x: Any) -> tuple[Any, Any]:
        residual, jacobian = evaluate(graph, {**given, unknown[0]: x if unknown[1].shape else x[0]})
        return np.atleast_1d(residual), np.atleast_2d(jacobian)

    x = np.array(guess)
    epsilon = float(np.finfo(x.dtype).eps)
    tolerance = equations.tolerance or epsilon ** EXPONENT
    scale = np.max(np.abs(x), initial=0.0)
    residual, jacobian = at(x)
    for _ in range(equations.iterations):
        error = np.max(np.abs(residual), initial=0.0)
        if not np.isfinite(error):
            raise ArithmeticError(NOT_FINITE)
        if error == 0.0:
            return (x,)
        try:
            step = np.linalg.solve(jacobian, residual)
        except np.linalg.LinAlgError:
            raise SingularError(SINGULAR) from None
        size = np.max(np.abs(step))
        if not np.isfinite(size):
            raise SingularError(SINGULAR)
        if size <= tolerance * scale:
            return (x - step,)
        for part in 0.5 ** np.arange(HALVINGS):
            moved = (x - part * step).astype(x.dtype)
            tried = at(moved)
            if np.max(np.abs(tried[0])) < error:
                break
        else:
            if size <= np.sqrt(epsilon) * scale:
                return (x,)
            raise ArithmeticError(STUCK)
        x, (residual, jacobian) = moved, tried
        scale = max(scale, np.max(np.abs(x)))
    raise ArithmeticError(TOO_MANY.format(equations.iterations))
