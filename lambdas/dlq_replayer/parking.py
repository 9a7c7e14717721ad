"""Parks the records that a replay cannot apply: reads each one back from the batch that its reference names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from common.bucket import Bucket, GoneError, UnreadableError
from common.changes import Kind, Parked
from common.histories import CLOCK_REASON
from common.layout import is_parked
from common.prefetch import Prefetch
from common.quarantine import Quarantine
from common.source import Source
from dlq_replayer.batches import FailedBatch, parse
from dlq_replayer.documents import reference_of
from dlq_replayer.progress import Progress

_PREFETCH_THREADS = _PARKED_AT_ONCE = 8
# The texts of the records under way: as objects they may take thirty times that.
_PARKED_BYTES = 1024 * 1024
_MOVED = "it was moved during the replay, before a record of it could be parked"
_OVERWRITTEN = "it was overwritten during the replay, before a record of it could be parked"


class _Whole(NamedTuple):
    """A parked record with the record itself, the size of its text in bytes, and the object that held it if any."""

    parked: Parked
    size: int
    before: Mapping[str, Any] | None


@dataclass(frozen=True)
class Parker:
    bucket: Bucket
    source: Source
    quarantine: Quarantine

    def park(self, parked: Sequence[Parked], progress: Progress) -> None:
        """Store the record of each of `parked`, which hold references, and add names and counts to `progress`.

        Raises ParkError.
        """
        under_way = Prefetch(
            lambda whole: self.quarantine.park_again(whole.parked, whole.before),
            self._whole(parked, progress.missed),
            threads=_PARKED_AT_ONCE,
            room=_PARKED_BYTES,
            weigh=lambda whole: max(whole.size, _PARKED_BYTES // _PARKED_AT_ONCE),
        )
        with closing(under_way):  # no record is stored any more when this ends
            for whole, stored in under_way:
                name, kind = stored.result()
                progress.parked.append(name)
                progress.counts += parked_counts(whole.parked._replace(kind=kind))

    def _whole(self, parked: Sequence[Parked], missed: list[list[str]]) -> Iterator[_Whole]:
        """Read the records back. A source that can no longer be read goes into `missed`, with the problem.

        A thousand records may come from as many batches: a few batches are prefetched, and one record at a time is
        decoded.
        """
        by_source = {source: list(same) for source, same in groupby(sorted(parked, key=_source), key=_source)}
        texts = Prefetch(self.bucket.read_or_settled, by_source, threads=_PREFETCH_THREADS, room=_PREFETCH_THREADS)
        for source, text in texts:
            try:
                batch = self._parse(source, text.result(), by_source[source])
            except GoneError:
                missed.append([source, "" if is_parked(source) else _MOVED])  # a parked record was discarded
                continue
            except UnreadableError as error:
                missed.append([source, str(error)])
                continue
            for one in by_source[source]:
                index = reference_of(one).index
                yield _Whole(one._replace(record=batch.whole(index)), batch.size_of(index), batch.parked)

    def _parse(self, source: str, text: bytes, parked: list[Parked]) -> FailedBatch:
        """Raises UnreadableError, also where the batch no longer holds the records of `parked`."""
        batch = parse(source, text, self.source)
        if max(reference_of(one).index for one in parked) >= len(batch.records):
            raise UnreadableError(_OVERWRITTEN)
        return batch


def parked_counts(parked: Parked) -> Counter[str]:
    """Under the names that the consumer uses: `parked`, its kind unless it is poison, and `clock_tripped`."""
    kinds = () if parked.kind == Kind.POISON else (str(parked.kind),)
    return Counter(("parked", *kinds)) + Counter(clock_tripped=parked.reason == CLOCK_REASON)


def _source(parked: Parked) -> str:
    return reference_of(parked).source
