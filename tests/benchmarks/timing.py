"""Call times: the least process CPU time of a call, over rounds in which all calls of a case take turns.

CPU time leaves out what other processes take, the minimum leaves out what they disturb, and taking turns lets
a change in the machine's speed meet everybody. The threads of a library count: nobody gains by having them.
"""

import time
import timeit

from .tools import Call

BLOCK = 4e-3  # seconds of one measurement: many calls, so that the clock's own cost does not show


def minimum_times(calls: list[Call], rounds: int) -> list[float]:
    """Seconds a call, for each of the calls."""
    timers = [_timer(call) for call in calls]
    repeats = [_repeats(timer) for timer in timers]
    best = [float("inf")] * len(calls)
    for _ in range(rounds):
        for at, (timer, repeat) in enumerate(zip(timers, repeats, strict=True)):
            best[at] = min(best[at], timer.timeit(repeat) / repeat)
    return best


def _timer(call: Call) -> timeit.Timer:
    """A loop that spells the call out, so that nothing is added to it."""
    names = {f"a{at}": value for at, value in enumerate(call.args)}
    spelled = ", ".join([*names, *(f"{key}={key}" for key in call.keywords)])
    scope = {"function": call.function, **names, **call.keywords}
    return timeit.Timer(f"function({spelled})", timer=time.process_time, globals=scope)


def _repeats(timer: timeit.Timer) -> int:
    repeat = 1
    while (spent := timer.timeit(repeat)) < BLOCK / 2:
        repeat = max(2 * repeat, int(repeat * BLOCK / max(spent, BLOCK / 100)))
    return repeat
