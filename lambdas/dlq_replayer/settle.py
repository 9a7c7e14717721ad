"""Moves failed batches out of the way, and only those of which every record is accounted for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dlq_replayer.bucket import REPLAYED, Bucket
from dlq_replayer.collect import POISON
from dlq_replayer.run import Run
from dlq_replayer.splits import part_of


@dataclass(frozen=True)
class Done:
    """The splits that were drained, with the tokens of their runs, the quarantined objects parked again, and what had
    vanished with a record to be parked: put back meanwhile, it must stay.
    """

    splits: dict[int, dict[str, str]]
    parked: frozenset[str]
    vanished: frozenset[str]

    def covers(self, entry: dict[str, Any], part: str, token: str) -> bool:
        """Whether a batch may leave: whole, its own runs drained in every split it takes part in, not parked again."""
        drained = all(self.splits.get(split, {}).get(part) == token for split in entry["splits"])
        return entry["whole"] and drained and entry["source"] not in self.parked | self.vanished


def read_done(bucket: Bucket, run: Run) -> Done:
    splits, parked, vanished = {}, set(), set()
    for key, _ in bucket.list(f"{run.prefix}done/"):
        name, note = key.rpartition("/")[2].removesuffix(".json"), bucket.read_json(key)
        splits[POISON if name == "poison" else int(name)] = note["runs"]
        parked.update(note["parked"])
        vanished.update(note["vanished"])
    return Done(splits, frozenset(parked), frozenset(vanished))


def settle_part(bucket: Bucket, done: Done, manifest_key: str) -> tuple[int, int]:
    """Move what one manifest lists and `done` covers; (batches settled, batches left without being accounted for).

    Interrupted and called again, what has moved already is no longer there and counts as settled.
    """
    manifest, part = bucket.read_json(manifest_key), part_of(manifest_key)
    batches = manifest["batches"]
    settled = [batch["source"] for batch in batches if done.covers(batch, part, manifest["token"])]
    bucket.move_all((source, target_of(source)) for source in settled)
    parked_again = sum(batch["source"] in done.parked for batch in batches)
    return len(settled), len(batches) - len(settled) - parked_again


def target_of(source: str) -> str:
    return REPLAYED + source
