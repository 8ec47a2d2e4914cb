"""The SVG of a circuit diagram: circles, names, wires, green forward values, red gradients.

Takes the marks of `draw`, asks `layout` for places and gives the text. Each node's box holds its body and
the stub of wire that leaves it; the labels stand on the stub, so no other wire runs through them. A panel
lies behind the picture, so that it can be read on any page; colours follow the reader's light or dark
scheme. All text is escaped, and equal input gives equal bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from math import asin, atan2, cos, hypot, sin
from typing import TYPE_CHECKING, NamedTuple

from .layout import DIAGONAL, Box, Placement, Point, Wire, crosses, placements

if TYPE_CHECKING:
    from .draw import Mark

RADIUS = 20.0
MARGIN = 20.0
REACH = 0.95 * RADIUS           # a wire that arrives so far from the middle still meets the circle
CLEAR = 5.0                     # kept free around a body
STEEPEST = 1.1                  # radians
LETTER = 7.6                    # width of a character of the 13 px font, a little generous
STYLE = """\
.gradc .panel{fill:#ffffff;stroke:#d0d7de}
.gradc .body{fill:#f6f8fa;stroke:#24292f;stroke-width:1.4}
.gradc .bad{stroke:#bc4c00;stroke-width:3}
.gradc .wire{fill:none;stroke:#57606a;stroke-width:1.4;stroke-linejoin:round}
.gradc .head{fill:#57606a}
.gradc text{font-family:Helvetica,Arial,"DejaVu Sans",sans-serif;font-size:13px;text-anchor:middle}
.gradc text{fill:#24292f}
.gradc .sign{font-size:18px}
.gradc .star{font-size:26px}
.gradc .argument{font-size:16px;font-style:italic}
.gradc .name{font-style:italic}
.gradc .minor{font-size:11px;fill:#57606a}
.gradc .value{fill:#1a7f37}
.gradc .gradient{fill:#cf222e}
.gradc .first{text-anchor:end}
.gradc .last{text-anchor:start}
@media (prefers-color-scheme:dark){
.gradc .panel{fill:#0d1117;stroke:#30363d}
.gradc .body{fill:#161b22;stroke:#e6edf3}
.gradc .bad{stroke:#f0883e}
.gradc .wire{stroke:#8b949e}
.gradc .head{fill:#8b949e}
.gradc text{fill:#e6edf3}
.gradc .minor{fill:#8b949e}
.gradc .value{fill:#56d364}
.gradc .gradient{fill:#ff7b72}
}
"""


HEAD = ('<defs><marker id="gradc-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path class="head" d="M0 0.8L8 4L0 7.2z"/></marker></defs>')


class Shape(NamedTuple):
    """Sizes of one node: its body, the stub of wire behind it, and the box around both."""

    body: float
    stub: float
    box: Box


def render(marks: Sequence[Mark], direction: str, title: str) -> str:
    """The picture as SVG text."""
    shapes = [_shape(mark, direction) for mark in marks]
    wires = [Wire(source, target) for target, mark in enumerate(marks) for source in mark.sources]
    found = _placed(marks, shapes, wires, direction)
    found, width, height = _moved(found, shapes)
    size = f'width="{_n(width)}" height="{_n(height)}" viewBox="0 0 {_n(width)} {_n(height)}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="gradc" {size} role="img">',
        f"<title>{escape(_clean(title or 'circuit diagram'))}</title>",
        f"<style>\n{STYLE}</style>",
        HEAD,
        f'<rect class="panel" x="0.5" y="0.5" width="{_n(width - 1)}" height="{_n(height - 1)}" rx="10"/>',
    ]
    first = 0
    for mark, shape, centre in zip(marks, shapes, found.centres, strict=True):
        paths = found.paths[first:first + len(mark.sources)]
        first += len(mark.sources)
        for path, sign in zip(paths, mark.signs, strict=True):
            lines += _wire(path, sign, _hub(shape, centre, direction), direction)
    for mark, shape, centre in zip(marks, shapes, found.centres, strict=True):
        lines += _node(mark, shape, centre, direction)
    return "\n".join([*lines, "</svg>"]) + "\n"


# -- sizes ----------------------------------------------------------------------------------------


def _shape(mark: Mark, direction: str) -> Shape:
    words = LETTER * len(mark.label)
    body = 1.25 * words + 8.0 if mark.argument else 2 * RADIUS if len(mark.label) <= 4 else words + 18.0
    labels = [LETTER * len(text) for text in (mark.value, mark.gradient)]
    if direction == "LR":
        stub = max(labels) + 12.0 if any(labels) else 0.0
        stub = max(stub, 28.0) if mark.output else stub
        return Shape(body, stub, Box(body + stub, 2 * RADIUS + 2 * CLEAR))
    stub = 26.0 if any(labels) or mark.output else 0.0
    name = 2 * LETTER * len(mark.name) + 2 * RADIUS if mark.name else 0.0
    return Shape(body, stub, Box(max(body, 2 * max(labels) + 16.0, name) + 2 * CLEAR, 2 * RADIUS + stub))


def _placed(marks: Sequence[Mark], shapes: Sequence[Shape], wires: Sequence[Wire],
            direction: str) -> Placement:
    """The best placement whose wires, led to the bodies' borders, run through no other body."""
    for found in placements([shape.box for shape in shapes], wires, direction):
        paths: list[list[Point]] = []
        for mark, shape, centre in zip(marks, shapes, found.centres, strict=True):
            own = found.paths[len(paths):len(paths) + len(mark.sources)]
            paths += _ended(shape, _hub(shape, centre, direction), own, direction)
        found = found._replace(paths=paths)
        if len(shapes) > DIAGONAL or not _hits(shapes, wires, found, direction):
            break
    return found


def _hub(shape: Shape, centre: Point, direction: str) -> Point:
    """The middle of a circle, or of the round end of a long body where wires arrive."""
    if direction == "LR":
        return centre[0] - shape.box.width / 2 + RADIUS, centre[1]
    return centre[0], centre[1] - shape.box.height / 2 + RADIUS


def _ended(shape: Shape, hub: Point, paths: Sequence[list[Point]], direction: str) -> list[list[Point]]:
    """The wires that enter one node, each ending on the body's border where it comes from."""
    paths = [_straightened(path, hub, direction) for path in paths]
    if direction == "LR":
        angles = [_angle([(hub[0] - x, y - hub[1]) for x, y in path[-2:]]) for path in paths]
    else:
        angles = [_angle([(hub[1] - y, x - hub[0]) for x, y in path[-2:]]) for path in paths]
    result = []
    for path, angle in zip(paths, _apart(angles), strict=True):
        along, across = (RADIUS + 1.0) * cos(angle), (RADIUS + 1.0) * sin(angle)
        if direction == "TB" and shape.body > 2 * RADIUS:
            along = RADIUS + 1.0                                # a long body is flat on top
        end = (hub[0] - along, hub[1] + across) if direction == "LR" else (hub[0] + across, hub[1] - along)
        result.append([*path[:-1], end])
    return result


def _straightened(path: list[Point], hub: Point, direction: str) -> list[Point]:
    """A wire that arrives beside the body gets a bend shortly before it, so that its last leg is short."""
    (x0, y0), (x1, y1) = path[-2:]
    if direction == "LR" and abs(y0 - y1) < 0.5 and abs(y1 - hub[1]) > REACH:
        return [*path[:-1], (x1 - 10.0, y1), (x1, y1)]
    if direction == "TB" and abs(x0 - x1) < 0.5 and abs(x1 - hub[0]) > REACH:
        return [*path[:-1], (x1, y1 - 10.0), (x1, y1)]
    return path


def _angle(end: Sequence[Point]) -> float:
    """Where a wire meets the circle, 0 along the direction of the drawing.

    `end` is its last segment, (distance before the centre, distance across). One that runs along the
    direction goes straight on; any other turns to the centre.
    """
    (before, across), (_, arrival) = end
    if abs(across - arrival) < 0.5 and abs(arrival) <= REACH:
        return asin(arrival / RADIUS)
    return max(-STEEPEST, min(STEEPEST, atan2(across, max(before, 1e-9))))


def _apart(angles: Sequence[float]) -> list[float]:
    """The angles moved so that neighbours are some 30 degrees apart, their order kept."""
    gap = min(0.55, 2 * STEEPEST / max(1, len(angles) - 1))
    order = sorted(range(len(angles)), key=lambda k: angles[k])
    moved = [angles[k] for k in order]
    for k in range(1, len(moved)):
        if moved[k] < moved[k - 1] + gap:
            push = moved[k - 1] + gap - moved[k]
            moved[k] += push
            if k == 1 or moved[0] - push / 2 > -STEEPEST:       # share the push with those before
                moved[:k + 1] = [angle - push / 2 for angle in moved[:k + 1]]
    over = max([0.0, *(angle - STEEPEST for angle in moved)])
    result = [0.0] * len(angles)
    for k, angle in zip(order, moved, strict=True):
        result[k] = max(-STEEPEST, angle - over)
    return result


def _hits(shapes: Sequence[Shape], wires: Sequence[Wire], found: Placement, direction: str) -> bool:
    """Whether a wire runs through a body that is not one of its ends."""
    for number, (shape, centre) in enumerate(zip(shapes, found.centres, strict=True)):
        hub, half = _hub(shape, centre, direction), shape.body / 2 - RADIUS
        middle = (hub[0] + half, hub[1]) if direction == "LR" else hub
        for wire, path in zip(wires, found.paths, strict=True):
            if number in (wire.source, wire.target):
                continue
            for a, b in pairwise(path):
                if crosses(a, b, middle, Box(shape.body, 2 * RADIUS)) and (half > 0 or _near(a, b, hub)):
                    return True
    return False


def _near(a: Point, b: Point, hub: Point) -> bool:
    """Whether the segment from a to b touches the circle around the hub."""
    step = (b[0] - a[0], b[1] - a[1])
    length = step[0] ** 2 + step[1] ** 2
    at = ((hub[0] - a[0]) * step[0] + (hub[1] - a[1]) * step[1]) / length if length else 0.0
    at = max(0.0, min(1.0, at))
    return hypot(a[0] + at * step[0] - hub[0], a[1] + at * step[1] - hub[1]) < RADIUS + 1.0


def _moved(found: Placement, shapes: Sequence[Shape]) -> tuple[Placement, float, float]:
    """The placement moved into the panel, and the panel's size."""
    placed = list(zip(found.centres, (shape.box for shape in shapes), strict=True))
    xs = [(x - box.width / 2, x + box.width / 2) for (x, _), box in placed]
    ys = [(y - box.height / 2 - LETTER, y + box.height / 2) for (_, y), box in placed]
    xs += [(x, x) for path in found.paths for x, _ in path]
    ys += [(y, y) for path in found.paths for _, y in path]
    left, top = min((a for a, _ in xs), default=0.0) - MARGIN, min((a for a, _ in ys), default=0.0) - MARGIN
    width = max((b for _, b in xs), default=0.0) - left + MARGIN
    height = max((b for _, b in ys), default=0.0) - top + MARGIN
    return Placement([(x - left, y - top) for x, y in found.centres],
                     [[(x - left, y - top) for x, y in path] for path in found.paths],
                     found.crossings), width, height


# -- parts ----------------------------------------------------------------------------------------


def _wire(path: Sequence[Point], sign: str, hub: Point, direction: str) -> list[str]:
    """One wire with its sign."""
    text = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in path)
    lines = [f'<path class="wire" marker-end="url(#gradc-head)" d="{text}"/>']
    if sign:
        upward = path[-1][1] <= hub[1] if direction == "LR" else path[-1][0] <= hub[0]
        lines.append(_sign(sign, path[-2], path[-1], upward=upward, direction=direction))
    return lines


def _sign(sign: str, before: Point, end: Point, *, upward: bool, direction: str) -> str:
    """A small text beside the end of a wire, on its outer side."""
    step = (end[0] - before[0], end[1] - before[1])
    length = max(hypot(*step), 1e-9)
    x, y = end[0] - 14.0 * step[0] / length, end[1] - 14.0 * step[1] / length
    normal = (step[1] / length, -step[0] / length)              # to the left of the way the wire goes
    side = 1.0 if upward == (direction == "LR") else -1.0
    reach = 5.0 + 3.0 * len(sign)
    x, y = x + side * normal[0] * reach, y + side * normal[1] * 9.0 + 4.0
    return f'<text class="minor" x="{_n(x)}" y="{_n(y)}">{escape(sign)}</text>'


def _node(mark: Mark, shape: Shape, centre: Point, direction: str) -> list[str]:
    if direction == "LR":
        x, y = centre[0] - shape.box.width / 2 + shape.body / 2, centre[1]
        start, stop = (x + shape.body / 2, y), (x + shape.body / 2 + shape.stub, y)
    else:
        x, y = centre[0], centre[1] - shape.box.height / 2 + RADIUS
        start, stop = (x, y + (RADIUS if not mark.argument else 10.0)), (x, y + RADIUS + shape.stub)
    tip = escape(_clean(mark.tip, keep="\n"))
    lines = [f"<g><title>{tip}</title>"] if tip else ["<g>"]
    if shape.stub:
        head = ' marker-end="url(#gradc-head)"' if mark.output else ""
        line = f"M{_n(start[0])} {_n(start[1])}L{_n(stop[0])} {_n(stop[1])}"
        lines.append(f'<path class="wire"{head} d="{line}"/>')
    lines += _body(mark, shape, x, y)
    if mark.name:
        where = (f'class="name" x="{_n(x)}" y="{_n(y - RADIUS - 6)}"' if direction == "LR" else
                 f'class="name last" x="{_n(x + max(shape.body / 2, RADIUS) + 5)}" y="{_n(y + 4)}"')
        lines.append(f"<text {where}>{escape(_clean(mark.name))}</text>")
    lines += _labels(mark, start, stop, direction)
    return [*lines, "</g>"]


def _body(mark: Mark, shape: Shape, x: float, y: float) -> list[str]:
    label = escape(_clean(mark.label))
    if mark.argument:
        return [f'<text class="argument" x="{_n(x)}" y="{_n(y + 5)}">{label}</text>']
    bad = " bad" if mark.bad else ""
    if shape.body <= 2 * RADIUS:
        body = f'<circle class="body{bad}" cx="{_n(x)}" cy="{_n(y)}" r="{_n(RADIUS)}"/>'
    else:
        corner = f'x="{_n(x - shape.body / 2)}" y="{_n(y - RADIUS)}"'
        body = (f'<rect class="body{bad}" {corner} width="{_n(shape.body)}" height="{_n(2 * RADIUS)}" '
                f'rx="{_n(RADIUS)}"/>')
    sign = len(mark.label) <= 2
    drop = 11.0 if mark.label == "*" else 6.0 if sign else 4.5
    kind = "sign star" if mark.label == "*" else "sign" if sign else "word"
    return [body, f'<text class="{kind}" x="{_n(x)}" y="{_n(y + drop)}">{label}</text>']


def _labels(mark: Mark, start: Point, stop: Point, direction: str) -> list[str]:
    middle = ((start[0] + stop[0]) / 2, (start[1] + stop[1]) / 2)
    lines = []
    for text, kind in ((mark.value, "value"), (mark.gradient, "gradient")):
        if not text:
            continue
        first = kind == "value"
        if direction == "LR":
            x, y, anchor = middle[0], middle[1] + (-6.0 if first else 15.0), ""
        else:
            x, y = middle[0] + (-6.0 if first else 6.0), middle[1] + 4.0
            anchor = " first" if first else " last"
        lines.append(f'<text class="{kind}{anchor}" x="{_n(x)}" y="{_n(y)}">{escape(_clean(text))}</text>')
    return lines


def _n(value: float) -> str:
    """A coordinate with at most one decimal."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


def _clean(text: str, keep: str = "") -> str:
    """Text without the control characters that XML forbids."""
    return "".join(c if c.isprintable() or c in keep else "\N{REPLACEMENT CHARACTER}" for c in text)
