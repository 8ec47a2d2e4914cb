"""Where the nodes of a drawing go: the one place that knows the layout library.

Takes boxes and wires between them, gives centres and polylines from border to border. The library is
graphlay (layered, deterministic, no system binary), imported when a drawing is made; another one fits in
by giving a `Placement`. What the boxes hold and how they are drawn is left to `draw` and `svg`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

Point = tuple[float, float]

DIAGONAL = 80                   # up to so many nodes wires are straight lines, as in the textbook
THOROUGH = 400                  # up to so many the engine looks for few crossings
LAYER_GAP, NODE_GAP = 44.0, 20.0


class Box(NamedTuple):
    """Width and height of a node with all its labels."""

    width: float
    height: float


class Wire(NamedTuple):
    """A wire from one box (by number) to another."""

    source: int
    target: int


class Placement(NamedTuple):
    """Centres of the boxes, and the points of every wire from border to border."""

    centres: list[Point]
    paths: list[list[Point]]
    crossings: int


def placements(boxes: Sequence[Box], wires: Sequence[Wire], direction: str) -> Iterator[Placement]:
    """Ways to put boxes in layers along the direction, "LR" or "TB", the best one first.

    All wires leave a box at one point. Small graphs get straight wires, with operands in the order of the
    wires where that costs no crossing. The last way has wires with right angles, which never run through
    a box. Equal input gives equal output in every process.
    """
    if len(boxes) <= DIAGONAL:
        found = [_layered(boxes, wires, direction, straight=True, seeds=seeds)
                 for seeds in (_reading_order(boxes, wires, direction), None)]
        yield from sorted(found, key=lambda placement: placement.crossings)
    yield _layered(boxes, wires, direction, straight=False, seeds=None)


def _reading_order(boxes: Sequence[Box], wires: Sequence[Wire], direction: str) -> list[float]:
    """Where each box would like to be across the direction.

    Boxes without operands stand one after the other in the order in which the formula is read, every
    other one in the middle of its operands.
    """
    operands: list[list[int]] = [[] for _ in boxes]
    used = [False] * len(boxes)
    for wire in wires:
        operands[wire.target].append(wire.source)
        used[wire.source] = True
    pitch = max((box.height if direction == "LR" else box.width for box in boxes), default=0.0) + NODE_GAP
    wanted: dict[int, float] = {}
    slots = 0
    stack = [number for number in reversed(range(len(boxes))) if not used[number]]
    while stack:
        number = stack[-1]
        waiting = [source for source in operands[number] if source not in wanted]
        if number in wanted or not waiting:
            stack.pop()
            if number not in wanted and operands[number]:
                wanted[number] = sum(wanted[s] for s in operands[number]) / len(operands[number])
            elif number not in wanted:
                wanted[number], slots = slots * pitch, slots + 1
        else:
            stack += reversed(waiting)
    return [wanted[number] for number in range(len(boxes))]


def _layered(boxes: Sequence[Box], wires: Sequence[Wire], direction: str, *, straight: bool,
             seeds: Sequence[float] | None) -> Placement:
    import graphlay

    across = direction == "LR"
    leave, enter = ("right", "left") if across else ("bottom", "top")
    graph = graphlay.Graph()
    for number, box in enumerate(boxes):
        where: dict[str, Any] = {}
        if seeds is not None:
            where["position"] = {"x": 0.0, "y": 0.0, "y" if across else "x": seeds[number]}
        graph.node(width=box.width, height=box.height, **where)
    for wire in wires:
        ends: dict[str, Any] = {"source_port": {"offset": {"side": leave, "t": 0.0}}}
        if straight:
            ends["target_port"] = {"offset": {"side": enter, "t": 0.0}}
        graph.edge(wire.source, wire.target, **ends)
    options: dict[str, Any] = {
        "direction": "leftright" if across else "topbottom",
        "routing": {"style": "diagonal" if straight else "orthogonal", "bundle_parallel": False},
        "spacing": {"layer_gap": LAYER_GAP, "node_gap": NODE_GAP},
        "effort": "balanced" if len(boxes) <= THOROUGH else "fast",
    }
    layout = graphlay.layout(graph, options=options)
    centres = [(node["center"]["x"], node["center"]["y"]) for node in layout.nodes]
    paths = [[(point["x"], point["y"]) for point in edge["points"]] for edge in layout.edges]
    return Placement(centres, paths, layout.metrics()["crossings"] if straight else 0)


def crosses(a: Point, b: Point, centre: Point, box: Box) -> bool:
    """Whether the segment from a to b meets the box (Liang and Barsky's clipping, 1984)."""
    near, far = 0.0, 1.0
    for k, half in ((0, box.width / 2), (1, box.height / 2)):
        step, low, high = b[k] - a[k], centre[k] - half, centre[k] + half
        if step == 0.0:
            if not low < a[k] < high:
                return False
            continue
        first, second = sorted(((low - a[k]) / step, (high - a[k]) / step))
        near, far = max(near, first), min(far, second)
    return near < far
