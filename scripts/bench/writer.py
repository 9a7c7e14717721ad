"""`apply()` against the same rows in two unguarded multi-row upserts: the cost of the guard.

And batches in which not every change is written: delivered again, with a stale one, with ten changes per key. These
are compared with a clean batch of as many changes of known keys, each the newest of its key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from common.changes import Change
from common.mysql.apply import apply
from scripts.bench.baselines import sidecar_row, two_upserts
from scripts.bench.orders import changes, new_keys
from scripts.bench.results import Row, at_least, information
from scripts.bench.server import MAPPING, SPLIT, UNSPLIT, Bench, Server
from scripts.bench.timing import Variant, interleaved

REPETITIONS = {100: 121, 1000: 41}
GOAL = 0.90

STALE_COUNT, CHANGES_PER_KEY, STALE_REPETITIONS = 1000, 10, 25


def rows(bench: Bench) -> Iterator[Row]:
    for count, repetitions in REPETITIONS.items():
        for kind, keys in (("new", new_keys), ("known", bench.server.known_keys)):
            seconds = _write(bench.server, partial(keys, count), repetitions)
            ratio = seconds["unguarded"] / seconds["apply"]
            rate = f"{count / seconds['apply']:,.0f} records/s"
            yield at_least(f"apply() against two unguarded upserts, {count} {kind} keys", ratio, GOAL, note=rate)
            split = seconds["unguarded"] / seconds["split"]
            yield information(f"  the same in statements of {SPLIT:,} bytes", f"{split:.2f}")


def _write(server: Server, keys: Callable[[], list[str]], repetitions: int) -> dict[str, float]:
    with server.endpoint.connect() as ours, server.endpoint.connect() as theirs:

        def guarded(statement_bytes: int) -> Callable[[], object]:
            return partial(apply, ours, server.targets, changes(MAPPING, keys()), statement_bytes=statement_bytes)

        def unguarded() -> Callable[[], object]:
            given = sorted(changes(MAPPING, keys()))
            ready = [sidecar_row(change) for change in given], [change.row for change in given]
            return partial(two_upserts, theirs, server.targets.tables[0], *ready)

        variants: dict[str, Variant] = {
            "apply": partial(guarded, UNSPLIT),
            "split": partial(guarded, SPLIT),
            "unguarded": unguarded,
        }
        return interleaved(variants, repetitions)


def rows_of_stale_batches(bench: Bench) -> Iterator[Row]:
    server = bench.server
    with server.endpoint.connect() as connection:
        write = partial(apply, connection, server.targets, statement_bytes=UNSPLIT)
        batches = {
            "clean": partial(_clean, server),
            "again": partial(_again, server, write),
            "one stale": partial(_one_stale, server, write),
            "ten changes": partial(_ten_changes, server),
        }

        def prepared(batch: Callable[[], list[Change]]) -> Callable[[], object]:
            return partial(write, batch())

        seconds = interleaved({name: partial(prepared, batch) for name, batch in batches.items()}, STALE_REPETITIONS)
    clean, count = seconds["clean"], STALE_COUNT
    yield at_least(f"{count} records delivered again, of the clean rate", clean / seconds["again"], 0.60)
    yield at_least(f"{count} records, one of them stale, of the clean rate", clean / seconds["one stale"], 0.60)
    what = f"{count} records, {CHANGES_PER_KEY} changes per key, of the clean rate"
    yield at_least(what, clean / seconds["ten changes"], 2, " times")


def _clean(server: Server) -> list[Change]:
    return changes(MAPPING, server.known_keys(STALE_COUNT))


def _again(server: Server, write: Callable[[list[Change]], object]) -> list[Change]:
    given = _clean(server)
    write(given)
    return given


def _one_stale(server: Server, write: Callable[[list[Change]], object]) -> list[Change]:
    given = _clean(server)
    write(changes(MAPPING, [str(given[0].key_values[0])]))
    return given


def _ten_changes(server: Server) -> list[Change]:
    return changes(MAPPING, server.known_keys(STALE_COUNT // CHANGES_PER_KEY) * CHANGES_PER_KEY)
