"""What a dry run counts: reads MySQL, writes nothing."""

from __future__ import annotations

from collections import Counter

from dlq_replayer.drain import Drainer
from dlq_replayer.replay import Replay
from dlq_replayer.splits import open_split, segment_format

_CHUNK = 1_000


def survey(drainer: Drainer, replay: Replay, split: int) -> Counter[str]:
    """Counts of `changes`, of `keys`, and of `stale` keys: MySQL has their newest change, or a newer one."""
    counts: Counter[str] = Counter()
    newest: dict[str, str] = {}
    for change in open_split(drainer.bucket, replay.keys, split, segment_format(drainer.mapping)).changes:
        counts["changes"] += 1
        if len(newest) >= _CHUNK and change.key not in newest:
            counts += _compare(drainer, newest)
            newest = {}
        newest[change.key] = change.version
    return counts + _compare(drainer, newest)


def _compare(drainer: Drainer, newest: dict[str, str]) -> Counter[str]:
    if not newest:
        return Counter()
    stored = drainer.database.versions(newest)
    stale = sum(key in stored and stored[key].version >= version for key, version in newest.items())
    return Counter(keys=len(newest), stale=stale)
