"""Neural networks in the one table: those of `networks`, at a batch and a dtype each."""

from typing import Any

from .. import networks
from ..case import Call, Calls, Case, Problem

NETWORKS = ("64-32-10", "784-256-128-10", "convolutional")
SIZES = tuple(
    f"{network} {dtype} batch {batch}"
    for network in NETWORKS
    for dtype in networks.TOLERANCE
    for batch in (1, 32)
)


def case(size: str) -> Case:
    """The case of a size like `64-32-10 float64 batch 32`."""
    network, dtype, _, batch = size.split()
    given = networks.arguments(network, int(batch), dtype)

    def calls(library: str) -> Calls:
        forward, both, args = networks.LIBRARIES[library][1](network, given)
        forward(*args)
        return Calls(Call(forward, args), Call(both, args))

    def form(library: str) -> dict[str, Any]:
        return {"": lambda case: calls(library)}

    return Case(
        name=f"network {size}",
        args={},
        wrt=(),
        inputs=tuple(given),
        forms={library: form(library) for library in networks.LIBRARIES if networks.written(library, network)},
        tolerance=networks.TOLERANCE[dtype],
    )


PROBLEM = Problem("network", SIZES, case, quick=("64-32-10 float64 batch 32",))
