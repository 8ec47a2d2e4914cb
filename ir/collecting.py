"""Garbage collection, put off while a program is built.

A graph, its text and its syntax tree are many small objects that refer to each other, and none of them is garbage
until the program is there. Python's collector looks through all of them again and again meanwhile: a third of the
time that a long function takes to compile.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator


class _Counter:
    """How many callers, in all threads, have put it off, and whether it was on before the first did."""

    def __init__(self) -> None:
        self.lock, self.within, self.was_enabled = threading.Lock(), 0, False


_counter = _Counter()


@contextlib.contextmanager
def put_off() -> Iterator[None]:
    """No automatic garbage collection inside; outside it is as it was. May be nested, and used by several threads.

    >>> with put_off():
    ...     gc.isenabled()
    False
    """
    with _counter.lock:
        if _counter.within == 0:
            _counter.was_enabled = gc.isenabled()
            gc.disable()
        _counter.within += 1
    try:
        yield
    finally:
        with _counter.lock:
            _counter.within -= 1
            if _counter.within == 0 and _counter.was_enabled:
                gc.enable()
