"""The command `python -m tests.benchmarks.colouring`: colours of sparse Jacobians and Hessians, beside CasADi's.

For each pattern it prints the number of colours that gradc's default needs, with the side and the order that gave them,
what CasADi's algorithms need, and the time that each took, the minimum of several rounds of process time. CasADi colours
Jacobians by columns and by rows with `uni_coloring` and Hessians with `star_coloring` and `star_coloring2`, each in its
natural and its largest-first order where it has both; the best of them counts, and the time is that of the first
(its default). Its columns stay empty without it, and where a full row would take it hours.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

from .environment import one_core

Pattern = sparse.csr_array
MOST = 10**9        # pairs of entries in a row that CasADi is given


def rosenbrock(n: int) -> Pattern:
    """The Hessian of Rosenbrock's chained function: tridiagonal."""
    return stencil((n,), ((0,), (1,), (-1,)))


def bratu(n: int) -> Pattern:
    """The Hessian of Bratu's energy on an n x n grid, five points a row; also the Jacobian of its equation."""
    return stencil((n, n), ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)))


def minimal_surface(n: int) -> Pattern:
    """The Hessian of the area of a surface on an n x n grid, of two triangles a cell: seven points a row."""
    return stencil((n, n), ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, -1), (-1, 1)))


def brusselator(*sizes: int) -> Pattern:
    """The Jacobian of the Brusselator on a grid: diffusion of both species, reaction at each point; species last."""
    steps = [tuple(sign * (axis == k) for k in range(len(sizes))) for axis in range(len(sizes)) for sign in (1, -1)]
    origin = (0,) * len(sizes)
    own = [(*origin, 0), *((*step, 0) for step in steps)]
    return stencil((*sizes, 2), (*own, (*origin, 1), (*origin, -1)))


def arrow(n: int) -> Pattern:
    """A diagonal with a full first row and column."""
    every, first = np.arange(n), np.zeros(n, int)
    return assembled(np.r_[every, every, first], np.r_[every, first, every], (n, n))


def random(n: int, a_row: int) -> Pattern:
    """A symmetric pattern with about that many entries in a row."""
    chosen = np.random.default_rng(5).integers(0, n, (2, n * a_row // 2))
    rows, columns = np.c_[chosen, np.tile(np.arange(n), (2, 1))]
    return assembled(np.r_[rows, columns], np.r_[columns, rows], (n, n))


def rectangular(m: int, n: int, a_row: int) -> Pattern:
    """A pattern of m rows and n columns with about that many entries in a row."""
    chosen = np.random.default_rng(6)
    return assembled(np.repeat(np.arange(m), a_row), chosen.integers(0, n, m * a_row), (m, n))


def stencil(sizes: tuple[int, ...], steps: Any) -> Pattern:
    """The pattern in which each point of a grid has entries at the points that steps lead to."""
    points = np.indices(sizes).reshape(len(sizes), -1)
    rows, columns = [], []
    for step in steps:
        there = points + np.array(step)[:, None]
        inside = np.all((there >= 0) & (there < np.array(sizes)[:, None]), axis=0)
        rows.append(np.ravel_multi_index(tuple(points[:, inside]), sizes))
        columns.append(np.ravel_multi_index(tuple(there[:, inside]), sizes))
    size = int(np.prod(sizes))
    return assembled(np.concatenate(rows), np.concatenate(columns), (size, size))


def assembled(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> Pattern:
    """The pattern with entries at these places."""
    return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)


# name, whether it is a Hessian, the pattern at a size and its small and large sizes
CASES: tuple[tuple[str, bool, Callable[[int], Pattern], tuple[int, ...]], ...] = (
    ("Rosenbrock, Hessian", True, rosenbrock, (1000, 10**4, 10**6)),
    ("Bratu, Hessian", True, lambda n: bratu(round(n**0.5)), (1024, 10**4, 10**6)),
    ("Bratu, Jacobian", False, lambda n: bratu(round(n**0.5)), (1024, 10**4, 10**6)),
    ("minimal surface, Hessian", True, lambda n: minimal_surface(round(n**0.5)), (1024, 10**4, 10**6)),
    ("Brusselator 1-D, Jacobian", False, lambda n: brusselator(n // 2), (1000, 10**4, 10**6)),
    ("Brusselator 2-D, Jacobian", False, lambda n: brusselator(*2 * (round((n / 2) ** 0.5),)), (968, 20000, 980000)),
    ("arrow, Hessian", True, arrow, (1000, 10**4, 10**6)),
    ("random, 5 a row, Hessian", True, lambda n: random(n, 4), (1000, 10**4, 10**5)),
    ("random, 20 a row, Hessian", True, lambda n: random(n, 20), (300, 3000)),
    ("random, 5 a row, Jacobian", False, lambda n: rectangular(n, n // 2, 5), (1000, 10**4, 10**5)),
)


def casadi_counts(pattern: Pattern, symmetric: bool, casadi: Any) -> dict[str, tuple[int, float]]:
    """For each of CasADi's algorithms the number of colours and the seconds it took."""
    matrix = sparse.csc_array(pattern)
    matrix.sort_indices()
    given = casadi.Sparsity(*matrix.shape, matrix.indptr.tolist(), matrix.indices.tolist())
    if symmetric:
        runs = {"star": given.star_coloring, "star2": given.star_coloring2, "star, natural": lambda: given.star_coloring(
            0), "star2, natural": lambda: given.star_coloring2(0)}
    else:
        runs = {"columns": given.uni_coloring, "rows": given.T.uni_coloring}
    found = {}
    for name, run in runs.items():
        start = time.process_time()
        colours = run().size2()
        found[name] = colours, time.process_time() - start
    return found


def measured(pattern: Pattern, symmetric: bool, rounds: int, order: str = "") -> tuple[Any, float]:
    """gradc's colouring and the least seconds it took."""
    import gradc

    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        found = gradc.colouring(pattern, symmetric=symmetric, order=order)
        best = min(best, time.process_time() - start)
    return found, best


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.colouring", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="of which the fastest counts")
    parser.add_argument("--most", type=int, default=10**6, help="the largest number of unknowns")
    chosen = parser.parse_args()
    one_core()
    try:
        import casadi
    except ImportError:
        casadi = None
    print("Colours, and seconds of process time, the least of some rounds. gradc: the best of all orders, and the natural\n"
          "order alone; CasADi: the fewest of its algorithms, and the time of the default one.\n")
    heads = ("pattern", "unknowns", "gradc", "by", "order", "s", "natural", "s", "CasADi", "s")
    print("{:26} {:>9} {:>6} {:8} {:16} {:>8} {:>8} {:>8} {:>7} {:>8}".format(*heads))
    for name, symmetric, make, sizes in CASES:
        for size in sizes:
            if size > chosen.most:
                continue
            pattern = make(size)
            best, seconds = measured(pattern, symmetric, chosen.rounds)
            natural, quick = measured(pattern, symmetric, chosen.rounds, "natural")
            pairs = int(np.sum(np.diff(pattern.indptr).astype(np.int64) ** 2))
            peer = casadi_counts(pattern, symmetric, casadi) if casadi and pairs < MOST else {}
            counts = f"{min(c for c, _ in peer.values()):7} {next(iter(peer.values()))[1]:8.3f}" if peer else ""
            print(f"{name:26} {pattern.shape[1]:9} {best.number:6} {best.by:8} {best.order:16} {seconds:8.3f} "
                  f"{natural.number:8} {quick:8.3f} {counts}".rstrip(), flush=True)


if __name__ == "__main__":
    main()
