"""The buffers of a compiled function as one block of memory: allocated once a call, each at a multiple of 64 bytes.

The text says `t1 = np.empty((k, 64))` for each buffer. Allocated so, one begins anywhere in a cache line, and every
vector of the widest kind may lie across two lines, which a function that works in tiles feels. `rewrite` puts one
allocation in place of the first, and a part of it in place of each; the sizes are known there, so the places are sums
of them. Values do not change, only where they are. Buffers of other dtypes than float64, those of a long run (see
`blocks`) and arrays that routines make stay as they are. Parts of a block of bytes by an intrinsic of our own were
tried: LLVM vectorised half as many loops then. Functions without tiles gained nothing and compiled longer.
"""

from __future__ import annotations

import ast
from collections.abc import Collection

LINE = 8                # float64 in a cache line, and in the widest vector
BLOCK = "_gradc_memory"
PLACE = "_gradc_place"


def rewrite(tree: ast.Module, names: Collection[str]) -> None:
    """Let functions of a module's syntax tree take their buffers from one block; changes the tree in place.

    Args:
        tree: the module, with its other rewritings done.
        names: its functions whose buffers it is about; none of them is returned.
    """
    changed = False
    for function in tree.body:
        if isinstance(function, ast.FunctionDef) and function.name in names:
            changed |= _rewrite(function)
    if changed:
        ast.fix_missing_locations(tree)


def _rewrite(function: ast.FunctionDef) -> bool:
    found = buffers(function)
    if not found:
        return False
    total = " + ".join(_room(statement) for statement in found)
    first = [f"{BLOCK} = np.empty({total} + {LINE})", f"{PLACE} = (-{BLOCK}.ctypes.data) % (8 * {LINE}) // 8"]
    body: list[ast.stmt] = []
    for statement in function.body:
        if statement not in found:
            body.append(statement)
            continue
        name, shape = _parts(statement)
        lines = first if statement is found[0] else []
        lines = [*lines, f"{name} = {BLOCK}[{PLACE}:{PLACE} + {_size(shape)}].reshape({shape})",
                 f"{PLACE} += {_room(statement)}"]
        for made in ast.parse("\n".join(lines)).body:
            body += [ast.copy_location(made, statement)]
            for inner in ast.walk(made):
                ast.copy_location(inner, statement)
    function.body = body
    return True


def buffers(function: ast.FunctionDef) -> list[ast.stmt]:
    """The statements that allocate its buffers, as far as their sizes are known at the first one."""
    found: list[ast.stmt] = []
    later: set[str] = set()
    for statement in function.body:
        names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
        if _is_buffer(statement) and not names & later - {_parts(statement)[0]}:
            found.append(statement)
        elif found:
            later |= {node.id for node in ast.walk(statement)
                      if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return found


def _is_buffer(statement: ast.stmt) -> bool:
    return (isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
            and isinstance(statement.value, ast.Call) and ast.unparse(statement.value.func) == "np.empty"
            and not statement.value.keywords)


def _parts(statement: ast.stmt) -> tuple[str, str]:
    """The name and the shape of a buffer."""
    assert isinstance(statement, ast.Assign)
    assert isinstance(statement.value, ast.Call)
    return ast.unparse(statement.targets[0]), ast.unparse(statement.value.args[0])


def _size(shape: str) -> str:
    """The text of a number of elements."""
    node = ast.parse(shape, mode="eval").body
    sizes = [ast.unparse(part) for part in (node.elts if isinstance(node, ast.Tuple) else [node])]
    return " * ".join(f"({size})" for size in sizes) or "1"


def _room(statement: ast.stmt) -> str:
    """The text of a buffer's size, rounded up to whole lines."""
    return f"({_size(_parts(statement)[1])} + {LINE - 1}) // {LINE} * {LINE}"
