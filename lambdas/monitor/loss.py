"""How long it takes until a change is lost."""

from __future__ import annotations

from datetime import datetime, timedelta

from monitor.stream import RETENTION


def pointer_left(arrived: datetime, now: datetime) -> timedelta:
    """The time until the stream forgets the first record of a pointer; negative once it has."""
    return arrived + RETENTION - now


def hours_until_loss(unread: timedelta, pointer: timedelta | None) -> float:
    """The hours until the first change that is not in MySQL is lost for good; 24 where nothing is behind.

    - A change in the stream is lost 24 hours after it was made. `unread` is the greatest age of one that waits there.
    - A batch in the bucket is never lost.
    - A pointer in the queue is lost 24 hours after its first record was made. `pointer` is what is left of them; None
      without a pointer.
    - What is lost already does not count: a replay finds it, and a verification repairs it.

    The result is from 0 to 24.
    """
    left = [RETENTION - unread, *([] if pointer is None else [pointer])]
    return max(min(left), timedelta()) / timedelta(hours=1)
