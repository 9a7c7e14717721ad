"""Lists what has failed, and cuts its changes into splits. Nothing moves yet."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from common.bucket import Bucket, Entry, GoneError, UnreadableError
from common.changes import Change, Parked, Record, reader, source_time
from common.layout import DEFERRED, FAILED, QUARANTINE, UNREADABLE, is_parked, part_label
from common.mapping import Table
from common.source import Source
from dlq_replayer.ahead import ahead
from dlq_replayer.batches import FailedBatch, parse_lean, parse_parked
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


_START: dict[str, Any] = {"prefix": 0, "after": ""}
_PAGE = 1_000  # of a listing


class Backlog(NamedTuple):
    """What has failed, as far as it has been listed: bytes of all objects; how many failed batches of how long ago."""

    cursor: dict[str, Any] | None = None
    size: int = 0
    batches: int = 0
    oldest: str = ""  # time at which the oldest batch failed

    def plus(self, at: dict[str, Any], entry: Entry) -> Backlog:
        size = self.size + entry.size
        if not entry.key.startswith(FAILED):
            return self._replace(cursor=at, size=size)
        written = entry.modified.astimezone(UTC).isoformat(timespec="seconds")
        return Backlog(at, size, self.batches + 1, min(written, self.oldest or written))

    def splits(self, workers: int) -> int:
        """A split is bounded in size, not the backlog: the more has failed, the more splits.

        Where nothing but parked records is there, as few as there can be: unique values that move from one key to
        another are written together, if `apply()` is given these keys together.
        """
        least = workers if self.batches else 1
        return min(max(least, -(-self.size // _SPLIT_BYTES)), _MOST_SPLITS)

    def seconds(self, now: datetime) -> float:
        """The age of the oldest batch."""
        return (now - datetime.fromisoformat(self.oldest)).total_seconds() if self.oldest else 0.0


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
            or len(self.problems) >= _PART_BATCHES
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

    def measure(self, run: Run, sofar: Backlog, out_of_time: Callable[[], bool]) -> Backlog:
        """How much has failed, from `sofar` on: `cursor` is None when all has been listed.

        Ten million small batches are ten thousand pages, more than a call has time for.
        """
        measured = sofar
        for seen, (at, entry) in enumerate(self._listed(run, sofar.cursor or _START), start=1):
            measured = measured.plus(at, entry)
            if seen % _PAGE == 0 and out_of_time():
                return measured
        return measured._replace(cursor=None)

    def waiting(self, out_of_time: Callable[[], bool]) -> Backlog:
        """Failed batches that are there now; at least so many, where time runs out."""
        return self.measure(Run("", "", "", {}), Backlog(), out_of_time)

    def collect(
        self, run: Run, cursor: dict[str, Any], splits: int, batches_left: int, out_of_time: Callable[[], bool]
    ) -> tuple[Part, dict[str, Any] | None]:
        """One part of the backlog from `cursor` on, and the cursor behind it, None at the end."""
        part = Part()
        at = dict(cursor)
        listed = self._failed(run, cursor)
        with closing(ahead(self._read, listed, threads=_READERS, room=_AHEAD_BYTES, weigh=weight)) as objects:
            for found, content in objects:
                if part.counts["batches"] >= batches_left:
                    return part, None
                at = found.at
                self._take(run, found, content, splits, part)
                if part.full or out_of_time():
                    return part, at
        return part, None

    def _failed(self, run: Run, cursor: dict[str, Any]) -> Iterator[Listed]:
        return (Listed(at, entry.key, entry.size) for at, entry in self._listed(run, cursor))

    def _listed(self, run: Run, cursor: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Entry]]:
        """With the cursor behind each object."""
        prefixes = _prefixes(run)
        for number in range(cursor["prefix"], len(prefixes)):
            after = cursor["after"] if number == cursor["prefix"] else ""
            for entry in self.bucket.entries(prefixes[number], after):
                yield {"prefix": number, "after": entry.key}, entry

    def _take(self, run: Run, found: Listed, content: Future[tuple[bytes, str]], splits: int, part: Part) -> None:
        part.size += found.size
        try:
            text, tag = content.result()
            batch = parse(found.key, text, self.source)
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
                "tag": tag,
                "records": len(batch.records),
                "whole": sorted_out.records == len(batch.records) and not batch.suspect,
                "splits": sorted(sorted_out.splits),
                "failed_at": pointer.failed_at if pointer else "",
                "first_arrival": pointer.first_arrival if pointer else "",
                "last_arrival": pointer.last_arrival if pointer else "",
            }
        )
        part.counts["batches"] += 1
        part.counts["tried_again"] += found.key.startswith(DEFERRED)
        part.counts["records"] += sorted_out.records

    def _read(self, found: Listed) -> tuple[bytes, str]:
        if found.size > _LARGEST_BATCH:
            raise UnreadableError("it is larger than any failed batch")
        return self.bucket.read_tagged(found.key)

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
                done.splits.add(UNREADABLE)
            else:
                done.skipped[result] += 1
        return done


def weight(found: Listed) -> int:
    """As many small objects as there are readers, and of large ones what there is memory for."""
    return max(found.size, _AHEAD_BYTES // _READERS)


def parse(key: str, text: bytes, source: Source) -> FailedBatch:
    """What `text`, a failed batch or a parked record, holds. Raises UnreadableError."""
    return parse_parked(text) if is_parked(key) else parse_lean(text, source)


def _prefixes(run: Run) -> list[str]:
    prefixes = [FAILED]
    if run.dry:
        prefixes.append(run.keys.hydrated)
    if run.input.get("include_quarantine"):
        prefixes.append(QUARANTINE)
    return [*prefixes, DEFERRED]


def write(bucket: Bucket, run: Run, part: Part, number: int, splits: int) -> None:
    """Everything of a part under the replay's prefix, what settles its batches last.

    Written again by a second call, the part may hold other batches, as more have failed meanwhile; the token tells the
    two apart, should the first one still be at work.
    """
    token, label = secrets.token_hex(8), part_label(number)
    bucket.write_all(run_files(part.lines, run.keys, label, splits, token))
    poison = {"token": token, "parked": [parked._asdict() for parked in part.parked]}
    bucket.write_json(run.keys.unreadable(label), poison)
    bucket.write_json(run.keys.collect_problems(label), part.problems)
    bucket.write_json(run.keys.manifest(label), {"token": token, "batches": part.manifest})
