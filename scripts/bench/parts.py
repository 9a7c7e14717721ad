"""The parts of a run, in the order of the table."""

from __future__ import annotations

from scripts.bench import (
    against_reference,
    cold_start,
    decoding,
    legacy,
    losers,
    make_up,
    memory,
    post,
    replay_auto,
    replay_growth,
    replay_speed,
    replay_workers,
    round_trips,
    two_writers,
    whole_handler,
    writer,
)
from scripts.bench.shared import Part

PARTS: dict[str, Part] = {
    "writer": lambda bench: writer.rows(bench.server),
    "handler": lambda bench: whole_handler.rows(bench.server),
    "reference": lambda bench: against_reference.rows(bench.server),
    "round-trips": lambda bench: round_trips.rows(bench.server),
    "losers": lambda bench: losers.rows(bench.server),
    "legacy": lambda bench: legacy.rows(bench.server),
    "two-writers": lambda bench: two_writers.rows(bench.server),
    "decoding": lambda _: decoding.rows(),
    "post": lambda _: post.rows(),
    "cold-start": lambda _: cold_start.rows(),
    "memory": lambda bench: memory.rows(bench.server),
    "replay-speed": lambda bench: replay_speed.rows(bench.server),
    "replay-growth": lambda bench: replay_growth.rows(bench.server),
    "replay-workers": lambda bench: replay_workers.rows(bench.server),
    "replay-auto": lambda _: replay_auto.rows(),
    "up": lambda _: make_up.rows(),
}
