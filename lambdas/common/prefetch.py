"""Work that is started before its result is needed: a step spends most of its time waiting for AWS and MySQL."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def prefetch(
    work: Callable[[T], R], items: Iterable[T], *, threads: int, room: int, weigh: Callable[[T], int] = lambda _: 1
) -> Generator[tuple[T, Future[R]]]:
    """Yield each item with the future of `work(item)`, in order.

    `work` on an item starts only when the items before it that are not yielded yet weigh at most `room`.
    Closing the generator early waits for the work under way and drops its results.
    """
    pending: deque[tuple[T, Future[R]]] = deque()
    weight = 0
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            pending.append((item, pool.submit(work, item)))
            weight += weigh(item)
            while weight > room:
                weight -= weigh(pending[0][0])
                yield pending.popleft()
        yield from pending
