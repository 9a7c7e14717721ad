"""Work done ahead of where its results are used: most of a replay's time goes into waiting for S3 and MySQL."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(
    work: Callable[[T], R], items: Iterable[T], *, threads: int, room: int, weigh: Callable[[T], int] = lambda _: 1
) -> Generator[tuple[T, Future[R]]]:
    """Each item with what `work` makes of it, in order; none is begun while those ahead of it weigh more than `room`.

    Closed early, it waits for what is under way and drops it.
    """
    under_way: deque[tuple[T, Future[R]]] = deque()
    weight = 0
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            under_way.append((item, pool.submit(work, item)))
            weight += weigh(item)
            while weight > room:
                weight -= weigh(under_way[0][0])
                yield under_way.popleft()
        yield from under_way
