"""Prefetched work is in order and bounded, and nothing is left behind."""

from __future__ import annotations

import concurrent.futures.thread
import gc
import threading

import pytest

from common.prefetch import Prefetch


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("room", [0, 1, 3, 100])
def test_results_have_the_order_of_their_items(threads: int, room: int):
    found = [(n, future.result()) for n, future in Prefetch(str, range(20), threads=threads, room=room)]
    assert found == [(n, str(n)) for n in range(20)]


def test_no_work_starts_without_room():
    """The items under way weigh at most `room` and one item more."""
    weights = [1, 1, 1, 9, 1, 1, 2, 2, 2, 2]
    under_way: list[int] = []
    most = []

    def items():
        for weight in weights:
            assert sum(under_way) <= 3
            under_way.append(weight)
            most.append(sum(under_way))
            yield weight

    for weight, _ in Prefetch(str, items(), threads=1, room=3, weigh=lambda weight: weight):
        assert under_way.pop(0) == weight
    assert max(most) == 3 + 9


def test_an_error_takes_the_place_of_its_result():
    results = iter(Prefetch(lambda n: 1 // n, [2, 0, 1], threads=2, room=5))
    assert next(results)[1].result() == 0
    with pytest.raises(ZeroDivisionError):
        next(results)[1].result()
    assert next(results)[1].result() == 1


def test_closing_waits_for_the_items_that_were_started():
    taken, done = [], []
    gate = threading.Event()

    def items():
        for n in range(100):
            taken.append(n)
            yield n

    def work(n: int) -> None:
        gate.wait(10)
        done.append(n)

    results = Prefetch(work, items(), threads=2, room=2)
    next(iter(results))
    assert taken == [0, 1, 2]
    gate.set()
    results.close()
    assert sorted(done) == taken


def test_one_that_is_dropped_waits_for_nothing():
    """Python's collector may drop it anywhere, also where a thread is started and a pool cannot be shut down."""
    gate, done, dropped = threading.Event(), threading.Event(), threading.Event()
    taken = [iter(Prefetch(lambda _: gate.wait(10) and done.set(), range(3), threads=1, room=1))]
    next(taken[0])

    def drop() -> None:
        taken.clear()
        gc.collect()
        dropped.set()

    lock = concurrent.futures.thread._global_shutdown_lock  # noqa: SLF001  a pool takes it to submit and to shut down
    with lock:
        threading.Thread(target=drop, daemon=True).start()
        assert dropped.wait(5)
    assert not done.is_set()
    gate.set()
    assert done.wait(10)
