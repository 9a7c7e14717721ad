"""Collects what has failed: its changes go into the splits, in parts. Nothing moves yet."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Container
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from common.bucket import Bucket, GoneError, UnreadableError
from common.changes import Change, Parked, Record, Reference
from common.layout import DEFERRED, PARKED, UNREADABLE, discarded_key, parked_key, part_label
from common.mapping import Mapping
from common.prefetch import Prefetch
from common.records import Single, classifier
from common.source import Source
from common.stream_clock import source_time
from dlq_replayer.backlog import list_backlog, prefixes_of
from dlq_replayer.batches import FailedBatch, parse
from dlq_replayer.documents import CollectedBatch, Manifest, ReplayProblem, UnreadableRecords, to_json
from dlq_replayer.replay import Replay
from dlq_replayer.splits import Line, cut, segment_format, split_of, to_line

# The bounds of a part, which one call collects. The batches of a part are settled, and its unreadable records are
# parked, in the last minute of a call.
_PART_RECORDS = 60_000
_PART_BATCHES = 10_000
_PART_BYTES = 72 * 1024 * 1024
_PART_UNREADABLE = 1_000
# Batches are read while others are decoded: sixteen small ones at once, fewer large ones.
_PREFETCH_THREADS = 16
_PREFETCH_BYTES = 32 * 1024 * 1024
# An event has at most 6 MB, twice that when it is escaped. Anything larger would only fill the memory.
_LARGEST_BATCH = 32 * 1024 * 1024


class FailedObject(NamedTuple):
    """An object of the backlog; `size` is in bytes."""

    key: str
    size: int


@dataclass
class BatchSummary:
    """What was collected of one batch. `records` counts its records that were asked for.

    `skipped` counts records by the reason why they need no change. `unreadable` holds references. A record may have
    several changes, and be unreadable as well.
    """

    records: int = 0
    lines: list[Line] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    splits: set[int] = field(default_factory=set)
    unreadable: list[Parked] = field(default_factory=list)


@dataclass
class Part:
    """What one call has collected. Of a record it holds only the row, in a line."""

    lines: list[Line] = field(default_factory=list)
    batches: list[CollectedBatch] = field(default_factory=list)
    unreadable: list[Parked] = field(default_factory=list)
    problems: list[ReplayProblem] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    size: int = 0

    @property
    def is_full(self) -> bool:
        return (
            self.counts["records"] >= _PART_RECORDS
            or len(self.lines) >= _PART_RECORDS  # a record may have a change for each of several entities
            or self.counts["batches"] >= _PART_BATCHES
            or self.size >= _PART_BYTES
            or len(self.unreadable) >= _PART_UNREADABLE
            or len(self.problems) >= _PART_BATCHES
        )

    def add(self, key: str, tag: str, batch: FailedBatch, summary: BatchSummary) -> None:
        if batch.suspect:
            self.problems.append({"source": key, "problem": batch.suspect})
        self.lines += summary.lines
        self.counts += summary.skipped
        self.unreadable += summary.unreadable
        pointer = batch.pointer
        self.batches.append(
            {
                "source": key,
                "tag": tag,
                "records": len(batch.records),
                "whole": summary.records == len(batch.records) and not batch.suspect,
                "splits": sorted(summary.splits),
                "failed_at": pointer.failed_at if pointer else "",
                "first_arrival": pointer.first_arrival if pointer else "",
                "last_arrival": pointer.last_arrival if pointer else "",
            }
        )
        self.counts["batches"] += 1
        self.counts["tried_again"] += key.startswith(DEFERRED)
        self.counts["records"] += summary.records


@dataclass(frozen=True)
class Collector:
    bucket: Bucket
    mapping: Mapping
    source: Source

    def collect(
        self, replay: Replay, cursor: str, splits: int, batches_left: int, out_of_time: Callable[[], bool]
    ) -> tuple[Part, str | None]:
        """The part of the backlog after the key `cursor`, and the cursor for the next part, None at the end."""
        part = Part()
        last = cursor
        listed = (FailedObject(e.key, e.size) for e in list_backlog(self.bucket, prefixes_of(replay), cursor))
        under_way = Prefetch(self._read, listed, threads=_PREFETCH_THREADS, room=_PREFETCH_BYTES, weigh=weight)
        with closing(under_way) as objects:
            for found, content in objects:
                if part.counts["batches"] >= batches_left:
                    return part, None
                last = found.key
                self._take(replay, found, content, splits, part)
                if part.is_full or out_of_time():
                    return part, last
        return part, None

    def _read(self, found: FailedObject) -> tuple[bytes, str]:
        if found.size > _LARGEST_BATCH:
            raise UnreadableError("it is larger than any failed batch")
        return self.bucket.read_tagged(found.key)

    def _take(
        self, replay: Replay, found: FailedObject, content: Future[tuple[bytes, str]], splits: int, part: Part
    ) -> None:
        part.size += found.size
        try:
            text, tag = content.result()
            batch = parse(found.key, text, self.source, old_images=self.mapping.reads_old_images)
            if batch.pointer and batch.pointer.shard not in replay.input.get("shards", [batch.pointer.shard]):
                return
            summary = self._summarise(batch, found.key, splits, _wanted_keys(replay))
        except GoneError:
            return  # another replay has settled it since it was listed
        except UnreadableError as error:
            part.problems.append({"source": found.key, "problem": str(error)})
            return
        if summary.records or "keys" not in replay.input:
            part.add(found.key, tag, batch, summary)

    def _summarise(self, batch: FailedBatch, source: str, splits: int, wanted: Container[str] | None) -> BatchSummary:
        """The summary of all records, or of those that concern a key of `wanted`. Raises UnreadableError."""
        summary, entities = BatchSummary(), len(self.mapping.entities)
        classify = classifier(self.mapping, source=self.source)
        for index, outcome in enumerate(classify(batch.records)):
            outcomes = outcome if isinstance(outcome, list) else (outcome,)
            if wanted is not None and not any(_key_of(one) in wanted for one in outcomes):
                continue
            summary.records += 1
            if batch.parked and len(outcomes) > 1:
                outcomes = [one for one in outcomes if not self._is_parked_by_itself(one, source)]
            for one in outcomes:
                if isinstance(one, Change):
                    summary.lines.append(to_line(one, source, index))
                    summary.splits.add(split_of(one.key, one.entity, splits, entities))
                elif isinstance(one, Parked):
                    # No row supersedes a record whose key fits none.
                    time = source_time(cast(Record, one.record)) if classify.can_have_row(one) else None
                    summary.unreadable.append(one._replace(record=Reference(source, index, time)))
                    summary.splits.add(UNREADABLE)
                else:
                    summary.skipped[one] += 1
        return summary

    def _is_parked_by_itself(self, outcome: Single, source: str) -> bool:
        """Whether the outcome for one entity of a parked record has an object of its own, or one that was discarded.

        That object tells when the outcome is tried again: a quarantined one waits for a person.
        """
        if isinstance(outcome, str) or not (outcome.key and outcome.version):
            return False
        names = [parked_key(prefix, outcome.key, outcome.version, "") for prefix in PARKED]
        if source in names:
            return False
        return any(True for name in (*names, discarded_key(names[0])) for _ in self.bucket.list(name))

    def take_unmapped_attributes(self) -> list[str]:
        """`<entity>.<attribute>` of each attribute that no column takes, if it was not taken before."""
        return classifier(self.mapping, source=self.source).take_unmapped_attributes()

    def write(self, replay: Replay, part: Part, number: int, splits: int) -> None:
        """Write a part under the keys of the replay, its manifest last.

        A second call may write other batches under the same number, as more have failed since. A random token tells the
        two apart if the first call still runs.
        """
        keys, token, label = replay.keys, secrets.token_hex(8), part_label(number)
        form = segment_format(self.mapping)
        self.bucket.write_all(
            (keys.segment(split, label), form.encode(lines, token))
            for split, lines in cut(part.lines, splits, len(self.mapping.entities))
        )
        unreadable: UnreadableRecords = {"token": token, "parked": [to_json(parked) for parked in part.unreadable]}
        self.bucket.write_json(keys.unreadable(label), unreadable)
        self.bucket.write_json(keys.collect_problems(label), part.problems)
        manifest: Manifest = {"token": token, "batches": part.batches}
        self.bucket.write_json(keys.manifest(label), manifest)


def _wanted_keys(replay: Replay) -> Container[str] | None:
    """None for all."""
    return frozenset(replay.input["keys"]) if "keys" in replay.input else None


def _key_of(outcome: Single) -> str | None:
    return None if isinstance(outcome, str) else outcome.key


def weight(found: FailedObject) -> int:
    """Limits the prefetch to one small object per thread, and to as many large ones as the memory allows."""
    return max(found.size, _PREFETCH_BYTES // _PREFETCH_THREADS)
