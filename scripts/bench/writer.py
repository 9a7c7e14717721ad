"""`apply()` against the same rows as two unguarded multi-row upserts: what the guard costs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from common.mysql.apply import apply
from scripts.bench.orders import changes, new_keys
from scripts.bench.rows import Row, at_least, information
from scripts.bench.server import TABLE, UNSPLIT, Server
from scripts.bench.timing import Way, interleaved
from scripts.bench.unguarded import sidecar_row, two_upserts

REPETITIONS = {100: 121, 1000: 41}
SPLIT = 15_000


def rows(server: Server) -> Iterator[Row]:
    for count, repetitions in REPETITIONS.items():
        for kind, keys in (("new", new_keys), ("known", server.known_keys)):
            with server.where.connect() as ours, server.where.connect() as theirs:

                def guarded(limit: int, count=count, keys=keys, ours=ours):  # noqa: ANN001, ANN202
                    given = changes(TABLE, keys(count))
                    return partial(apply, ours, server.target, given, statement_bytes=limit)

                def unguarded(count=count, keys=keys, theirs=theirs):  # noqa: ANN001, ANN202
                    given = sorted(changes(TABLE, keys(count)))
                    ready = [sidecar_row(change) for change in given], [change.row for change in given]
                    return partial(two_upserts, theirs, server.target, *ready)

                ways: dict[str, Way] = {
                    "apply": partial(guarded, UNSPLIT),
                    "split": partial(guarded, SPLIT),
                    "unguarded": unguarded,
                }
                seconds = interleaved(ways, repetitions)
            ratio = seconds["unguarded"] / seconds["apply"]
            rate = f"{count / seconds['apply']:,.0f} records/s"
            yield at_least(f"apply() against two unguarded upserts, {count} {kind} keys", ratio, 0.90, note=rate)
            split = seconds["unguarded"] / seconds["split"]
            yield information(f"  the same in statements of {SPLIT:,} bytes", f"{split:.2f}")
