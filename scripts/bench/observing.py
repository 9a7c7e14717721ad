"""What metrics and tracing cost the consumer's handler, in pairs of runs with and without them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

from common.mysql.database import MySQLDatabase
from common.spans import no_span
from common.telemetry import span
from scripts.bench.consumer import TIMEOUT_SECONDS, database
from scripts.bench.environment import LambdaContext
from scripts.bench.orders import event
from scripts.bench.quiet import quiet
from scripts.bench.results import Row, at_most
from scripts.bench.server import UNSPLIT, Bench
from scripts.bench.timing import PairedRatio, paired
from stream_consumer import consume
from stream_consumer import handler as function

COUNT = 100
PAIRS = 1_500
SHARE_GOAL = 0.03
TRACING_GOAL = 1.01

# What an attribute of a module or an object becomes.
Replacements = dict[tuple[ModuleType | MySQLDatabase, str], Any]


def rows_of_metrics(bench: Bench) -> Iterator[Row]:
    """Against a handler that makes no metrics: neither their values nor their line."""
    own = database(bench.server.endpoint, UNSPLIT, span=span)
    ratio = _compared(bench, own, {(function, "_report"): _nothing, (consume, "lags"): _nothing})
    found = [1 - 1 / one for one in (ratio.median, ratio.low, ratio.high)]
    what = f"metrics, share of the handler's time, {COUNT} records"
    yield at_most(what, found[0], SHARE_GOAL, note=_interval(found[1], found[2]))


def rows_of_tracing(bench: Bench) -> Iterator[Row]:
    """Without a trace, against a handler without a tracer. The goal is missed where noise does not explain the rest."""
    handler: Any = function.handler
    own = database(bench.server.endpoint, UNSPLIT, span=span)
    ratio = _compared(
        bench,
        own,
        {
            (function, "handler"): handler.__wrapped__,
            (own, "_span"): no_span,
            (function, "span"): no_span,
            (function, "annotate"): _nothing,
        },
    )
    what = f"handler with tracing off, against one without a tracer, {COUNT} records"
    note = f"{ratio.median:.3f}; {_interval(ratio.low, ratio.high)}"
    yield at_most(what, ratio.low, TRACING_GOAL, " times", note)


def _nothing(*_: object) -> tuple[()]:
    return ()


def _interval(low: float, high: float) -> str:
    return f"{low:.3f} to {high:.3f} with 95 % confidence"


@dataclass
class _Handler:
    """The consumer with replacements. They are made while a run is prepared, outside of the measured time."""

    keys: list[str]
    replacements: Replacements

    def __call__(self) -> Callable[[], object]:
        for (owner, name), value in self.replacements.items():
            setattr(owner, name, value)
        made = event(self.keys)
        for number, record in enumerate(made["Records"]):  # a lag of one to three seconds, as in life
            record["dynamodb"]["ApproximateCreationDateTime"] = int(time.time()) - 1 - number % 3
        return partial(function.handler, made, LambdaContext(TIMEOUT_SECONDS))


def _compared(bench: Bench, own: MySQLDatabase, without: Replacements) -> PairedRatio:
    """The handler by one with the replacements of `without`. Both change the same rows on one connection."""
    kept = {place: getattr(*place) for place in [*without, (function, "DATABASE")]}
    whole = kept | {(function, "DATABASE"): own}
    keys = bench.server.known_keys(COUNT)
    try:
        with quiet():
            return paired(_Handler(keys, whole), _Handler(keys, whole | without), PAIRS)
    finally:
        _Handler([], kept)()
