"""Lists what has failed, and cuts its changes into splits. Nothing moves yet."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from common.changes import Change, Parked, Record, reader, source_time
from common.mapping import Table
from common.quarantine import PREFIX as QUARANTINE
from common.source import Source
from dlq_replayer.ahead import ahead
from dlq_replayer.batches import FailedBatch, UnreadableError, parse_lean, parse_parked
from dlq_replayer.bucket import FAILED, Bucket, GoneError
from dlq_replayer.run import Run
from dlq_replayer.splits import Line, run_files, split_of, to_line

# What one call takes. Of a record's text only its row is held. A part's batches are settled, and its poison is parked,
# one by one, in a call's last minute.
_PART_RECORDS = 60_000
_PART_BATCHES = 10_000
_PART_BYTES = 72 * 1024 * 1024
_PART_POISON = 1_000
# Batches are read while others are taken apart: sixteen small ones at once, of large ones fewer.
_READERS = 16
_AHEAD_BYTES = 32 * 1024 * 1024
# An event is at most 6 MB, its escapes at most double it: what is larger than this would only fill the memory.
_LARGEST_BATCH = 32 * 1024 * 1024
_SPLIT_BYTES = 8 * 1024 * 1024
_MOST_SPLITS = 2_000
# The pseudo-split of records that no change could be made of.
POISON = -1


class Listed(NamedTuple):
    """An object that was listed: the cursor behind it, its key and its size in bytes."""

    at: dict[str, Any]
    key: str
    size: int


@dataclass
class Part:
    """What one call has collected. A manifest entry tells what must be done before its batch is settled."""

    lines: list[Line] = field(default_factory=list)
    manifest: list[dict[str, Any]] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)
    problems: list[dict[str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    size: int = 0

    @property
    def full(self) -> bool:
        return (
            self.counts["records"] >= _PART_RECORDS
            or self.counts["batches"] >= _PART_BATCHES
            or self.size >= _PART_BYTES
            or len(self.parked) >= _PART_POISON
        )


@dataclass
class SortedOut:
    """Of one batch: how many records were taken, their lines, why some are skipped, the splits that it takes part in,
    and its poison, which as lines do only tells where its record is.
    """

    records: int = 0
    lines: list[Line] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    splits: set[int] = field(default_factory=set)
    poison: list[Parked] = field(default_factory=list)


@dataclass(frozen=True)
class Collector:
    bucket: Bucket
    table: Table
    source: Source
    mirror_ttl_deletes: bool = False

    def anything(self, run: Run) -> bool:
        """Whether there is any object to collect; S3 answers with what is there at this moment."""
        return any(True for prefix in _prefixes(run) for _ in self.bucket.list(prefix))

    def splits_needed(self, run: Run, workers: int) -> int:
        """A split is bounded in size, not the backlog: the more has failed, the more splits."""
        total = sum(size for prefix in _prefixes(run) for _, size in self.bucket.list(prefix))
        return min(max(workers, -(-total // _SPLIT_BYTES)), _MOST_SPLITS)

    def collect(
        self, run: Run, cursor: dict[str, Any], splits: int, batches_left: int, out_of_time: Callable[[], bool]
    ) -> tuple[Part, dict[str, Any] | None]:
        """One part of the backlog from `cursor` on, and the cursor behind it, None at the end."""
        part = Part()
        at = dict(cursor)
        listed = self._failed(run, cursor)
        with closing(ahead(self._read, listed, threads=_READERS, room=_AHEAD_BYTES, weigh=weight)) as objects:
            for found, text in objects:
                if part.counts["batches"] >= batches_left:
                    return part, None
                at = found.at
                self._take(run, found, text, splits, part)
                if part.full or out_of_time():
                    return part, at
        return part, None

    def _failed(self, run: Run, cursor: dict[str, Any]) -> Iterator[Listed]:
        prefixes = _prefixes(run)
        for number in range(cursor["prefix"], len(prefixes)):
            after = cursor["after"] if number == cursor["prefix"] else ""
            for key, size in self.bucket.list(prefixes[number], after):
                yield Listed({"prefix": number, "after": key}, key, size)

    def _take(self, run: Run, found: Listed, text: Future[bytes], splits: int, part: Part) -> None:
        part.size += found.size
        try:
            batch = parse(found.key, text.result(), self.source)
            pointer = batch.pointer
            if pointer and pointer.shard not in run.input.get("shards", [pointer.shard]):
                return
            sorted_out = self._sort_out(self._chosen(run, batch.records), found.key, splits)
        except GoneError:
            return  # settled by another replay since it was listed
        except UnreadableError as error:
            part.problems.append({"source": found.key, "problem": str(error)})
            return
        if not sorted_out.records and "keys" in run.input:
            return
        if batch.suspect:
            part.problems.append({"source": found.key, "problem": batch.suspect})
        part.lines += sorted_out.lines
        part.counts += sorted_out.skipped
        part.parked += sorted_out.poison
        part.manifest.append(
            {
                "source": found.key,
                "records": len(batch.records),
                "whole": sorted_out.records == len(batch.records) and not batch.suspect,
                "splits": sorted(sorted_out.splits),
                "failed_at": pointer.failed_at if pointer else "",
                "first_arrival": pointer.first_arrival if pointer else "",
                "last_arrival": pointer.last_arrival if pointer else "",
            }
        )
        part.counts["batches"] += 1
        part.counts["records"] += sorted_out.records

    def _read(self, found: Listed) -> bytes:
        if found.size > _LARGEST_BATCH:
            raise UnreadableError("it is larger than any failed batch")
        return self.bucket.read(found.key)

    def _chosen(self, run: Run, records: Sequence[Record]) -> Iterable[tuple[int, Record]]:
        """With their place in the batch: all records, or those of the keys that were asked for."""
        if "keys" not in run.input:
            return enumerate(records)
        keys = frozenset(run.input["keys"])
        return ((i, record) for i, record in enumerate(records) if self._key(record) in keys)

    def _key(self, record: Record) -> str | None:
        try:
            key = record["dynamodb"]["Keys"][self.table.key.attribute]["S"]
        except (KeyError, TypeError):
            return None
        return key if isinstance(key, str) else None

    def _sort_out(self, chosen: Iterable[tuple[int, Record]], source: str, splits: int) -> SortedOut:
        """Raises UnreadableError."""
        read = reader(self.table, mirror_ttl_deletes=self.mirror_ttl_deletes, source=self.source)
        done = SortedOut()
        for index, record in chosen:
            result = read(record)
            done.records += 1
            if isinstance(result, Change):
                done.lines.append(to_line(result, source, index))
                done.splits.add(split_of(result.key, splits))
            elif isinstance(result, Parked):
                where = {"source": source, "index": index, "time": source_time(record)}
                done.poison.append(result._replace(record=where))
                done.splits.add(POISON)
            else:
                done.skipped[result] += 1
        return done


def weight(found: Listed) -> int:
    """As many small objects as there are readers, and of large ones what there is memory for."""
    return max(found.size, _AHEAD_BYTES // _READERS)


def parse(key: str, text: bytes, source: Source) -> FailedBatch:
    """What `text`, a failed batch or a quarantined record, holds. Raises UnreadableError."""
    return parse_parked(text) if key.startswith(QUARANTINE) else parse_lean(text, source)


def _prefixes(run: Run) -> list[str]:
    prefixes = [FAILED]
    if run.dry:
        prefixes.append(f"{run.prefix}hydrated/")
    if run.input.get("include_quarantine"):
        prefixes.append(QUARANTINE)
    return prefixes


def write(bucket: Bucket, run: Run, part: Part, number: int, splits: int) -> None:
    """Everything of a part under the run's prefix, what settles its batches last.

    Written again by a second call, the part may hold other batches, as more have failed meanwhile; the token tells the
    two apart, should the first one still be at work.
    """
    token = secrets.token_hex(8)
    bucket.write_all(run_files(part.lines, run.prefix, number, splits, token))
    poison = {"token": token, "parked": [parked._asdict() for parked in part.parked]}
    bucket.write_json(f"{run.prefix}poison/{number:06d}.json", poison)
    bucket.write_json(f"{run.prefix}problems/collect-{number:06d}.json", part.problems)
    bucket.write_json(f"{run.prefix}manifest/{number:06d}.json", {"token": token, "batches": part.manifest})
