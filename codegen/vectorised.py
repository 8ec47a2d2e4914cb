"""Which loops of a generated module LLVM turned into vector instructions, read from its optimised code.

`vector_loops` takes the optimised LLVM IR of a function that was compiled with line numbers, and the text that it was
compiled from, and gives the number of lanes by the line of the loop. LLVM calls the block of a vectorised loop
"vector.body"; its instructions say from which lines they come, through all the functions that were put into one
another. A loop around others counts only where the block holds work of all of them, as it does when they were unrolled:
LLVM also vectorises a copy of the outer loop for the case that the inner ones run no time at all. What this cannot
see: a loop of a small literal size that was unrolled completely has no such block any more; a vectorised loop also has
a scalar version, for its last iterations and for arrays that overlap; and a loop inside a library (BLAS, LAPACK) is not
in this code.
"""

from __future__ import annotations

import ast
import re
from collections import Counter

_BLOCK = re.compile(r"^(\S+):")
_VECTOR = re.compile(r"<(\d+) x (?:double|float|i64|i32)>")
_PLACE = re.compile(r"!dbg !(\d+)")
_LOCATION = re.compile(r"^!(\d+) = (?:distinct )?!DILocation\(line: (\d+)[^)]*?(?:inlinedAt: !(\d+))?\)$", re.MULTILINE)


def vector_loops(code: str, text: str) -> dict[int, int]:
    """Lanes of the widest vectors by the line of a `for` in the text; a loop that is not listed is scalar.

    code  optimised LLVM IR with debug locations
    text  the module's text, in whose lines these are

    >>> vector_loops("define void @f() {\\nvector.body:\\n  %1 = fadd <4 x double> %a, %b, !dbg !7\\n}\\n"
    ...              "!7 = !DILocation(line: 2, scope: !3)\\n", "for i in range(n):\\n    x[i] += y[i]\\n")
    {1: 4}
    """
    locations = {number: (int(line), outer) for number, line, outer in _LOCATION.findall(code)}
    loops = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.For)]
    found: dict[int, int] = {}
    for lanes, numbers in _vector_blocks(code):
        lines = Counter(_outermost(number, locations) for number in numbers)
        inside = {loop: sum(count for line, count in lines.items() if loop.lineno <= line <= (loop.end_lineno or 0))
                  for loop in loops}
        most = max(inside.values(), default=0)
        if most:                                                # the innermost of those that hold most of it
            loop = max((loop for loop in loops if inside[loop] == most), key=lambda loop: loop.col_offset)
            if all(any(inner.lineno <= line <= (inner.end_lineno or 0) for line in lines)
                   for inner in ast.walk(loop) if isinstance(inner, ast.For)):
                found[loop.lineno] = max(found.get(loop.lineno, 0), lanes)
    return found


def _vector_blocks(code: str) -> list[tuple[int, list[str]]]:
    """For each vectorised loop the number of lanes and the locations of its vector instructions."""
    found: list[tuple[int, list[str]]] = []
    current: list[str] | None = None
    lanes = 0
    for line in [*code.splitlines(), "end:"]:
        block = _BLOCK.match(line)
        if block is not None or line.startswith("}"):
            if current:
                found.append((lanes, current))
            inside = block is not None and block[1].startswith("vector.body")
            current, lanes = ([] if inside else None), 0
        elif current is not None:
            vectors, place = _VECTOR.findall(line), _PLACE.search(line)
            if vectors and place is not None:
                current.append(place[1])
                lanes = max(lanes, *map(int, vectors))
    return found


def _outermost(number: str, locations: dict[str, tuple[int, str]]) -> int:
    """The line in the function that was compiled, for an instruction of one that was put into it."""
    line, outer = locations.get(number, (0, ""))
    while outer in locations:
        line, outer = locations[outer]
    return line
