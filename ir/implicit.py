"""Systems of equations that a `call` node solves: unknowns x with r(x, p) = 0, found from a guess.

Such a routine is defined by graphs, not by a library, so it is made where it is used: `defined` gives the routine of
some equations its name, a hash of them, and puts it into the table. The text form of a graph carries the definition
along, so that pickles need nothing else. Under the routine's name `interpret_implicit` has its meaning,
`codegen.implicit` its text, and `compiler.implicit` its derivatives.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

from .dims import Dim
from .errors import GraphError
from .graph import Graph
from .routines import ROUTINES, Routine, Shape
from .text import from_text

RESIDUAL, JACOBIAN = "residual", "jacobian"
PREFIX = "root_"
EXPONENT = 2 / 3        # the tolerance is that power of the dtype's epsilon, and the last step about squares the error
HALVINGS = 40           # of one step
NOT_FINITE = "gradc.root: the residual at the guess is infinite or NaN: give another guess"
SINGULAR = ("gradc.root: the Jacobian of the residual is singular or not finite: give another guess, or equations that "
            "are independent")
STUCK = "gradc.root: no step reduces the residual any more, and it is not 0: give a guess nearer to the solution"
TOO_MANY = "gradc.root: no solution after {} iterations: give a guess nearer to it, or more iterations"


class Equations(NamedTuple):
    """What a routine solves, and how.

    residual    the text of a graph from the unknown, its first input, and parameters to r, as it is differentiated
    system      the text of a graph of the same inputs to r and to dr/dx, as it is computed
    tolerance   of the last step, relative to the largest unknown; 0 for that of the dtype
    iterations  the most steps
    """

    residual: str
    system: str
    tolerance: float
    iterations: int

    @property
    def graph(self) -> Graph:
        """The graph of r and dr/dx."""
        return from_text(self.system)

    @classmethod
    def read(cls, text: str) -> Equations:
        """Those of a definition's text; GraphError for what is none."""
        try:
            residual, system, tolerance, iterations = json.loads(text)
            found = cls(str(residual), str(system), float(tolerance), int(iterations))
        except (ValueError, TypeError) as error:
            raise GraphError(f"the definition of a system of equations is malformed: {error}") from None
        graph = found.graph
        if [key for key, _ in graph.outputs] != [RESIDUAL, JACOBIAN] or not graph.inputs:
            raise GraphError("a system of equations has a residual and a Jacobian as its outputs")
        return found


def defined(definition: str) -> str:
    """The name of the routine that solves some equations, given by `str`; the same equations have the same name."""
    name = PREFIX + hashlib.sha256(definition.encode()).hexdigest()[:8]
    if name not in ROUTINES or ROUTINES[name].definition != definition:
        inputs = list(Equations.read(definition).graph.inputs.values())
        ranks = tuple((max(len(node.shape), 1),) for node in inputs)        # a number is an array of one element
        ROUTINES[name] = Routine(ranks, ("solution",), _shape, "solution of a system of equations", inputs[0].dtype,
                                 real=False, definition=definition)
    return name


def definition(equations: Equations) -> str:
    """The text of a definition."""
    return json.dumps(list(equations))


def equations(routine: str) -> Equations | None:
    """Those that a routine solves; None for a routine of another kind."""
    text = ROUTINES[routine].definition
    return Equations.read(text) if text else None


def _shape(shapes: Sequence[Shape]) -> tuple[tuple[Dim, ...], ...]:
    return (shapes[0],)
