"""The buffers of a compiled function as one block of memory, each at a multiple of 64 bytes.

The text says `t1 = np.empty((k, 64))` for each buffer. Allocated so, one begins anywhere in a cache line, and every
vector of the widest kind may lie across two lines, which a function that works in tiles feels. `rewrite` puts one
allocation in place of the first, and a part of it in place of each; the sizes are known there, so the places are sums
of them. Values do not change, only where they are. Buffers of other dtypes than float64, those of a long run (see
`blocks`) and arrays that routines make stay as they are. Parts of a block of bytes by an intrinsic of our own were
tried: LLVM vectorised half as many loops then. Functions without tiles gained nothing and compiled longer.

A function may also be lent the block, as its last argument, so that calls reuse it: `lend` adds the argument, and then
buffers of all dtypes are parts of it, those that begin with zeros too. `room` says how long the block must be.

Buffers and results are freed one by one, and the system takes their memory back and hands it out anew at each call,
page by page, which can take longer than the function. glibc keeps twice the largest block that was ever freed, at most
64 megabytes, so `keep` allocates and frees a block that nobody writes: of twice their size, as it may lie behind them.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from typing import NamedTuple

LINE = 8                # float64 in a cache line, and in the widest vector
BLOCK = "_gradc_memory"
PLACE = "_gradc_place"
EMPTY = "_gradc_empty"                                  # numpy.empty: not every module has it under a name
ROOM = "room"
LARGE = 1 << 14         # float64 of a block that glibc asks the system for
LARGEST = (1 << 22) - (1 << 14)                 # of one that it counts; its limit is 32 megabytes
IN_A_WORD = {"float64": 1, "float32": 2, "int64": 1, "bool_": 8, "bool": 8}        # elements in the place of a float64


class Buffer(NamedTuple):
    """What a statement allocates: its name, the text of its shape, its dtype, whether it begins with zeros."""

    name: str
    shape: str
    dtype: str
    cleared: bool

    @property
    def size(self) -> str:
        """The text of its number of elements."""
        node = ast.parse(self.shape, mode="eval").body
        sizes = [ast.unparse(part) for part in (node.elts if isinstance(node, ast.Tuple) else [node])]
        return " * ".join(f"({size})" for size in sizes) or "1"

    @property
    def room(self) -> str:
        """The text of the float64 that it takes the place of, whole lines of them."""
        line = LINE * IN_A_WORD[self.dtype]
        return f"({self.size} + {line - 1}) // {line} * {LINE}"

    def taken(self) -> list[str]:
        """The statements that take it from the block."""
        part = f"{BLOCK}[{PLACE}:{PLACE} + {self.size}]"
        if self.dtype != "float64":
            part = f"{BLOCK}[{PLACE}:{PLACE} + {self.room}].view(np.{self.dtype})[:{self.size}]"
        lines = [f"{self.name} = {part}.reshape({self.shape})", f"{PLACE} += {self.room}"]
        return [f"{BLOCK}[{PLACE}:{PLACE} + {self.room}] = 0.0", *lines] if self.cleared else lines


def lend(tree: ast.Module, name: str) -> None:
    """Give a function of a module's syntax tree the block as its last argument; `rewrite` does the rest."""
    function = _function(tree, name)
    function.args.args.append(ast.copy_location(ast.arg(BLOCK), function))


def rewrite(tree: ast.Module, names: Collection[str], lent: str = "") -> None:
    """Let functions of a module's syntax tree take their buffers from one block; changes the tree in place.

    Args:
        tree: the module, with its other rewritings done.
        names: its functions whose buffers it is about; none of them is returned.
        lent: the one among all functions that is given its block.
    """
    changed = False
    for function in tree.body:
        if isinstance(function, ast.FunctionDef) and function.name in {*names, lent}:
            changed |= _rewrite(function, lent=function.name == lent)
    if changed:
        ast.fix_missing_locations(tree)


