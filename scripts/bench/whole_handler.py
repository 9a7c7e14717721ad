"""The handler from event to commit, log line and metrics included, against the raw limit: what it adds to MySQL's work.

The limit gets its rows ready, as tuples, and writes the target alone in one upsert.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from scripts.bench.consumer import handler
from scripts.bench.orders import changes, event, new_keys
from scripts.bench.rows import Row, at_least, information
from scripts.bench.server import TABLE, UNSPLIT, Server
from scripts.bench.timing import interleaved
from scripts.bench.unguarded import one_upsert

REPETITIONS = {100: 121, 1000: 41}
GOALS = {100: 0.42, 1000: 0.40}
SPLIT = 15_000


def rows(server: Server) -> Iterator[Row]:
    with server.where.connect() as connection:
        limit = partial(one_upsert, connection, server.target)
        for count, repetitions in REPETITIONS.items():
            for kind, keys in (("new", new_keys), ("known", server.known_keys)):
                draw = partial(keys, count)
                whole, split = handler(server.where, UNSPLIT), handler(server.where, SPLIT)
                seconds = interleaved(
                    {
                        "whole": lambda draw=draw, whole=whole: partial(whole, event(draw())),
                        "split": lambda draw=draw, split=split: partial(split, event(draw())),
                        "limit": lambda draw=draw: partial(limit, [change.row for change in changes(TABLE, draw())]),
                    },
                    repetitions,
                )
                rate = f"{count / seconds['whole']:,.0f} records/s"
                ratio = seconds["limit"] / seconds["whole"]
                yield at_least(f"handler against the raw limit, {count} {kind} keys", ratio, GOALS[count], note=rate)
                ratio = seconds["limit"] / seconds["split"]
                yield information(f"  the same in statements of {SPLIT:,} bytes", f"{ratio:.2f}")
