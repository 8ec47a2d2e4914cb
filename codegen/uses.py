"""What a printer asks of a loop program: which reads are worth a local, which values are computed again, which
arrays are written as a whole, and which results of library routines anybody reads. Nothing here prints or
changes the program.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator

from gradc.ir.dims import Axis, Dim
from gradc.ir.graph import Node, apart, on_values, store_parts
from gradc.ir.routines import ROUTINES

from .items import Item, fills, starts_as
from .program import Loop, Path, Program, items_of


def reads_worth_a_local(program: Program, implied: Callable[[Path], Collection[Node]],
                        ) -> Iterator[tuple[Node, int, Loop | Item, Path]]:
    """Reads of inputs and of routines' results that are used twice in a body, or stay the same in a loop inside it.

    A guarded read is one where the bounds of the loops around the local `implied` its guards.

    Each comes with the body that owns the local (0: the function's), the entry of it that first needs the
    read, and the loops around it.
    """
    order = {item: k for k, item in enumerate(items_of(*program.body))}
    found: dict[tuple[int, Node], list[tuple[Item, Path, int]]] = {}
    for item, home in program.homes.items():
        for node in item.inline:
            if node.op != "read" or node.args[0].op not in ("input", "call"):
                continue
            depth = 0
            while depth <= len(home.path) and not node.axes <= {loop.axis for loop in home.path[:depth]}:
                depth += 1
            if depth <= len(home.path) and set(node.args[1 + node.attr:]) <= set(implied(home.path[:depth])):
                owner = id(home.path[depth - 1]) if depth else 0
                found.setdefault((owner, node), []).append((item, home.path, depth))
    for (owner, node), places in sorted(found.items(), key=lambda entry: entry[0][1].id):
        uses = sum(1 for item, _, _ in places for a in (item.node, *item.inline) for b in a.args if b is node)
        outer = any(depth < len(path) for _, path, depth in places)
        if uses > 1 or outer:
            item, path, depth = min(places, key=lambda place: order[place[0]])
            yield node, owner, path[depth] if depth < len(path) else item, path[:depth]


def in_return(program: Program) -> set[Node]:
    """The values that stand in the return statement and nowhere else, and the arrays that are read there."""
    kept = {item.node for item in program.homes}
    found: set[Node] = set()
    stack = [node for _, node in program.graph.outputs if not node.is_array]
    while stack:
        node = stack.pop()
        if node not in found and (node.is_array or node not in kept):
            found.add(node)
            stack += () if node.is_array else node.args
    return found


def repeated_values(program: Program) -> dict[tuple[int, Node], int]:
    """How often the statements of one body use each value that is recomputed rather than stored."""
    count: dict[tuple[int, Node], int] = {}
    for item, home in program.homes.items() if program.recomputed else ():
        owner = id(home.path[-1]) if home.path else 0
        users = [item.node] if item.kind == "def" else []
        for node in (*users, *item.inline):
            for a in node.args:
                if a in program.recomputed:
                    count[owner, a] = count.get((owner, a), 0) + 1
        for root in item.roots:
            if root in program.recomputed and item.kind != "def":
                count[owner, root] = count.get((owner, root), 0) + 1
    return count


def called_routines(program: Program) -> dict[Item, tuple[Node | None, ...]]:
    """The results of each library routine that is called; None for one that nobody reads."""
    wanted = set(program.graph.reachable())
    found = {}
    for item in program.homes:
        if item.kind == "call":
            attr, graph = item.node.attr, item.node.graph
            made = [graph.call(attr.routine, item.node.args, k, attr.batch)
                    for k in range(len(ROUTINES[attr.routine].results))]
            found[item] = tuple(node if node in wanted else None for node in made)
    return found


def has_user_beside(program: Program, item: Item) -> bool:
    """Whether a statement in the same body, or in a loop inside it, uses the value for more than to store it."""
    path = program.homes[item].path
    own = stored_at_once(program, item)
    return any(program.homes[user].path[:len(path)] == path for user in item.users if user is not own)


def stored_at_once(program: Program, item: Item) -> Item | None:
    """The statement that puts a value into its array, if the value is kept there: the two are one statement then."""
    home = program.homes[item]
    if item.part_of is not None:
        return item.part_of if home.storage and not home.in_array else None
    for user in item.users if home.storage and item.array is not None else ():
        if user.kind == "store" and user.node is item.array and program.homes[user].path == home.path:
            return user
    return None


def covers(program: Program, node: Node) -> bool:
    """Whether plain assignments write every element of an array once, so that nothing need be zeroed first.

    Where a condition on values fails it writes 0.
    """
    if node.op == "scatter_add" and node.attr.once:
        return True
    items = [i for i in program.homes if i.node is node and i.kind in ("store", "scatter")]
    if len(items) != 1 or starts_as(node) is not None:
        return False
    item = items[0]
    if item.kind == "store":
        part = item.part
        return (part is not None and tuple(a.dim for a in part.axes) == node.shape and not item.guards
                and not node.attr.base and all(o == Dim.of(0) for o in part.offsets))
    if not all(map(on_values, item.guards)):
        return False                                            # a guard of indices is the bound of a loop
    indices = item.roots[1:1 + len(node.shape)]
    return fills(indices, node.shape) and item.domain == frozenset(a for i in indices for a in i.axes)


def tiled_by_parts(node: Node) -> bool:
    """Whether the parts of a store lie side by side and reach every element of its array: it need not be zeroed.

    They do where no two of them meet and their sizes, literal along the dimensions that they divide, add up to its own.
    """
    if node.op != "store" or node.attr.base or any(guards for _, _, guards in store_parts(node.attr, node.args)):
        return False
    parts = node.attr.parts
    if any(not apart(one, other) for k, one in enumerate(parts) for other in parts[k + 1:]):
        return False
    divided = [k for k, dim in enumerate(node.shape)
               if any(part.axes[k].dim != dim or part.offsets[k] != Dim.of(0) for part in parts)]
    if any(dim.constant is None for k in divided for dim in (node.shape[k], *(part.axes[k].dim for part in parts))):
        return False
    volume = math.prod(node.shape[k].constant or 0 for k in divided)
    return volume == sum(math.prod(part.axes[k].dim.constant or 0 for k in divided) for part in parts)


def trailing_loop(path: Path, taken: Iterable[Axis]) -> Loop | None:
    """The outermost of the innermost loops whose axes are not among `taken`."""
    used = set(taken)
    found = None
    for loop in reversed(path):
        if loop.axis in used:
            break
        found = loop
    return found
