"""Batches in which not every record wins, and batches with ten changes of each key, against a clean batch.

Clean: as many changes of as many known keys, every one of them the newest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from common.changes import Change
from common.mysql.apply import apply
from scripts.bench.orders import changes
from scripts.bench.rows import Row, at_least
from scripts.bench.server import TABLE, UNSPLIT, Server
from scripts.bench.timing import interleaved

COUNT = 1000
PER_KEY = 10
REPETITIONS = 25


def rows(server: Server) -> Iterator[Row]:
    with server.where.connect() as connection:
        write = partial(apply, connection, server.target, statement_bytes=UNSPLIT)
        ways = {
            "clean": lambda: _clean(server),
            "again": lambda: _again(server, write),
            "one stale": lambda: _one_stale(server, write),
            "ten changes": lambda: changes(TABLE, server.known_keys(COUNT // PER_KEY) * PER_KEY),
        }
        seconds = interleaved(
            {name: lambda make=make: partial(write, make()) for name, make in ways.items()}, REPETITIONS
        )
    clean = seconds["clean"]
    yield at_least(f"{COUNT} records delivered again, of the clean rate", clean / seconds["again"], 0.60)
    yield at_least(f"{COUNT} records, one of them stale, of the clean rate", clean / seconds["one stale"], 0.60)
    yield at_least(
        f"{COUNT} records, {PER_KEY} changes per key, of the clean rate", clean / seconds["ten changes"], 2, " times"
    )


def _clean(server: Server) -> list[Change]:
    return changes(TABLE, server.known_keys(COUNT))


def _again(server: Server, write: Callable[[list[Change]], object]) -> list[Change]:
    given = _clean(server)
    write(given)
    return given


def _one_stale(server: Server, write: Callable[[list[Change]], object]) -> list[Change]:
    given = _clean(server)
    write(changes(TABLE, [given[0].key]))
    return given
