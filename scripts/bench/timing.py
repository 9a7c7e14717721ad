"""Times of several variants of the same work, taken so that their ratios are meaningful.

Each repetition runs every variant once, in a new random order, so that other load on the machine meets all of them
alike. The median of each variant is compared.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median

# Prepares a measurement, outside the measured time, and returns the work that is measured.
Variant = Callable[[], Callable[[], object]]
Clock = Callable[[], float]

LEAST_REPETITIONS = 9
WARM_UP = 2


def interleaved(
    variants: Mapping[str, Variant], repetitions: int, clock: Clock = time.perf_counter
) -> dict[str, float]:
    """The median seconds of each variant."""
    return self_timed({name: partial(_timed, variant, clock) for name, variant in variants.items()}, repetitions)


def self_timed(variants: Mapping[str, Clock], repetitions: int) -> dict[str, float]:
    """The same for variants that return the seconds they took, such as processes."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    repetitions = max(repetitions, LEAST_REPETITIONS)
    for repetition in range(-WARM_UP, repetitions):
        for name in random.sample(list(variants), len(variants)):
            seconds = variants[name]()
            if repetition >= 0:
                times[name].append(seconds)
    return {name: median(taken) for name, taken in times.items()}


def _timed(variant: Variant, clock: Clock) -> float:
    work = variant()
    gc.collect()  # garbage of the preparation is not part of the work
    started = clock()
    work()
    return clock() - started
