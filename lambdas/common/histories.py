"""The changes of each key in the order of their versions, and what the stream's clock contradicts. Pure.

AWS does not document that the sequence numbers of an item grow across a shard split. So a change that is older by
version but later by the clock is not skipped as stale: it is parked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from common.changes import Change, Mark, Parked
from common.database import Outcome, StoredVersion

# The distinct versions of one key, oldest first.
History = list[Change]

# The stream's clock has steps of one second: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_StreamRecord.html
CLOCK_SLACK_SECONDS = 2
CLOCK_REASON = "older by version than what was applied, yet later by the stream's clock"
_CLOCK_HINT = "compare the item with its row; if the row is wrong, touch the item so that a new version is written"


class Coalesced(NamedTuple):
    """`histories` in key order, `repeats` of a version, and the changes that the clock contradicts."""

    histories: list[History]
    repeats: int
    contradicted: list[Change]


def coalesce(changes: Iterable[Change]) -> Coalesced:
    """The history of each key. Writers that lock keys in one order never deadlock."""
    changes = list(changes)
    if len({change.key for change in changes}) == len(changes):  # nearly every batch
        return Coalesced([[change] for change in sorted(changes, key=itemgetter(0))], 0, [])
    histories: list[History] = []
    all_contradicted: list[Change] = []
    repeats = 0
    ordered = sorted(changes, key=itemgetter(0, 1))  # key, version
    for _, same_key in groupby(ordered, key=itemgetter(0)):
        given = list(same_key)
        if len(given) == 1:
            histories.append(given)
            continue
        distinct = list({change.version: change for change in given}.values())
        repeats += len(given) - len(distinct)
        contradicted = _contradicted(distinct)
        all_contradicted += contradicted
        histories.append([change for change in distinct if change not in contradicted])
    return Coalesced(histories, repeats, all_contradicted)


def newest(history: History) -> Change:
    """The last change. `created` is that of the first change. A seed's echo is one only among its like."""
    last = history[-1]
    if last.mark is Mark.SEEDED and any(change.mark is not Mark.SEEDED for change in history):
        last = last._replace(mark=Mark.LIVE)
    return last if last.created == history[0].created else last._replace(created=history[0].created)


def layers(histories: Iterable[Sequence[Change]]) -> Iterator[list[Change]]:
    """The first change of every key, then the second of those that have one, and so on."""
    histories = list(histories)
    for i in range(max(map(len, histories), default=0)):
        yield [history[i] for history in histories if i < len(history)]


def count_loser(change: Change, stored: StoredVersion, outcome: Outcome) -> None:
    """Count or park a change that is not newer than the stored version: redelivered, stale, or contradicted."""
    if stored.version == change.version:
        outcome.counts["redelivered"] += 1
    elif is_later(change.source_time, stored.source_time):
        outcome.parked.append(tripped(change))
    else:
        outcome.counts["stale"] += 1


def is_later(source_time: int, than: int) -> bool:
    """Whether one time of the stream's clock is later than another by more than the clock's resolution."""
    return source_time > than + CLOCK_SLACK_SECONDS


def tripped(change: Change) -> Parked:
    """The change as a record to park, because the clock contradicts its version."""
    return Parked(change.key, change.version, CLOCK_REASON, _CLOCK_HINT, None, change.record)


def _contradicted(changes: History) -> list[Change]:
    """The changes that are later by the clock than a change with a newer version."""
    earliest, found = changes[-1].source_time, []
    for change in reversed(changes):
        if is_later(change.source_time, earliest):
            found.append(change)
        earliest = min(earliest, change.source_time)
    return found
