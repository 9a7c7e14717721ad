"""Times of several variants of the same work, taken so that their ratios are meaningful.

Each repetition runs every variant once, in a new random order, so that other load on the machine meets all of them
alike. The median of each variant is compared.
"""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median
from typing import NamedTuple

# Prepares a measurement, outside the measured time, and returns the work that is measured.
Variant = Callable[[], Callable[[], object]]
Clock = Callable[[], float]

LEAST_REPETITIONS = 9
WARM_UP = 2
_PAIRS_OF_BLOCK = 50


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


class PairedRatio(NamedTuple):
    """The median ratio of many pairs, and the interval that holds the true one with 95 % confidence."""

    median: float
    low: float
    high: float


def paired(work: Variant, against: Variant, pairs: int, clock: Clock = time.perf_counter) -> PairedRatio:
    """The seconds of `work` divided by those of `against`, for a difference that is smaller than the noise of one run.

    The two of a pair follow each other in random order, so what slows the machine down meets both. A few slow runs do
    not move the median. Garbage is collected between blocks of pairs.
    """
    ratios: list[float] = []
    for pair in range(-WARM_UP, pairs):
        if pair % _PAIRS_OF_BLOCK == 0:
            gc.collect()
        gc.disable()
        seconds = {one: _seconds(variant(), clock) for one, variant in random.sample([(0, work), (1, against)], 2)}
        gc.enable()
        if pair >= 0:
            ratios.append(seconds[0] / seconds[1])
    return _with_interval(ratios)


def _with_interval(ratios: list[float]) -> PairedRatio:
    """By the ranks of the binomial distribution, which assumes nothing of how the ratios are distributed."""
    ordered, middle, half = sorted(ratios), len(ratios) / 2, 0.98 * math.sqrt(len(ratios))
    low, high = max(0, math.floor(middle - half) - 1), min(len(ordered) - 1, math.ceil(middle + half))
    return PairedRatio(median(ordered), ordered[low], ordered[high])


def _timed(variant: Variant, clock: Clock) -> float:
    work = variant()
    gc.collect()  # garbage of the preparation is not part of the work
    return _seconds(work, clock)


def _seconds(work: Callable[[], object], clock: Clock) -> float:
    started = clock()
    work()
    return clock() - started
