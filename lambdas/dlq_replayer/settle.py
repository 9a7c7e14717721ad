"""Moves failed batches to `replayed/`, and only those of which every record was applied, found stale or parked."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from common.bucket import Bucket, Move
from common.layout import may_name, part_of, settled_key
from dlq_replayer.documents import CollectedBatch, Manifest, ReplayProblem, SplitResult
from dlq_replayer.progress import read_names
from dlq_replayer.replay import Replay

_AT_ONCE = 16
_REPLACED = "another object replaced it during the replay"


@dataclass(frozen=True)
class SettledPart:
    """How many batches of a part were moved, how many are left, and which were replaced by another object."""

    settled: int
    left: int
    problems: list[ReplayProblem]


@dataclass(frozen=True)
class _Named:
    """The sources that stay: those that were parked again under their own name, and those whose records were missed.

    A missed source may be readable again by now.
    """

    parked: set[str]
    missed: set[str]


def settle_part(bucket: Bucket, replay: Replay, results: Mapping[int, SplitResult], manifest_key: str) -> SettledPart:
    """Move the batches of one manifest that the results of their splits account for.

    A second call counts as settled what the first one has moved.
    """
    manifest: Manifest = bucket.read_json(manifest_key)
    part, batches = part_of(manifest_key), manifest["batches"]
    drained = {split for split, result in results.items() if result["tokens"].get(part) == manifest["token"]}
    named = _named(bucket, replay, results, batches, part)
    stays = named.parked | named.missed
    covered = [
        batch
        for batch in batches
        if batch["whole"] and drained.issuperset(batch["splits"]) and batch["source"] not in stays
    ]
    moves = (Move(batch["source"], settled_key(batch["source"]), batch["tag"]) for batch in covered)
    problems: list[ReplayProblem] = [{"source": source, "problem": _REPLACED} for source in bucket.move_all(moves)]
    settled = len(covered) - len(problems)
    return SettledPart(settled, len(batches) - settled - len(named.parked), problems)


def _named(
    bucket: Bucket, replay: Replay, results: Mapping[int, SplitResult], batches: list[CollectedBatch], part: str
) -> _Named:
    """Look the batches up in the names, a file at a time: all names may be more than memory holds."""
    wanted = {batch["source"] for batch in batches}
    splits = {split for batch in batches for split in batch["splits"]} & results.keys()
    files = [file for split in splits for file in results[split]["files"] if may_name(file, split, part)]
    named = _Named(set(), set())

    def look_up(file: str) -> None:
        for names in read_names(bucket, replay, [file]):
            named.parked.update(wanted.intersection(names["parked"]))
            named.missed.update(wanted.intersection(source for source, _ in names["missed"]))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(look_up, files))
    return named
