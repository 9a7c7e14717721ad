"""Times of several ways to do the same, taken so that a ratio of them means something.

Every repetition runs every way once, in an order drawn anew, so that whatever else the machine does meets all of
them alike; what is compared is the median of each.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median

# Called before each measurement and not measured; gives what is measured.
Way = Callable[[], Callable[[], object]]
Clock = Callable[[], float]

LEAST_REPETITIONS = 9
WARM_UP = 2


def interleaved(ways: Mapping[str, Way], repetitions: int, clock: Clock = time.perf_counter) -> dict[str, float]:
    """The median seconds of each way."""
    return own_clocks({name: partial(_timed, way, clock) for name, way in ways.items()}, repetitions)


def own_clocks(ways: Mapping[str, Clock], repetitions: int) -> dict[str, float]:
    """The same for ways that take their own time, such as processes: each gives its seconds."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    repetitions = max(repetitions, LEAST_REPETITIONS)
    for repetition in range(-WARM_UP, repetitions):
        for name in random.sample(list(ways), len(ways)):
            seconds = ways[name]()
            if repetition >= 0:
                times[name].append(seconds)
    return {name: median(taken) for name, taken in times.items()}


def _timed(way: Way, clock: Clock) -> float:
    work = way()
    gc.collect()  # what the preparation left behind is not this way's cost
    started = clock()
    work()
    return clock() - started
