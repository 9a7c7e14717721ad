"""The handler against the reference's way, next to the server and one millisecond away from it.

Both get the same kind of event, both use plain TCP: the reference connects for every event, and TLS would cost
it another 2 to 20 ms each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from scripts.bench.consumer import handler
from scripts.bench.distance import away, ping
from scripts.bench.orders import event, new_keys
from scripts.bench.reference import write
from scripts.bench.rows import Row, at_least, information
from scripts.bench.server import UNSPLIT, Server, Where
from scripts.bench.timing import interleaved

COUNT = 1000
REPETITIONS = 9
ADDED = 0.001
SPLIT = 15_000


def rows(server: Server) -> Iterator[Row]:
    yield from _compare(server.where, "on loopback", 7)
    with away(server.where, ADDED) as distant:
        yield from _compare(distant, "with 1 ms of round trip added", 40)


def _compare(where: Where, place: str, goal: float) -> Iterator[Row]:
    whole, split = handler(where, UNSPLIT), handler(where, SPLIT)
    seconds = interleaved(
        {
            "whole": lambda: partial(whole, event(new_keys(COUNT))),
            "split": lambda: partial(split, event(new_keys(COUNT))),
            "reference": lambda: partial(write, where, event(new_keys(COUNT))),
        },
        REPETITIONS,
    )
    milliseconds = {name: 1000 * taken for name, taken in seconds.items()}
    note = f"{milliseconds['whole']:.1f} ms against {milliseconds['reference']:.0f} ms"
    ratio = seconds["reference"] / seconds["whole"]
    yield at_least(f"handler against the reference's way, {COUNT} records {place}", ratio, goal, " times", note)
    ratio = seconds["reference"] / seconds["split"]
    yield information(f"  the same in statements of {SPLIT:,} bytes", f"{ratio:.1f} times")
    yield information("  round trip by COM_PING", f"{1000 * ping(where):.2f} ms")
