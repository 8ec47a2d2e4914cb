"""The problems of Moré, Garbow and Hillstrom, "Testing unconstrained optimization software", ACM TOMS 7 (1981), 17-41.

Each is a sum of squares and stands here twice: as a formula of the sum, and as NumPy code of the residuals, with the
paper's starting point and the sums of squares that it gives for the minima. Sizes that the paper leaves open are small.
The tests hold the two against each other, so a slip in one of them is found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Problem:
    """One problem.

    number     its number in the paper
    start      the starting point
    minima     the sums of squares at the minima that the paper gives
    formula    the sum of squares, of x and the data
    residuals  the residuals of x, as NumPy code
    data       what the formula reads besides x
    plain      the residuals for complex x near the start, where the code itself asks for an order
    solution   the minimiser, where the paper gives it
    """

    number: int
    name: str
    start: Sequence[float]
    minima: Sequence[float]
    formula: str
    residuals: Callable[[Any], Any]
    data: dict[str, Array] = field(default_factory=dict)
    plain: Callable[[Any], Any] | None = None
    solution: Sequence[float] | None = None


PROBLEMS: list[Problem] = []


def problem(number: int, name: str, start: Any, minima: Sequence[float], formula: str, *,
            data: dict[str, Array] | None = None, plain: Callable[[Any], Any] | None = None,
            solution: Sequence[float] | None = None) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """Put the problem of these residuals into the list."""
    def add(residuals: Callable[[Any], Any]) -> Callable[[Any], Any]:
        point = [float(x) for x in start]
        PROBLEMS.append(Problem(number, name, point, minima, formula, residuals, data or {}, plain, solution))
        return residuals

    return add


# -- two to four variables ------------------------------------------------------------------------------


@problem(1, "Rosenbrock", [-1.2, 1], [0], "100*(x[1] - x[0]**2)**2 + (1 - x[0])**2", solution=[1, 1])
def rosenbrock(x):
    return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])


@problem(2, "Freudenstein and Roth", [0.5, -2], [48.9842, 0],
         "(x[0] - 13 + ((5 - x[1])*x[1] - 2)*x[1])**2 + (x[0] - 29 + ((x[1] + 1)*x[1] - 14)*x[1])**2")
def freudenstein_roth(x):
    return np.array([-13 + x[0] + ((5 - x[1]) * x[1] - 2) * x[1], -29 + x[0] + ((x[1] + 1) * x[1] - 14) * x[1]])


@problem(3, "Powell badly scaled", [0, 1], [0], "(1e4*x[0]*x[1] - 1)**2 + (exp(-x[0]) + exp(-x[1]) - 1.0001)**2",
         solution=[1.098e-5, 9.106])
def powell_badly_scaled(x):
    return np.array([1e4 * x[0] * x[1] - 1, np.exp(-x[0]) + np.exp(-x[1]) - 1.0001])


@problem(4, "Brown badly scaled", [1, 1], [0], "(x[0] - 1e6)**2 + (x[1] - 2e-6)**2 + (x[0]*x[1] - 2)**2",
         solution=[1e6, 2e-6])
def brown_badly_scaled(x):
    return np.array([x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2])


BEALE = np.array([1.5, 2.25, 2.625])


@problem(5, "Beale", [1, 1], [0], "sum((y[i] - x[0]*(1 - x[1]**(i + 1)))**2 for i in range(3))", data={"y": BEALE},
         solution=[3, 0.5])
def beale(x):
    return np.array([BEALE[i] - x[0] * (1 - x[1] ** (i + 1)) for i in range(3)])


@problem(6, "Jennrich and Sampson", [0.3, 0.4], [124.362],
         "sum((2 + 2*(i + 1) - (exp((i + 1)*x[0]) + exp((i + 1)*x[1])))**2 for i in range(10))",
         solution=[0.2578, 0.2578])
def jennrich_sampson(x):
    i = np.arange(1, 11)
    return 2 + 2 * i - (np.exp(i * x[0]) + np.exp(i * x[1]))


def _helical(angle: Any, x: Any) -> Any:
    return np.array([10 * (x[2] - 10 * angle), 10 * (np.sqrt(x[0] ** 2 + x[1] ** 2) - 1), x[2]])


@problem(7, "Helical valley", [-1, 0, 0], [0],
         "theta = atan(x[1]/x[0])/(2*pi) + (0 if x[0] > 0 else 0.5)\n"
         "100*(x[2] - 10*theta)**2 + 100*(sqrt(x[0]**2 + x[1]**2) - 1)**2 + x[2]**2",
         plain=lambda x: _helical(np.arctan(x[1] / x[0]) / (2 * np.pi) + 0.5, x), solution=[1, 0, 0])
def helical_valley(x):
    return _helical(np.arctan(x[1] / x[0]) / (2 * np.pi) + np.where(x[0] > 0, 0.0, 0.5), x)


BARD = np.array([0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39])


@problem(8, "Bard", [1, 1, 1], [8.21487e-3, 17.4286],
         "sum((y[i] - x[0] - (i + 1)/((15 - i)*x[1] + min(i + 1, 15 - i)*x[2]))**2 for i in range(15))",
         data={"y": BARD})
def bard(x):
    u = np.arange(1.0, 16.0)
    return BARD - (x[0] + u / ((16 - u) * x[1] + np.minimum(u, 16 - u) * x[2]))


GAUSSIAN = np.array([0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521, 0.3989,
                     0.3521, 0.2420, 0.1295, 0.0540, 0.0175, 0.0044, 0.0009])


@problem(9, "Gaussian", [0.4, 1, 0], [1.12793e-8],
         "sum((x[0]*exp(-x[1]*((7 - i)/2 - x[2])**2/2) - y[i])**2 for i in range(15))", data={"y": GAUSSIAN})
def gaussian(x):
    t = (7 - np.arange(15)) / 2
    return x[0] * np.exp(-x[1] * (t - x[2]) ** 2 / 2) - GAUSSIAN


MEYER = np.array([34780.0, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872])


@problem(10, "Meyer", [0.02, 4000, 250], [87.9458],
         "sum((x[0]*exp(x[1]/(50 + 5*i + x[2])) - y[i])**2 for i in range(16))", data={"y": MEYER})
def meyer(x):
    return x[0] * np.exp(x[1] / (45 + 5 * np.arange(1, 17) + x[2])) - MEYER


GULF_T = np.arange(1, 100) / 100
GULF = 25 + (-50 * np.log(GULF_T)) ** (2 / 3)


@problem(11, "Gulf research and development", [5, 2.5, 0.15], [0],
         "sum((exp(-abs(y[i] - x[1])**x[2]/x[0]) - t[i])**2 for i in range(99))", data={"y": GULF, "t": GULF_T},
         plain=lambda x: np.exp(-((GULF - x[1]) ** x[2]) / x[0]) - GULF_T, solution=[50, 25, 1.5])
def gulf(x):
    return np.exp(-(np.abs(GULF - x[1]) ** x[2]) / x[0]) - GULF_T


BOX_T = 0.1 * np.arange(1, 11)


@problem(12, "Box three-dimensional", [0, 10, 20], [0],
         "sum((exp(-t[i]*x[0]) - exp(-t[i]*x[1]) - x[2]*(exp(-t[i]) - exp(-10*t[i])))**2 for i in range(10))",
         data={"t": BOX_T})
def box(x):
    t = BOX_T
    return np.exp(-t * x[0]) - np.exp(-t * x[1]) - x[2] * (np.exp(-t) - np.exp(-10 * t))


@problem(13, "Powell singular", [3, -1, 0, 1], [0],
         "(x[0] + 10*x[1])**2 + 5*(x[2] - x[3])**2 + (x[1] - 2*x[2])**4 + 10*(x[0] - x[3])**4", solution=[0, 0, 0, 0])
def powell_singular(x):
    return np.array([x[0] + 10 * x[1], 5**0.5 * (x[2] - x[3]), (x[1] - 2 * x[2]) ** 2, 10**0.5 * (x[0] - x[3]) ** 2])


@problem(14, "Wood", [-3, -1, -3, -1], [0],
         "100*(x[1] - x[0]**2)**2 + (1 - x[0])**2 + 90*(x[3] - x[2]**2)**2 + (1 - x[2])**2"
         " + 10*(x[1] + x[3] - 2)**2 + (x[1] - x[3])**2/10", solution=[1, 1, 1, 1])
def wood(x):
    return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0], 90**0.5 * (x[3] - x[2] ** 2), 1 - x[2],
                     10**0.5 * (x[1] + x[3] - 2), 10**-0.5 * (x[1] - x[3])])


KOWALIK = np.array([0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246])
KOWALIK_U = np.array([4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625])


@problem(15, "Kowalik and Osborne", [0.25, 0.39, 0.415, 0.39], [3.07505e-4, 1.02734e-3],
         "sum((y[i] - x[0]*(u[i]**2 + u[i]*x[1])/(u[i]**2 + u[i]*x[2] + x[3]))**2 for i in range(11))",
         data={"y": KOWALIK, "u": KOWALIK_U})
def kowalik_osborne(x):
    u = KOWALIK_U
    return KOWALIK - x[0] * (u**2 + u * x[1]) / (u**2 + u * x[2] + x[3])


BROWN_T = np.arange(1, 21) / 5


@problem(16, "Brown and Dennis", [25, 5, -5, -1], [85822.2],
         "sum(((x[0] + t[i]*x[1] - exp(t[i]))**2 + (x[2] + x[3]*sin(t[i]) - cos(t[i]))**2)**2 for i in range(20))",
         data={"t": BROWN_T})
def brown_dennis(x):
    t = BROWN_T
    return (x[0] + t * x[1] - np.exp(t)) ** 2 + (x[2] + x[3] * np.sin(t) - np.cos(t)) ** 2


# -- more variables ---------------------------------------------------------------------------------------


OSBORNE_1 = np.array([
    0.844, 0.908, 0.932, 0.936, 0.925, 0.908, 0.881, 0.850, 0.818, 0.784, 0.751, 0.718, 0.685, 0.658, 0.628, 0.603, 0.580,
    0.558, 0.538, 0.522, 0.506, 0.490, 0.478, 0.467, 0.457, 0.448, 0.438, 0.431, 0.424, 0.420, 0.414, 0.411, 0.406])


@problem(17, "Osborne 1", [0.5, 1.5, -1, 0.01, 0.02], [5.46489e-5],
         "sum((y[i] - (x[0] + x[1]*exp(-10*i*x[3]) + x[2]*exp(-10*i*x[4])))**2 for i in range(33))",
         data={"y": OSBORNE_1})
def osborne_1(x):
    t = 10.0 * np.arange(33)
    return OSBORNE_1 - (x[0] + x[1] * np.exp(-t * x[3]) + x[2] * np.exp(-t * x[4]))


BIGGS_T = 0.1 * np.arange(1, 14)
BIGGS = np.exp(-BIGGS_T) - 5 * np.exp(-10 * BIGGS_T) + 3 * np.exp(-4 * BIGGS_T)


@problem(18, "Biggs EXP6", [1, 2, 1, 1, 1, 1], [5.65565e-3, 0],
         "sum((x[2]*exp(-t[i]*x[0]) - x[3]*exp(-t[i]*x[1]) + x[5]*exp(-t[i]*x[4]) - y[i])**2 for i in range(13))",
         data={"t": BIGGS_T, "y": BIGGS})
def biggs(x):
    t = BIGGS_T
    return x[2] * np.exp(-t * x[0]) - x[3] * np.exp(-t * x[1]) + x[5] * np.exp(-t * x[4]) - BIGGS


OSBORNE_2 = np.array([
    1.366, 1.191, 1.112, 1.013, 0.991, 0.885, 0.831, 0.847, 0.786, 0.725, 0.746, 0.679, 0.608, 0.655, 0.616, 0.606, 0.602,
    0.626, 0.651, 0.724, 0.649, 0.649, 0.694, 0.644, 0.624, 0.661, 0.612, 0.558, 0.533, 0.495, 0.500, 0.423, 0.395, 0.375,
    0.372, 0.391, 0.396, 0.405, 0.428, 0.429, 0.523, 0.562, 0.607, 0.653, 0.672, 0.708, 0.633, 0.668, 0.645, 0.632, 0.591,
    0.559, 0.597, 0.625, 0.739, 0.710, 0.729, 0.720, 0.636, 0.581, 0.428, 0.292, 0.162, 0.098, 0.054])


@problem(19, "Osborne 2", [1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5], [4.01377e-2],
         "sum((y[i] - x[0]*exp(-i/10*x[4]) - sum(x[k]*exp(-(i/10 - x[k + 7])**2*x[k + 4]) for k in range(1, 4)))**2"
         " for i in range(65))", data={"y": OSBORNE_2})
def osborne_2(x):
    t = np.arange(65) / 10
    return OSBORNE_2 - (x[0] * np.exp(-t * x[4]) + x[1] * np.exp(-((t - x[8]) ** 2) * x[5])
                        + x[2] * np.exp(-((t - x[9]) ** 2) * x[6]) + x[3] * np.exp(-((t - x[10]) ** 2) * x[7]))


WATSON = np.arange(1, 30) / 29
POWERS = WATSON[:, None] ** np.arange(6)


@problem(20, "Watson", [0] * 6, [2.28767e-3],
         "sum((sum((j + 1)*x[j + 1]*t[i]**j for j in range(5)) - sum(x[j]*t[i]**j for j in range(6))**2 - 1)**2"
         " for i in range(29)) + x[0]**2 + (x[1] - x[0]**2 - 1)**2", data={"t": WATSON})
def watson(x):
    rows = POWERS[:, :5] @ (np.arange(1, 6) * x[1:]) - (POWERS @ x) ** 2 - 1
    return np.concatenate([rows, np.array([x[0], x[1] - x[0] ** 2 - 1])])


@problem(21, "Extended Rosenbrock", [-1.2, 1] * 4, [0],
         "sum(100*(x[2*i + 1] - x[2*i]**2)**2 + (1 - x[2*i])**2 for i in range(4))", solution=[1] * 8)
def extended_rosenbrock(x):
    return np.concatenate([10 * (x[1::2] - x[::2] ** 2), 1 - x[::2]])


@problem(22, "Extended Powell singular", [3, -1, 0, 1] * 2, [0],
         "sum((x[4*i] + 10*x[4*i + 1])**2 + 5*(x[4*i + 2] - x[4*i + 3])**2 + (x[4*i + 1] - 2*x[4*i + 2])**4"
         " + 10*(x[4*i] - x[4*i + 3])**4 for i in range(2))", solution=[0] * 8)
def extended_powell_singular(x):
    a, b, c, d = x[::4], x[1::4], x[2::4], x[3::4]
    return np.concatenate([a + 10 * b, 5**0.5 * (c - d), (b - 2 * c) ** 2, 10**0.5 * (a - d) ** 2])


@problem(23, "Penalty I", [1, 2, 3, 4], [2.24997e-5],
         "1e-5*sum((x[i] - 1)**2 for i in range(4)) + (sum(x[i]**2 for i in range(4)) - 1/4)**2")
def penalty_1(x):
    return np.concatenate([1e-5**0.5 * (x - 1), np.array([np.sum(x**2) - 0.25])])


PENALTY = np.exp(np.arange(1, 5) / 10)


@problem(24, "Penalty II", [0.5] * 4, [9.37629e-6],
         "(x[0] - 0.2)**2 + 1e-5*sum((exp(x[i]/10) + exp(x[i - 1]/10) - exp((i + 1)/10) - exp(i/10))**2 for i in range(1, 4))"
         " + 1e-5*sum((exp(x[i]/10) - exp(-1/10))**2 for i in range(1, 4)) + (sum((4 - j)*x[j]**2 for j in range(4)) - 1)**2")
def penalty_2(x):
    e = np.exp(x / 10)
    return np.concatenate([np.array([x[0] - 0.2]), 1e-5**0.5 * (e[1:] + e[:-1] - PENALTY[1:] - PENALTY[:-1]),
                           1e-5**0.5 * (e[1:] - np.exp(-0.1)), np.array([np.sum(np.arange(4, 0, -1) * x**2) - 1])])


@problem(25, "Variably dimensioned", 1 - np.arange(1, 7) / 6, [0],
         "s = sum((j + 1)*(x[j] - 1) for j in range(6))\nsum((x[i] - 1)**2 for i in range(6)) + s**2 + s**4",
         solution=[1] * 6)
def variably_dimensioned(x):
    s = np.sum(np.arange(1, 7) * (x - 1))
    return np.concatenate([x - 1, np.array([s, s**2])])


@problem(26, "Trigonometric", [1 / 5] * 5, [2.79506e-5, 0],
         "sum((5 - sum(cos(x[j]) for j in range(5)) + (i + 1)*(1 - cos(x[i])) - sin(x[i]))**2 for i in range(5))")
def trigonometric(x):
    return 5 - np.sum(np.cos(x)) + np.arange(1, 6) * (1 - np.cos(x)) - np.sin(x)


@problem(27, "Brown almost-linear", [0.5] * 5, [0, 1],
         "sum((x[i] + sum(x[j] for j in range(5)) - 6)**2 for i in range(4)) + (prod(x[j] for j in range(5)) - 1)**2")
def brown_almost_linear(x):
    return np.concatenate([x[:-1] + np.sum(x) - 6, np.array([np.prod(x) - 1])])


GRID = np.arange(1, 9) / 9


@problem(28, "Discrete boundary value", GRID * (GRID - 1), [0],
         "sum((2*x[i] - (x[i - 1] if i > 0 else 0) - (x[i + 1] if i < 7 else 0) + (x[i] + (i + 1)/9 + 1)**3/162)**2"
         " for i in range(8))")
def discrete_boundary_value(x):
    return 2 * x - np.concatenate([np.zeros(1), x[:-1]]) - np.concatenate([x[1:], np.zeros(1)]) + (x + GRID + 1) ** 3 / 162


@problem(29, "Discrete integral equation", GRID * (GRID - 1), [0],
         "c = (x + t + 1)**3\n"
         "sum((x[i] + ((1 - t[i])*sum(t[j]*c[j] for j in range(i + 1))"
         " + t[i]*sum((1 - t[j])*c[j] for j in range(i + 1, 8)))/18)**2 for i in range(8))", data={"t": GRID})
def discrete_integral_equation(x):
    c = (x + GRID + 1) ** 3
    before, after = np.cumsum(GRID * c), (1 - GRID) * c
    return x + ((1 - GRID) * before + GRID * (np.sum(after) - np.cumsum(after))) / 18


@problem(30, "Broyden tridiagonal", [-1] * 8, [0],
         "sum(((3 - 2*x[i])*x[i] - (x[i - 1] if i > 0 else 0) - 2*(x[i + 1] if i < 7 else 0) + 1)**2 for i in range(8))")
def broyden_tridiagonal(x):
    before, after = np.concatenate([np.zeros(1), x[:-1]]), np.concatenate([x[1:], np.zeros(1)])
    return (3 - 2 * x) * x - before - 2 * after + 1


BAND = np.array([[float(max(0, i - 5) <= j <= min(7, i + 1) and i != j) for j in range(8)] for i in range(8)])


@problem(31, "Broyden banded", [-1] * 8, [0],
         "sum((x[i]*(2 + 5*x[i]**2) + 1 - sum(x[j]*(1 + x[j]) for j in range(8) if i - 5 <= j <= i + 1 and j != i))**2"
         " for i in range(8))")
def broyden_banded(x):
    return x * (2 + 5 * x**2) + 1 - BAND @ (x * (1 + x))


@problem(32, "Linear, full rank", [1] * 4, [3.0],
         "s = 2*sum(x[j] for j in range(4))/7\nsum((x[i] - s - 1)**2 for i in range(4)) + 3*(s + 1)**2", solution=[-1] * 4)
def linear_full_rank(x):
    s = 2 * np.sum(x) / 7
    return np.concatenate([x - s - 1, -s - np.ones(3)])


@problem(33, "Linear, rank 1", [1] * 4, [7 * 6 / (2 * 15)],
         "sum(((i + 1)*sum((j + 1)*x[j] for j in range(4)) - 1)**2 for i in range(7))")
def linear_rank_1(x):
    return np.arange(1, 8) * np.sum(np.arange(1, 5) * x) - 1


@problem(34, "Linear, rank 1 with columns of zeros", [1] * 4, [(49 + 21 - 6) / (2 * 11)],
         "2 + sum((i*(2*x[1] + 3*x[2]) - 1)**2 for i in range(1, 6))")
def linear_rank_1_zeros(x):
    return np.array([0, 1, 2, 3, 4, 5, 0]) * (2 * x[1] + 3 * x[2]) - 1


CHEBYSHEV = "y = 2*x - 1; t2 = 2*y*y - 1; t3 = 2*y*t2 - y; " + "; ".join(
    f"t{k} = 2*y*t{k - 1} - t{k - 2}" for k in range(4, 9)) + "; mean(y)**2 + " + " + ".join(
    f"(mean(t{k}){f' + 1/{k**2 - 1}' if k % 2 == 0 else ''})**2" for k in range(2, 9))


@problem(35, "Chebyquad", np.arange(1, 9) / 9, [3.51687e-3], CHEBYSHEV)
def chebyquad(x):
    y = 2 * x - 1
    T = [np.ones(8), y]
    for _ in range(7):
        T.append(2 * y * T[-1] - T[-2])
    return np.array([np.sum(T[k]) / 8 + (1 / (k**2 - 1) if k % 2 == 0 else 0) for k in range(1, 9)])
