"""The parts of a run, in the order of the table, and what they share."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

from scripts.bench import (
    against_reference,
    cold_start,
    decoding,
    losers,
    make_up,
    memory,
    post,
    round_trips,
    two_writers,
    whole_handler,
    writer,
)
from scripts.bench.rows import Row
from scripts.bench.server import Server


class Bench:
    """A server, started when the first of them needs it."""

    def __init__(self, cleanup: ExitStack) -> None:
        self._cleanup = cleanup

    @cached_property
    def server(self) -> Server:
        home = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory()))
        server = Server(home)
        self._cleanup.callback(server.stop)
        return server


PARTS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "writer": lambda bench: writer.rows(bench.server),
    "handler": lambda bench: whole_handler.rows(bench.server),
    "reference": lambda bench: against_reference.rows(bench.server),
    "round-trips": lambda bench: round_trips.rows(bench.server),
    "losers": lambda bench: losers.rows(bench.server),
    "two-writers": lambda bench: two_writers.rows(bench.server),
    "decoding": lambda _: decoding.rows(),
    "post": lambda _: post.rows(),
    "cold-start": lambda _: cold_start.rows(),
    "memory": lambda bench: memory.rows(bench.server),
    "up": lambda _: make_up.rows(),
}
