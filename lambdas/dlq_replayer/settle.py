"""Moves failed batches out of the way, and only those of which every record is accounted for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dlq_replayer.bucket import REPLAYED, Bucket
from dlq_replayer.collect import POISON
from dlq_replayer.run import Run


@dataclass(frozen=True)
class Done:
    """The splits that were drained, and the quarantined objects that were parked again."""

    splits: frozenset[int]
    parked: frozenset[str]

    def covers(self, entry: dict[str, Any]) -> bool:
        """Whether a batch may leave: whole, every split of its records drained, and not parked again."""
        return entry["whole"] and self.splits.issuperset(entry["splits"]) and entry["source"] not in self.parked


def read_done(bucket: Bucket, run: Run) -> Done:
    splits, parked = set(), set()
    for key, _ in bucket.list(f"{run.prefix}done/"):
        name = key.rpartition("/")[2].removesuffix(".json")
        splits.add(POISON if name == "poison" else int(name))
        # Only these can be sources of this run: a record parked anew has no object that could be moved.
        parked.update(bucket.read_json(key)["parked"])
    return Done(frozenset(splits), frozenset(parked))


def settle_part(bucket: Bucket, done: Done, manifest_key: str) -> tuple[int, int]:
    """Move what one manifest lists and `done` covers; (batches settled, batches that stay).

    Interrupted and called again, what has moved already is no longer there and counts as settled.
    """
    entries = bucket.read_json(manifest_key)
    settled = [entry["source"] for entry in entries if done.covers(entry)]
    bucket.move_all((source, target_of(source)) for source in settled)
    return len(settled), len(entries) - len(settled)


def target_of(source: str) -> str:
    return REPLAYED + source
