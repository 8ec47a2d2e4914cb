"""Table entries: the error function, gamma, Bessel and exponential-integral families.

Values are SciPy's (in compiled code `scipy.special.cython_special`); polygamma is the one kernel of
our own. Rules are recurrences from the NIST Digital Library of Mathematical Functions (DLMF), named
by equation. Derivatives inherit SciPy's errors, and those of y0, yn, jn and beta cancel: `ulps` says
how much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .table import Guarded, entry

if TYPE_CHECKING:
    from .graph import Node, Vocabulary

TWO_OVER_ROOT_PI = 1.1283791670955126
HALF_ROOT_PI = 0.8862269254527580
INF = float("inf")
SMALL_ORDERS = (0, 5)


def _scipy(name: str, count: int = 1, **fields: Any) -> dict[str, Any]:
    return {"numpy": f"special.{name}", "imports": "scipy.special",
            "spelling": f"{name}({', '.join(f'{{{i}}}' for i in range(count))})", **fields}


def _elementwise(function: Any) -> Any:
    """A function of Python's math library on arrays: the C library's, which generated code calls too."""
    return lambda np, x: np.vectorize(function, otypes=[float])(x)


entry("erf", 1, numpy=_elementwise(math.erf), imports="math", exact="erf", sympy=("erf",),
      domain=((-6.0, 6.0),), partials=lambda o, y, x: [TWO_OVER_ROOT_PI * o.gaussian(x)],
      edges={(0.0,): (0.0, (TWO_OVER_ROOT_PI,)), (40.0,): (1.0, (0.0,))}, note="DLMF 7.2.1")
entry("erfc", 1, numpy=_elementwise(math.erfc), imports="math", exact="erfc", sympy=("erfc",),
      partials=lambda o, y, x: [-(TWO_OVER_ROOT_PI * o.gaussian(x))], domain=((-6.0, 26.0),),
      edges={(0.0,): (1.0, (-TWO_OVER_ROOT_PI,))}, note="DLMF 7.2.2")
entry("erfinv", 1, **_scipy("erfinv"), exact="erfinv", sympy=("erfinv",), domain=((-1.0, 1.0),),
      partials=lambda o, y, x: [HALF_ROOT_PI * o.exp(y * y)],
      ulps=(8.0, 16.0), edges={(0.0,): (0.0, (HALF_ROOT_PI,)), (1.0,): (INF, (INF,))})
entry("gamma", 1, **_scipy("gamma"), exact="gamma", sympy=("gamma",), domain=((1e-3, 160.0),),
      partials=lambda o, y, x: [y * o.digamma(x)], edges={(1.0,): (1.0, (-0.5772156649015329,))},
      ulps=(8.0, 16.0), note="DLMF 5.2.2")
entry("loggamma", 1, **_scipy("gammaln"), exact=lambda mp, x: mp.re(mp.loggamma(x)),
      formula=("loggamma", "lgamma", "gammaln"), sympy=("loggamma",), domain=((1e-3, 1e6),),
      partials=lambda o, y, x: [o.digamma(x)], edges={(1.0,): (0.0, (-0.5772156649015329,))},
      ulps=(8.0, 16.0), note="the logarithm of |gamma(x)|")
entry("digamma", 1, **_scipy("psi"), exact="digamma", formula=("digamma", "psi"), sympy=("digamma",),
      partials=lambda o, y, x: [o.polygamma(1, x)], domain=((1e-3, 1e6),),
      edges={(1.0,): (-0.5772156649015329, (1.6449340668482264,))}, ulps=(8.0, 16.0), note="DLMF 5.2.2")
entry("polygamma", 2, numpy="special.polygamma", imports="kernels", exact=lambda mp, n, x: mp.psi(int(n), x),
      partials=lambda o, y, n, x: [None, o.polygamma(n + 1, x)], integers=(0,), sympy=("polygamma",),
      domain=(SMALL_ORDERS, (0.1, 50.0)), edges={(1, 1.0): (1.6449340668482264, (None, -2.404113806319188))},
      ulps=(8.0, 16.0), note="DLMF 5.15.1; the order is a whole number")
entry("beta", 2, **_scipy("beta", 2), exact="beta", sympy=("beta",), domain=((0.1, 20.0), (0.1, 20.0)),
      partials=lambda o, y, a, b: [y * (o.digamma(a) - o.digamma(a + b)),
                                   y * (o.digamma(b) - o.digamma(a + b))],
      edges={(1.0, 2.0): (0.5, (-0.75, -0.25))}, ulps=(2000.0, 20000.0), note="DLMF 5.12.1")


def _by_order(o: Vocabulary, family: str, n: Node, x: Node) -> Node:
    """A Bessel function of integer order: orders -1, 0 and 1 by functions of their own, which are better."""
    if n.op != "const" or abs(n.value) > 1:
        general: Node = getattr(o, {"j": "jn", "y": "yn", "i": "besseli"}[family])(n, x)
        return general
    found: Node = getattr(o, f"{family}{abs(n.value)}")(x)
    return -found if n.value == -1 and family != "i" else found


def _bessel(family: str, sign: int) -> Any:
    """Half the difference, or the sum, of the neighbouring orders (DLMF 10.6.1 and 10.29.1)."""

    def partials(o: Vocabulary, _y: Node, n: Node, x: Node) -> Sequence[Node | Guarded | None]:
        if n.op == "const" and n.value == 0:
            first = _by_order(o, family, n + 1, x)
            return [None, first if sign > 0 else -first]
        below, above = _by_order(o, family, n - 1, x), _by_order(o, family, n + 1, x)
        return [None, 0.5 * (below + above if sign > 0 else below - above)]

    return partials


entry("j0", 1, **_scipy("j0"), exact="j0", partials=lambda o, y, x: [-o.j1(x)], domain=((-20.0, 20.0),),
      edges={(0.0,): (1.0, (0.0,))}, ulps=(8.0, 16.0), note="DLMF 10.6.3")
entry("j1", 1, **_scipy("j1"), exact="j1", domain=((-20.0, 20.0),),
      partials=lambda o, y, x: [0.5 * (o.j0(x) - o.jn(2, x))], edges={(0.0,): (0.0, (0.5,))},
      ulps=(8.0, 16.0), note="DLMF 10.6.1")
entry("jn", 2, **_scipy("jv", 2), exact=lambda mp, n, x: mp.besselj(int(n), x), integers=(0,),
      formula=("jn", "jv", "besselj"), sympy=("besselj",), domain=(SMALL_ORDERS, (-20.0, 20.0)),
      partials=_bessel("j", -1),
      edges={(2, 0.0): (0.0, (None, 0.0)), (1, 0.0): (0.0, (None, 0.5))}, ulps=(200.0, 200.0),
      note="DLMF 10.6.1")
entry("y0", 1, **_scipy("y0"), exact=lambda mp, x: mp.bessely(0, x), domain=((0.1, 20.0),),
      partials=lambda o, y, x: [-o.y1(x)], edges={(0.0,): (-INF, (None,))}, ulps=(30.0, 60.0),
      note="DLMF 10.6.3")
entry("y1", 1, **_scipy("y1"), exact=lambda mp, x: mp.bessely(1, x), domain=((0.1, 20.0),),
      partials=lambda o, y, x: [0.5 * (o.y0(x) - o.yn(2, x))], edges={(0.0,): (-INF, (None,))},
      ulps=(40.0, 60.0), note="DLMF 10.6.1")
entry("yn", 2, **_scipy("yn", 2), exact=lambda mp, n, x: mp.bessely(int(n), x), integers=(0,),
      formula=("yn", "bessely"), sympy=("bessely",), domain=(SMALL_ORDERS, (0.1, 20.0)),
      partials=_bessel("y", -1),
      edges={(2, 0.0): (-INF, (None, None))}, ulps=(60.0, 1000.0), note="DLMF 10.6.1")
entry("i0", 1, **_scipy("i0"), exact=lambda mp, x: mp.besseli(0, x), domain=((-20.0, 20.0),),
      partials=lambda o, y, x: [o.i1(x)], edges={(0.0,): (1.0, (0.0,))}, ulps=(16.0, 16.0),
      note="DLMF 10.29.3")
entry("i1", 1, **_scipy("i1"), exact=lambda mp, x: mp.besseli(1, x), domain=((-20.0, 20.0),),
      partials=lambda o, y, x: [0.5 * (o.i0(x) + o.besseli(2, x))], edges={(0.0,): (0.0, (0.5,))},
      ulps=(16.0, 16.0), note="DLMF 10.29.1")
entry("besseli", 2, **_scipy("iv", 2), exact=lambda mp, n, x: mp.besseli(int(n), x), integers=(0,),
      formula=("besseli", "iv"), sympy=("besseli",), domain=(SMALL_ORDERS, (-20.0, 20.0)),
      partials=_bessel("i", 1),
      edges={(2, 0.0): (0.0, (None, 0.0))}, ulps=(16.0, 16.0), note="DLMF 10.29.1")


def _expint_partials(o: Vocabulary, _y: Node, n: Node, x: Node) -> Sequence[Node | Guarded | None]:
    """E_n' = -E_(n-1) (DLMF 8.19.13); E_0 = exp(-x)/x, where the recurrence would leave n >= 0."""
    of_zero = -(o.exp(-x) * (1.0 + 1.0 / x) / x)
    if n.op == "const":
        return [None, -o.expint(n - 1, x) if n.value > 0 else of_zero]
    return [None, o.select(o.greater(n, 0), -o.expint(o.max(n - 1, 0), x), of_zero)]


entry("expint", 2, **_scipy("expn", 2), exact=lambda mp, n, x: mp.expint(int(n), x), integers=(0,),
      formula=("expint", "expn"), sympy=("expint",), partials=_expint_partials,
      domain=((0, 5), (0.01, 20.0)), edges={(2, 0.0): (1.0, (None, -INF))},
      ulps=(32.0, 32.0), note="the exponential integral E_n(x), n = 0, 1, ...; DLMF 8.19.13")
