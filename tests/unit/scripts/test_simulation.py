"""The simulator makes the same changes for the same seed, and only possible ones."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from scripts.local_stack.__main__ import _mix
from scripts.local_stack.simulation import Operation, Pace, Simulation, run


def first(simulation: Simulation, count: int = 500) -> list[Operation]:
    return list(itertools.islice(simulation, count))


class RecordingClient:
    """An order client that keeps what it is sent and refuses one operation."""

    def __init__(self, refuse: int | None = None) -> None:
        self.sent: list[Operation] = []
        self.refuse = refuse

    def send(self, operation: Operation) -> None:
        if operation.number == self.refuse:
            raise ValueError("refused")
        self.sent.append(operation)


def test_the_same_seed_makes_the_same_operations():
    assert first(Simulation(seed=3)) == first(Simulation(seed=3))
    assert first(Simulation(seed=3)) != first(Simulation(seed=4))


@pytest.mark.parametrize("keys", [None, 1, 7])
def test_an_order_is_created_once_before_it_is_changed(keys: int | None):
    living: set[int] = set()
    for operation in first(Simulation(seed=5, keys=keys)):
        assert (operation.slot in living) == (operation.kind != "create")
        if operation.kind == "create":
            living.add(operation.slot)
        elif operation.kind == "delete":
            living.remove(operation.slot)


def test_with_keys_all_changes_are_of_that_many_orders():
    assert len({operation.order_id for operation in first(Simulation(keys=3))}) == 3


def test_the_mix_is_kept():
    kinds = Counter(operation.kind for operation in first(Simulation(mix={"create": 50, "update": 50}), 2000))
    assert set(kinds) == {"create", "update"}
    assert 0.4 < kinds["update"] / 2000 < 0.6


def test_many_workers_keep_the_sequence_of_each_order():
    client = RecordingClient()
    summary = run(Simulation(keys=4), client, Pace(count=300), workers=3)
    assert (sum(summary.sent.values()), summary.failures) == (300, ())
    by_slot = {slot: [each.number for each in client.sent if each.slot == slot] for slot in range(4)}
    assert all(numbers == sorted(numbers) for numbers in by_slot.values())


def test_a_refused_write_is_reported_and_the_rest_is_sent():
    client = RecordingClient(refuse=2)
    assert run(Simulation(), client, Pace(count=5)).failures == ("refused",)
    assert [each.number for each in client.sent] == [0, 1, 3, 4]


def test_the_simulation_ends_after_its_duration():
    summary = run(Simulation(), RecordingClient(), Pace(duration=0.05, rate=100))
    assert sum(summary.sent.values()) == 5


def test_a_mix_is_read_from_the_command_line():
    assert _mix("create=6,delete=4") == {"create": 6, "delete": 4}