def keep(tree: ast.Module, name: str, written: Mapping[int, str]) -> None:
    """Let a function of a module's syntax tree keep memory from call to call; changes the tree in place.

    written  the dtypes of its arguments that are arrays of results, by position
    """
    function = _function(tree, name)
    found = buffers(function, lent=True)
    results = {function.args.args[k].arg: dtype for k, dtype in written.items()}
    sizes = [*(buffer.room for buffer in found.values()),
             *(f"{result}.size // {IN_A_WORD.get(dtype, 1)}" for result, dtype in results.items())]
    if len(sizes) > 1:
        place, total = next(iter(found), function.body[-1]), " + ".join(sizes)
        made = ast.parse(f"if {LARGE} < {total} < {LARGEST}:\n    {EMPTY}(min(2 * ({total}), {LARGEST}))").body[0]
        for inner in ast.walk(made):
            ast.copy_location(inner, place)
        function.body.insert(function.body.index(place), made)
        ast.fix_missing_locations(tree)


def room(tree: ast.Module, name: str) -> str:
    """The text of a function `room`, which gives the length of a block to lend; "" if there are no buffers.

    Its arguments are those of the function named, of which only the sizes are looked at.
    """
    function = _function(tree, name)
    found = buffers(function, lent=True)
    if not found:
        return ""
    total = _total(list(found.values()))
    needed = {node.id for node in ast.walk(ast.parse(total)) if isinstance(node, ast.Name)}
    lines: list[str] = []
    for statement in reversed(function.body[:function.body.index(next(iter(found)))]):
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) in needed:
            lines.insert(0, ast.unparse(statement))
            needed |= {node.id for node in ast.walk(statement.value) if isinstance(node, ast.Name)}
    body = "".join(f"    {line}\n" for line in [*lines, f"return {total}"])
    return f"def {ROOM}({ast.unparse(function.args)}):\n{body}"


def _rewrite(function: ast.FunctionDef, *, lent: bool) -> bool:
    found = buffers(function, lent=lent)
    if not found:
        return False
    total = _total(list(found.values()))
    first = [f"if {BLOCK}.size < {total}:", "    raise ValueError('the workspace is too small')"] if lent else [
        f"{BLOCK} = np.empty({total})"]
    first.append(f"{PLACE} = (-{BLOCK}.ctypes.data) % (8 * {LINE}) // 8")
    body: list[ast.stmt] = []
    for statement in function.body:
        if statement not in found:
            body.append(statement)
            continue
        for made in ast.parse("\n".join([*first, *found[statement].taken()])).body:
            body += [ast.copy_location(made, statement)]
            for inner in ast.walk(made):
                ast.copy_location(inner, statement)
        first = []
    function.body = body
    return True


def buffers(function: ast.FunctionDef, *, lent: bool = False) -> dict[ast.stmt, Buffer]:
    """The statements that allocate its buffers and what they allocate, as far as the sizes are known at the first one.

    lent  count those of other dtypes than float64 and those that begin with zeros
    """
    found: dict[ast.stmt, Buffer] = {}
    later: set[str] = set()
    for statement in function.body:
        names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
        buffer = _buffer(statement)
        if buffer is not None and not names & later - {buffer.name} and (
                lent or (buffer.dtype == "float64" and not buffer.cleared)):
            found[statement] = buffer
        elif found:
            later |= {node.id for node in ast.walk(statement)
                      if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return found


def _buffer(statement: ast.stmt) -> Buffer | None:
    """What a statement allocates; None if it is another one."""
    if not (isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
            and isinstance(statement.value, ast.Call)):
        return None
    called, call = ast.unparse(statement.value.func), statement.value
    dtypes = [ast.unparse(keyword.value).removeprefix("np.") for keyword in call.keywords]
    if called not in ("np.empty", "np.zeros") or len(call.args) != 1 or not IN_A_WORD.keys() >= {*dtypes}:
        return None
    return Buffer(statement.targets[0].id, ast.unparse(call.args[0]), (*dtypes, "float64")[0], called == "np.zeros")


def _total(found: list[Buffer]) -> str:
    """The text of the length of a block for some buffers, wherever it begins."""
    return " + ".join([*(buffer.room for buffer in found), str(LINE)])


def _function(tree: ast.Module, name: str) -> ast.FunctionDef:
    return next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name)
