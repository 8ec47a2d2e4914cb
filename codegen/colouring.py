"""Colourings of sparse matrices, and what they compress: loops over compressed index arrays, the same text in Numba.

Columns that have no row in common are structurally orthogonal and may share a direction, so a colouring of columns in
which any two within distance 2 differ (through a row) compresses a Jacobian; so do rows, the other way round. A
symmetric matrix needs less, a star colouring of its graph: neighbours differ, and every path on four vertices has three
colours. Both are the greedy algorithms: a vertex takes the first colour that is not forbidden, in a given order.

Gebremedhin, Manne, Pothen, "What color is your Jacobian? Graph coloring for computing derivatives", SIAM Review 47
(2005), sections 3.3, 6.1 and 7; Gebremedhin, Tarafdar, Manne, Pothen, "New acyclic and star coloring algorithms with
application to computing Hessians", SIAM Journal on Scientific Computing 29 (2007), whose stars are kept here as flags
at the ends of their edges.

A graph is a pair of arrays, as in SciPy's CSR: the neighbours of v are indices[pointers[v]:pointers[v + 1]]. Functions
take int32 arrays, contiguous; what is allowed and what an error says is for the caller. `compiled` gives them as Numba
functions; the functions of this module themselves are plain Python.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from .load import Entry, Module, load

Array = Any         # np.ndarray, of int32 unless something else is said


# -- neighbours and orders ----------------------------------------------------------------------------


def reached(v: int, pointers: Array, indices: Array, back_pointers: Array, back_indices: Array, mark: Array,
            found: Array) -> int:
    """How many vertices two hops lead to from v, without v itself; they stand in `found`, each once.

    mark  for each vertex that whose neighbour it was last found to be; the caller fills it with -1 once
    """
    number = 0
    mark[v] = v
    for a in range(pointers[v], pointers[v + 1]):
        hop = indices[a]
        for b in range(back_pointers[hop], back_pointers[hop + 1]):
            u = back_indices[b]
            if mark[u] != v:
                mark[u] = v
                found[number] = u
                number += 1
    return number


def degrees(pointers: Array, indices: Array, back_pointers: Array, back_indices: Array) -> Array:
    """The number of vertices that two hops lead to from each."""
    size = len(pointers) - 1
    mark, found, degree = np.full(size, -1, np.int32), np.empty(size, np.int32), np.empty(size, np.int32)
    for v in range(size):
        degree[v] = reached(v, pointers, indices, back_pointers, back_indices, mark, found)
    return degree


def bucketed(v: int, key: int, heads: Array, after: Array, before: Array) -> None:
    """Put v first in the list of its key."""
    first = heads[key]
    after[v], before[v] = first, -1
    if first >= 0:
        before[first] = v
    heads[key] = v


def unbucketed(v: int, key: int, heads: Array, after: Array, before: Array) -> None:
    """Take v out of the list of its key."""
    if before[v] >= 0:
        after[before[v]] = after[v]
    else:
        heads[key] = after[v]
    if after[v] >= 0:
        before[after[v]] = before[v]


def smallest_last(degree: Array, pointers: Array, indices: Array, back_pointers: Array, back_indices: Array) -> Array:
    """The order in which each vertex has the fewest neighbours among those before it (Matula, Beck, 1983)."""
    size = len(degree)
    keys, order = degree.copy(), np.empty(size, np.int32)
    heads, after, before = np.full(size + 1, -1, np.int32), np.empty(size, np.int32), np.empty(size, np.int32)
    mark, found, placed = np.full(size, -1, np.int32), np.empty(size, np.int32), np.zeros(size, np.bool_)
    for v in range(size):
        bucketed(v, keys[v], heads, after, before)
    lowest = 0
    for place in range(size - 1, -1, -1):
        while heads[lowest] < 0:
            lowest += 1
        v = heads[lowest]
        unbucketed(v, lowest, heads, after, before)
        order[place], placed[v] = v, True
        for k in range(reached(v, pointers, indices, back_pointers, back_indices, mark, found)):
            u = found[k]
            if not placed[u]:
                unbucketed(u, keys[u], heads, after, before)
                keys[u] -= 1
                bucketed(u, keys[u], heads, after, before)
                lowest = min(lowest, keys[u])
    return order


def incidence_degree(by_degree: Array, pointers: Array, indices: Array, back_pointers: Array,
                     back_indices: Array) -> Array:
    """The order in which each vertex has the most neighbours before it (Coleman, Moré, 1983), first the largest.

    by_degree  the vertices, those with few neighbours first
    """
    size = len(by_degree)
    keys, order = np.zeros(size, np.int32), np.empty(size, np.int32)
    heads, after, before = np.full(size + 1, -1, np.int32), np.empty(size, np.int32), np.empty(size, np.int32)
    mark, found, placed = np.full(size, -1, np.int32), np.empty(size, np.int32), np.zeros(size, np.bool_)
    for v in by_degree:                                         # the largest is put in last, and taken first
        bucketed(v, 0, heads, after, before)
    highest = 0
    for place in range(size):
        while heads[highest] < 0:
            highest -= 1
        v = heads[highest]
        unbucketed(v, highest, heads, after, before)
        order[place], placed[v] = v, True
        for k in range(reached(v, pointers, indices, back_pointers, back_indices, mark, found)):
            u = found[k]
            if not placed[u]:
                unbucketed(u, keys[u], heads, after, before)
                keys[u] += 1
                bucketed(u, keys[u], heads, after, before)
                highest = max(highest, keys[u])
    return order


# -- colourings ---------------------------------------------------------------------------------------


def orthogonal(order: Array, most: int, pointers: Array, indices: Array, back_pointers: Array,
               back_indices: Array) -> Array:
    """Colours in which all vertices that two hops lead to differ: distance-2 colouring of one side (algorithm 3.1).

    most  colours that are of use: if more are needed the result is empty
    """
    size = len(order)
    colours, forbidden = np.full(size, -1, np.int32), np.full(size + 1, -1, np.int32)
    for v in order:
        for a in range(pointers[v], pointers[v + 1]):
            hop = indices[a]
            for b in range(back_pointers[hop], back_pointers[hop + 1]):
                colour = colours[back_indices[b]]
                if colour >= 0:
                    forbidden[colour] = v
        colour = 0
        while forbidden[colour] == v:
            colour += 1
        if colour == most:
            return colours[:0]
        colours[v] = colour
    return colours


def stars(order: Array, most: int, pointers: Array, indices: Array, hubs_first: bool) -> Array:
    """A star colouring of a symmetric pattern; the diagonal does not matter.

    The edges between two colours form stars. For each vertex the colours among its coloured neighbours are listed,
    with the neighbour that has the colour; if there are several, the vertex is the hub of a star. A colour is `beyond`
    a vertex if its neighbour of that colour is a hub, so that a path of both colours leads on from there.

    most        colours that are of use: if more are needed the result is empty
    hubs_first  a vertex that has no colour yet never gets two neighbours of the same, so that it will be no hub: the
                algorithm 4.1 of 2005, better where vertices with many neighbours come first; without it that of 2007
    """
    size = len(order)
    colours, forbidden = np.full(size, -1, np.int32), np.full(size + 1, -1, np.int32)
    hub = np.full(size + 1, -1, np.int32)                       # the vertex that has several neighbours of a colour
    listed = np.zeros(size, np.int32)                           # how many colours a vertex's list holds
    colour_of, only = np.empty(len(indices), np.int32), np.empty(len(indices), np.int32)
    beyond = np.zeros(len(indices), np.bool_)
    for v in order:
        start = pointers[v]
        for slot in range(start, start + listed[v]):
            forbidden[colour_of[slot]] = v
            if only[slot] < 0:
                hub[colour_of[slot]] = v
        for a in range(start, pointers[v + 1]):
            w = indices[a]
            if w == v:
                continue
            if colours[w] >= 0:
                whole = hub[colours[w]] == v                    # a path goes on to w from another one of its colour
            else:
                whole = hubs_first
            for slot in range(pointers[w], pointers[w] + listed[w]):
                if whole or (beyond[slot] and colours[w] >= 0):
                    forbidden[colour_of[slot]] = v
        colour = 0
        while forbidden[colour] == v:
            colour += 1
        if colour == most:
            return colours[:0]
        colours[v] = colour
        for a in range(start, pointers[v + 1]):                 # the lists of the neighbours
            w = indices[a]
            if w == v:
                continue
            slot = listing(w, colour, pointers, listed, colour_of)
            if slot == pointers[w] + listed[w]:
                listed[w] += 1
                colour_of[slot], only[slot] = colour, v
                beyond[slot] = colours[w] >= 0 and hub[colours[w]] == v
                continue
            if colours[w] >= 0:                                 # w is the hub of v and of who was there before
                beyond[listing(v, colours[w], pointers, listed, colour_of)] = True
                if only[slot] >= 0:
                    beyond[listing(only[slot], colours[w], pointers, listed, colour_of)] = True
            only[slot] = -1
    return colours


def listing(v: int, colour: int, pointers: Array, listed: Array, colour_of: Array) -> int:
    """Where the list of v holds a colour, or would hold it next."""
    slot = pointers[v]
    end = slot + listed[v]
    while slot < end and colour_of[slot] != colour:
        slot += 1
    return int(slot)


# -- recovery -----------------------------------------------------------------------------------------


def mirrored(pointers: Array, indices: Array) -> Array:
    """For each entry of a square pattern with sorted indices the position of the transposed one, -1 if there is none.

    Of an unsymmetric pattern at least one entry is found to have none.
    """
    following, mirror = pointers[:-1].copy(), np.full(len(indices), -1, np.int32)
    for v in range(len(pointers) - 1):
        for k in range(pointers[v], pointers[v + 1]):
            w = indices[k]
            other = following[w]
            if other < pointers[w + 1] and indices[other] == v:
                mirror[k] = other
                following[w] += 1
    return mirror


def sources(colours: Array, pointers: Array, indices: Array, mirror: Array) -> tuple[Array, Array]:
    """Where a matrix compressed by a star colouring holds each entry: the row and the colour.

    An entry (v, w) stands alone in row v, at the colour of w, unless v has other neighbours of that colour; then it
    is the entry (w, v) that stands alone. Both entries of a pair are read at the same place, if both could be.
    """
    alone = np.zeros(len(indices), np.bool_)
    times, at = np.zeros(len(colours) + 1, np.int32), np.full(len(colours) + 1, -1, np.int32)
    for v in range(len(colours)):
        for k in range(pointers[v], pointers[v + 1]):
            colour = colours[indices[k]]
            times[colour] = times[colour] + 1 if at[colour] == v else 1
            at[colour] = v
        for k in range(pointers[v], pointers[v + 1]):
            alone[k] = times[colours[indices[k]]] == 1
    rows, columns = np.empty(len(indices), np.int32), np.empty(len(indices), np.int32)
    for v in range(len(colours)):
        for k in range(pointers[v], pointers[v + 1]):
            w = indices[k]
            here = alone[k] if v <= w else not alone[mirror[k]]
            rows[k], columns[k] = (v, colours[w]) if here else (w, colours[v])
    return rows, columns


def gathered(compressed: Array, rows: Array, columns: Array, data: Array) -> None:
    """Write the entries of a matrix that stand in a compressed one, at given rows and columns."""
    for k in range(len(data)):
        data[k] = compressed[rows[k], columns[k]]


def contradicted(compressed: Array, pointers: Array, indices: Array, data: Array, probe: Array, transposed: bool,
                 nearly: float, nothing: float) -> int:
    """The row (transposed: column) whose product with a vector is farthest from the last column of `compressed`.

    That is so where an entry has no place in the pattern. A difference counts from `nearly` times the sum of absolute
    values of its products on, and from `nothing` times the largest such sum; what is not finite is passed over. -1 if
    there is none.
    """
    last, worst, largest, place = compressed.shape[1] - 1, 0.0, 0.0, -1
    size = len(compressed) if transposed else 0
    totals, sums = np.zeros(size, data.dtype), np.zeros(size, data.dtype)
    for row in range(len(pointers) - 1 if transposed else 0):
        for k in range(pointers[row], pointers[row + 1]):
            part = data[k] * probe[row]
            totals[indices[k]] += part
            sums[indices[k]] += abs(part)
    for row in range(len(compressed)):
        total, absolute = 0.0, 0.0
        if transposed:
            total, absolute = totals[row], sums[row]
        else:
            for k in range(pointers[row], pointers[row + 1]):
                part = data[k] * probe[indices[k]]
                total += part
                absolute += abs(part)
        excess = abs(total - compressed[row, last]) - nearly * absolute
        if np.isfinite(excess):
            largest = max(largest, absolute)
            if excess > worst:
                worst, place = excess, row
    return place if worst > nothing * largest else -1


# -- compiled -----------------------------------------------------------------------------------------

_GRAPH = ("const int32[::1]", "const int32[::1]")
_HELPERS = {"degrees": ("reached",), "stars": ("listing",)} | dict.fromkeys(
    ("smallest_last", "incidence_degree"), ("reached", "bucketed", "unbucketed"))
_KINDS = {
    "degrees": _GRAPH * 2,
    "smallest_last": ("const int32[::1]", *_GRAPH * 2),
    "incidence_degree": ("const int32[::1]", *_GRAPH * 2),
    "orthogonal": ("const int32[::1]", "int64", *_GRAPH * 2),
    "stars": ("const int32[::1]", "int64", *_GRAPH, "bool"),
    "mirrored": _GRAPH,
    "sources": ("const int32[::1]", *_GRAPH, "const int32[::1]"),
    "gathered": ("const {0}[:,::1]", *_GRAPH, "{0}[::1]"),
    "contradicted": ("const {0}[:,::1]", *_GRAPH, "const {0}[::1]", "const {0}[::1]", "bool", "float64", "float64"),
}


@functools.cache
def compiled(name: str, dtype: str = "float64") -> Callable[..., Any]:
    """A function of this module, compiled, and kept in the cache as generated modules are.

    dtype  that of the values, for `gathered` and `contradicted`
    """
    helpers = _HELPERS.get(name, ())
    text = "\n\n".join(["import numpy as np\n", *map(_text, (*helpers, name))])
    return load(Module(text, helpers, (Entry(name, tuple(kind.format(dtype) for kind in _KINDS[name])),)))[name]


def _text(name: str) -> str:
    return inspect.getsource(globals()[name]).replace("Array", "np.ndarray")
