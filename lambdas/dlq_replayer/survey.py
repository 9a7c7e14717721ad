"""What a replay would do, without doing it: reads MySQL, writes nothing."""

from __future__ import annotations

from collections import Counter

from dlq_replayer.drain import Drainer
from dlq_replayer.run import Run
from dlq_replayer.splits import line_reader, open_split

_BATCH = 1_000


def survey(drainer: Drainer, run: Run, split: int) -> Counter[str]:
    """Counts of `changes`, `keys`, and `stale` keys, whose newest change in the split is not newer than the row."""
    counts: Counter[str] = Counter()
    newest: dict[str, str] = {}
    for change in open_split(drainer.bucket, run.keys, split, line_reader(drainer.table)).changes:
        counts["changes"] += 1
        if len(newest) >= _BATCH and change.key not in newest:
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
