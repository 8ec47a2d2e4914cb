"""What derivatives cost beside the function: `python -m tests.benchmarks.products` prints it for every problem.

The gradient with the value, the derivative along a direction, and the product of the Hessian with a vector, each over
the time of the function itself, for the smallest size of each problem of the benchmark that is one real number. The
product must agree with a difference of gradients.
"""

import os
import statistics
import tempfile
from typing import Any

from .environment import SINGLE_THREAD, cache_folders, one_core

ROUNDS = 9
STEP = 1e-6


def directions(function: Any, given: tuple[Any, ...]) -> list[Any]:
    """A unit vector along the argument, all elements alike, for each that derivatives are taken by."""
    import numpy as np

    values = [given[function.args.index(name)] for name in function.wrt]
    size = float(np.sqrt(sum(np.size(value) for value in values)))
    return [np.full(np.shape(value), 1 / size) if np.ndim(value) else 1 / size for value in values]


def disagreement(function: Any, given: tuple[Any, ...], along: list[Any]) -> float:
    """The largest difference between the product with the Hessian and central differences of the gradient."""
    import numpy as np

    def gradient(step: float) -> Any:
        moved = list(given)
        for name, direction in zip(function.wrt, along, strict=True):
            at = function.args.index(name)
            moved[at] = moved[at] + step * direction
        found = function.grad(*moved)
        return np.concatenate([np.ravel(part) for part in (found if len(along) > 1 else (found,))])

    found = function.hvp(*given, *along)
    product = np.concatenate([np.ravel(part) for part in (found if len(along) > 1 else (found,))])
    wanted = (gradient(STEP) - gradient(-STEP)) / (2 * STEP)
    scale = max(1.0, float(np.max(np.abs(wanted))), float(np.max(np.abs(gradient(0.0)))))
    return float(np.max(np.abs(product - wanted))) / scale


def main() -> int:
    """Prints the table; 1 if a product is wrong."""
    one_core()
    os.environ.update(SINGLE_THREAD)
    failed, costs = False, []
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(cache_folders(folder))
        from gradc.compiler.function import Function

        from .case import Call
        from .cases import PROBLEMS
        from .table import microseconds, plain, ratio
        from .timing import minimum_times
        from .tools import Gradc

        rows = [["", "value, µs", "value+grad", "jvp", "hvp", ""]]
        for problem in PROBLEMS.values():
            case = problem.make(problem.sizes[0])
            forms = Gradc().forms(case)
            calls = next(iter(forms.values()))() if forms else None
            function = getattr(calls.forward, "function", None) if calls is not None else None
            if calls is None or not isinstance(function, Function) or function.graph.outputs[0][1].is_array:
                continue
            given = calls.forward.args
            along = directions(function, given)
            wrong = disagreement(function, given, along) > 1e-4
            failed |= wrong
            timed = [Call(function, given), Call(function.value_and_grad, given), Call(function.jvp, (*given, *along)),
                     Call(function.hvp, (*given, *along))]  # fmt: skip
            value, *others = [time.seconds for time in minimum_times(timed, ROUNDS)]
            costs.append(others[-1] / value)
            shown = [ratio(seconds, value) for seconds in others]
            rows.append([case.name, microseconds(value), *shown, "DIFFERS" if wrong else ""])
        print(plain(rows))
        print(f"The product with the Hessian costs {statistics.median(costs):.2f} times the function in the middle, at "
              f"most {max(costs):.2f} times.")  # fmt: skip
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
