"""Moves failed batches out of the way, and only those of which every record is accounted for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from common.bucket import Bucket, Move
from common.layout import may_name, part_of, settled_key
from dlq_replayer.notes import read_names
from dlq_replayer.run import Run

_AT_ONCE = 16
_REPLACED = "another object has taken its place while it was replayed"
_Batch = dict[str, Any]


@dataclass(frozen=True)
class Settled:
    """Of one part: how many batches have left, how many stay without being accounted for, and what was replaced."""

    settled: int
    left: int
    problems: list[dict[str, str]]


@dataclass(frozen=True)
class _Named:
    """Batches of a part: the quarantined objects parked again, and what could not be read when a record was to be
    parked, which must stay though it may be back.
    """

    parked: set[str]
    missed: set[str]


def settle_part(bucket: Bucket, run: Run, notes: dict[int, _Batch], manifest_key: str) -> Settled:
    """Move the batches of one manifest of which every record is accounted for by the splits' last notes.

    Interrupted and called again, what has moved already is no longer there and counts as settled.
    """
    manifest, part = bucket.read_json(manifest_key), part_of(manifest_key)
    batches = manifest["batches"]
    drained = {split for split, note in notes.items() if note["runs"].get(part) == manifest["token"]}
    named = _named(bucket, run, notes, batches, part)
    kept = named.parked | named.missed
    covered = [
        batch
        for batch in batches
        if batch["whole"] and drained.issuperset(batch["splits"]) and batch["source"] not in kept
    ]
    moves = (Move(batch["source"], settled_key(batch["source"]), batch["tag"]) for batch in covered)
    problems = [{"source": source, "problem": _REPLACED} for source in bucket.move_all(moves)]
    settled = len(covered) - len(problems)
    return Settled(settled, len(batches) - settled - len(named.parked), problems)


def _named(bucket: Bucket, run: Run, notes: dict[int, _Batch], batches: list[_Batch], part: str) -> _Named:
    """Read a file at a time: the names of all that was parked may be more than memory holds."""
    wanted = {batch["source"] for batch in batches}
    splits = {split for batch in batches for split in batch["splits"]} & notes.keys()
    files = [name for split in splits for name in notes[split]["files"] if may_name(name, split, part)]
    named = _Named(set(), set())

    def look_up(name: str) -> None:
        for parked, missed in read_names(bucket, run, [name]):
            named.parked.update(wanted.intersection(parked))
            named.missed.update(wanted.intersection(source for source, _ in missed))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(look_up, files))
    return named
