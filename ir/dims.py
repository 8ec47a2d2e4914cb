"""Dimensions and axes.

A dimension is an integer polynomial over names (`n`, `n - 1`, `2*n*k`), over floor divisions of
such polynomials (`(n + 1)//2`) and over the smaller of two (`min(m, n)`). It is immutable and hashable,
and two equal polynomials are equal objects to a dictionary, so axes over them intern. An `Axis` is a
dimension and a number that tells apart several axes of one dimension. Nothing here knows of nodes or of
sizes at run time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

Atom = "str | FloorDivision | Minimum"
Monomial = tuple["str | FloorDivision | Minimum", ...]


@dataclass(frozen=True)
class FloorDivision:
    """The atom `numerator // denominator` inside a dimension."""

    numerator: Dim
    denominator: Dim

    def __str__(self) -> str:
        return f"{_bracketed(self.numerator)}//{_bracketed(self.denominator)}"

    def parts(self) -> tuple[Dim, Dim]:
        """The dimensions that it is made of."""
        return self.numerator, self.denominator

    def of(self, numerator: int, denominator: int) -> int:
        """Its value for numbers."""
        return numerator // denominator

    def again(self, numerator: Dim, denominator: Dim) -> Dim:
        """The dimension that it becomes with other parts."""
        return numerator // denominator


@dataclass(frozen=True)
class Minimum:
    """The atom `min(left, right)` inside a dimension."""

    left: Dim
    right: Dim

    def __str__(self) -> str:
        return f"min({self.left}, {self.right})"

    def parts(self) -> tuple[Dim, Dim]:
        """The dimensions that it is made of."""
        return self.left, self.right

    def of(self, left: int, right: int) -> int:
        """Its value for numbers."""
        return min(left, right)

    def again(self, left: Dim, right: Dim) -> Dim:
        """The dimension that it becomes with other parts."""
        return left.minimum(right)


def _atom_key(atom: str | FloorDivision | Minimum) -> tuple[int, str]:
    return (0, atom) if isinstance(atom, str) else (1, str(atom))


def _monomial_key(monomial: Monomial) -> tuple[int, tuple[tuple[int, str], ...]]:
    return (-len(monomial), tuple(_atom_key(atom) for atom in monomial))


class Dim:
    """An integer polynomial over dimension names; `Dim.of` makes one from a number or a name.

    >>> n = Dim.of("n")
    >>> str(2 * n - 1), (n + 1) - 1 == n, (n * n).evaluate({"n": 3})
    ('2*n - 1', True, 9)
    """

    __slots__ = ("_hash", "terms")

    terms: tuple[tuple[Monomial, int], ...]

    def __init__(self, terms: Mapping[Monomial, int]) -> None:
        kept = [(monomial, factor) for monomial, factor in terms.items() if factor]
        kept.sort(key=lambda term: _monomial_key(term[0]))
        self.terms = tuple(kept)
        self._hash = hash(self.terms)

    @staticmethod
    def of(value: int | str | Dim) -> Dim:
        """The dimension of a number or of a name."""
        if isinstance(value, Dim):
            return value
        if isinstance(value, str):
            return Dim({(value,): 1})
        return Dim({(): int(value)})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dim) and self.terms == other.terms

    def __hash__(self) -> int:
        return self._hash

    def __add__(self, other: Dim | int) -> Dim:
        terms = dict(self.terms)
        for monomial, factor in Dim.of(other).terms:
            terms[monomial] = terms.get(monomial, 0) + factor
        return Dim(terms)

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return Dim({monomial: -factor for monomial, factor in self.terms})

    def __sub__(self, other: Dim | int) -> Dim:
        return self + (-Dim.of(other))

    def __rsub__(self, other: int) -> Dim:
        return Dim.of(other) - self

    def __mul__(self, other: Dim | int) -> Dim:
        terms: dict[Monomial, int] = {}
        for left, a in self.terms:
            for right, b in Dim.of(other).terms:
                monomial = tuple(sorted(left + right, key=_atom_key))
                terms[monomial] = terms.get(monomial, 0) + a * b
        return Dim(terms)

    __rmul__ = __mul__

    def __floordiv__(self, other: Dim | int) -> Dim:
        divisor = Dim.of(other)
        whole = divisor.constant
        if whole == 1:
            return self
        if self.constant is not None and whole:
            return Dim.of(self.constant // whole)
        if whole and all(factor % whole == 0 for _, factor in self.terms):
            return Dim({monomial: factor // whole for monomial, factor in self.terms})
        if self == divisor:
            return Dim.of(1)
        return Dim({(FloorDivision(self, divisor),): 1})

    def minimum(self, other: Dim | int) -> Dim:
        """The smaller of two dimensions."""
        right = Dim.of(other)
        gap = (right - self).constant
        if gap is not None:
            return self if gap >= 0 else right
        left, right = sorted((self, right), key=str)
        return Dim({(Minimum(left, right),): 1})

    @property
    def constant(self) -> int | None:
        """The value when no name occurs, else None."""
        if not self.terms:
            return 0
        if len(self.terms) == 1 and not self.terms[0][0]:
            return self.terms[0][1]
        return None

    @property
    def name(self) -> str | None:
        """The name when the dimension is exactly one name, else None."""
        if len(self.terms) == 1:
            monomial, factor = self.terms[0]
            if factor == 1 and len(monomial) == 1 and isinstance(monomial[0], str):
                return monomial[0]
        return None

    def atoms(self) -> Iterator[str | FloorDivision | Minimum]:
        """Every atom of every term, in order, with repetitions."""
        for monomial, _ in self.terms:
            yield from monomial

    def names(self) -> set[str]:
        """The names that occur, also inside floor divisions and minima."""
        found: set[str] = set()
        for atom in self.atoms():
            if isinstance(atom, str):
                found.add(atom)
            else:
                for part in atom.parts():
                    found |= part.names()
        return found

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """The number for given sizes of the names; a missing name is a KeyError."""
        total = 0
        for monomial, factor in self.terms:
            value = factor
            for atom in monomial:
                if isinstance(atom, str):
                    value *= sizes[atom]
                else:
                    value *= atom.of(*(part.evaluate(sizes) for part in atom.parts()))
            total += value
        return total

    def rename(self, names: Mapping[str, Dim]) -> Dim:
        """The dimension with names replaced by dimensions."""
        if not self.names() & set(names):
            return self
        total = Dim.of(0)
        for monomial, factor in self.terms:
            value = Dim.of(factor)
            for atom in monomial:
                if isinstance(atom, str):
                    value = value * names.get(atom, Dim.of(atom))
                else:
                    value = value * atom.again(*(part.rename(names) for part in atom.parts()))
            total = total + value
        return total

    def __str__(self) -> str:
        if not self.terms:
            return "0"
        text = ""
        for monomial, factor in self.terms:
            size = abs(factor)
            names = [f"({atom})" if isinstance(atom, FloorDivision) else str(atom) for atom in monomial]
            factors = ([str(size)] if size != 1 or not names else []) + names
            sign = ("-" if factor < 0 else "") if not text else (" - " if factor < 0 else " + ")
            text += sign + "*".join(factors)
        return text

    def __repr__(self) -> str:
        return f"Dim({str(self)!r})"


def _bracketed(dim: Dim) -> str:
    text = str(dim)
    return text if text.isidentifier() or text.isdigit() else f"({text})"


class Axis(NamedTuple):
    """A named axis: it runs over 0 .. dim - 1; `number` tells axes of one dimension apart."""

    dim: Dim
    number: int

    def __str__(self) -> str:
        return f"{_bracketed(self.dim)}#{self.number}"


def axis_order(axis: Axis) -> tuple[str, int]:
    """The key by which axes are sorted wherever an order must be the same in every run."""
    return (str(axis.dim), axis.number)
