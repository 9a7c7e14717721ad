"""Work that is started before its result is needed: a step spends most of its time waiting for AWS and MySQL."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Prefetch(Generic[T, R]):
    """Iterates over the items, each with the future of `work(item)`, in order.

    `work` on an item starts only when the items before it that are not taken yet weigh at most `room`. Close it, with
    `contextlib.closing`, to wait for the work that was started; its results are dropped.

    One that is dropped instead waits for nothing, and what was started ends on its own. So this is not a generator
    around `with ThreadPoolExecutor`: Python's collector closes an abandoned generator in the middle of any code, also
    where the starting of a thread holds the lock that the end of a pool needs. The process would hang.
    """

    def __init__(
        self,
        work: Callable[[T], R],
        items: Iterable[T],
        *,
        threads: int,
        room: int,
        weigh: Callable[[T], int] = lambda _: 1,
    ) -> None:
        self._work, self._items, self._room, self._weigh = work, items, room, weigh
        self._pool = ThreadPoolExecutor(threads)

    def __iter__(self) -> Iterator[tuple[T, Future[R]]]:
        pending: deque[tuple[T, Future[R]]] = deque()
        weight = 0
        for item in self._items:
            pending.append((item, self._pool.submit(self._work, item)))
            weight += self._weigh(item)
            while weight > self._room:
                weight -= self._weigh(pending[0][0])
                yield pending.popleft()
        while pending:
            yield pending.popleft()

    def close(self) -> None:
        self._pool.shutdown()
