"""What a dry run counts: reads MySQL, writes nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from common.changes import Change, Mark
from common.database import StoredVersion
from common.mapping import Action, Mapping
from dlq_replayer.drain import Drainer
from dlq_replayer.replay import Replay
from dlq_replayer.splits import open_split, segment_format

_CHUNK = 1_000


def survey(drainer: Drainer, replay: Replay, split: int) -> Counter[str]:
    """Counts of `changes`, of `keys`, and of `stale` keys: MySQL has their newest change, or a newer one."""
    counts: Counter[str] = Counter()
    newest: dict[str, _Newest] = {}
    for change in open_split(drainer.bucket, replay.keys, split, segment_format(drainer.mapping)).changes:
        counts["changes"] += 1
        if len(newest) >= _CHUNK and change.key not in newest:
            counts += _compare(drainer, newest)
            newest = {}
        versions = newest.setdefault(change.key, _Newest())
        if change.row is None and _leaves_the_row(drainer.mapping, change):
            versions.kept[change.mark] = change.version
        else:
            versions.applied = change.version
    return counts + _compare(drainer, newest)


@dataclass
class _Newest:
    """The newest versions of a key: of the changes to apply, and of each kind of removal that leaves the row."""

    applied: str = ""
    kept: dict[Mark, str] = field(default_factory=dict)

    def is_stale(self, stored: StoredVersion | None) -> bool:
        if stored is None:
            return False
        return stored.version >= self.applied and all(
            max(stored.version, stored.kept(mark)) >= version for mark, version in self.kept.items()
        )


def _leaves_the_row(mapping: Mapping, change: Change) -> bool:
    return mapping.entities[change.entity].removal(change.mark).action is not Action.DELETE


def _compare(drainer: Drainer, newest: dict[str, _Newest]) -> Counter[str]:
    if not newest:
        return Counter()
    stored = drainer.database.versions(newest)
    stale = sum(versions.is_stale(stored.get(key)) for key, versions in newest.items())
    return Counter(keys=len(newest), stale=stale)
