"""Call times: the least process CPU time of a call, over rounds in which all calls of a case take turns.

CPU time leaves out what other processes take, the minimum leaves out what they disturb, and taking turns lets a change
in the machine's speed meet everybody. The threads of a library count: nobody gains by having them. A slow call takes
part in fewer rounds, spread over all of them. How far the minima of the first and of the second half of the rounds lie
apart is the drift: what a ratio of this run can be trusted to.
"""

import time
import timeit
from typing import NamedTuple

from .case import Call

BLOCK = 4e-3  # seconds of one measurement: many calls, so that the clock's own cost does not show
ALLOWANCE = 2.0  # seconds of all measurements of one call, three rounds at least


class Time(NamedTuple):
    """Seconds a call, and by how much the minima of the two halves differ, relative to the smaller."""

    seconds: float
    drift: float


def minimum_times(
    calls: list[Call], rounds: int, allowance: float = ALLOWANCE, *, warm: bool = False
) -> list[Time]:
    """The times of the calls; `warm`: each after a call that is not counted, which fills the caches again."""
    timers = [_timer(call) for call in calls]
    repeats = [_repeats(timer) for timer in timers]
    taken: list[list[float]] = [[] for _ in calls]
    for round_ in range(rounds):
        for at, (timer, (repeat, block)) in enumerate(zip(timers, repeats, strict=True)):
            part = min(rounds, max(3, int(allowance / block)))
            if round_ * part // rounds != (round_ + 1) * part // rounds:
                if warm:
                    timer.timeit(1)
                seconds = timer.timeit(repeat)
                taken[at].append(seconds / repeat)
    return [Time(min(times), _drift(times)) for times in taken]


def _drift(times: list[float]) -> float:
    first, second = times[: (len(times) + 1) // 2], times[len(times) // 2 :]
    low, high = sorted((min(first), min(second)))
    return high / low - 1.0


def _timer(call: Call) -> timeit.Timer:
    """A loop that spells the call out, so that nothing is added to it."""
    names = {f"a{at}": value for at, value in enumerate(call.args)}
    spelled = ", ".join([*names, *(f"{key}={key}" for key in call.keywords)])
    scope = {"function": call.function, **names, **call.keywords}
    return timeit.Timer(f"function({spelled})", timer=time.process_time, globals=scope)


def _repeats(timer: timeit.Timer) -> tuple[int, float]:
    """How many calls fill a block, and the seconds that they took."""
    repeat = 1
    while (spent := timer.timeit(repeat)) < BLOCK / 2:
        repeat = max(2 * repeat, int(repeat * BLOCK / max(spent, BLOCK / 100)))
    return repeat, spent
