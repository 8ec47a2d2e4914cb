"""The textbook circuit (x + y) * z: nothing but the cost of a call."""

from typing import Any

from ..case import Case, Loops, Problem, loop


@loop
def forward(x: float, y: float, z: float) -> float:
    """The product."""
    return (x + y) * z


@loop
def value_and_grad(x: float, y: float, z: float) -> tuple[float, tuple[float, ...]]:
    """The product and its three derivatives."""
    q = x + y
    return q * z, (z, z, q)


def form(m: Any, x: Any, y: Any, z: Any) -> Any:
    """For every peer."""
    return (x + y) * z


def case(size: str = "") -> Case:
    """At the textbook's values."""
    return Case(
        name="circuit",
        written="(x + y) * z",
        args={"x": "", "y": "", "z": ""},
        wrt=("x", "y", "z"),
        inputs=(-2.0, 5.0, -4.0),
        loops=Loops(forward, value_and_grad),
        array_form=form,
        scalar_form=form,
    )


PROBLEM = Problem("circuit", ("",), case, quick=("",))
