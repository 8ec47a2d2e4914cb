"""The error classes that a user can meet, all under `GradcError`.

They live in the lowest layer so that every layer can raise them. A message says what was wrong,
where in the user's expression, and what to do next; the classes let a program react to the kind.
"""

from __future__ import annotations


class GradcError(Exception):
    """Base class of every error that gradc raises on purpose."""


class FormulaError(GradcError, ValueError):
    """A formula string, a SymPy expression or a declaration in `args` that cannot be compiled."""


class UnsupportedError(FormulaError):
    """An expression that is well formed but has no meaning here (named, with the next action)."""


class ArgumentError(GradcError, TypeError):
    """A call with a missing, extra or unknown argument, or one of the wrong type."""


class ShapeError(GradcError, ValueError):
    """Two dimensions that disagree, a wrong rank, or an index outside its dimension."""


class DomainError(GradcError, ValueError):
    """A value with no meaning for the operation: an empty reduction, a kink under `kinks="raise"`."""


class DerivativeError(GradcError, ValueError):
    """A derivative that does not exist: an operation without a rule, an output that is no scalar."""


class PatternError(GradcError, ValueError):
    """A sparsity pattern that the derivatives contradict: an entry that is not zero has no place in it."""


class GraphError(GradcError, AssertionError):
    """A graph that breaks an invariant; raised by the verifier and the text parser."""


class SizeError(GradcError, ValueError):
    """An input beyond the limits on length, depth or number of nodes."""


class GradientError(GradcError, AssertionError):
    """A derivative that the checker found wrong, not finite, or could not confirm."""
