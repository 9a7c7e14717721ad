"""What happens between the second reading of a key and its repair."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reconciler.verify.pending import Pending
from tests.support.replay import applied, change
from tests.support.verify import VerifyHarness

ROW_CHANGED, ITEM_GONE = "row changed", "item gone"


@pytest.fixture
def harness(server: Any, tables: Any) -> Iterator[VerifyHarness]:
    made = VerifyHarness(server, tables)
    yield made
    made.database.drop()


Install = Callable[[Callable[[], Any]], None]


@pytest.fixture
def before_asked(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Sets what happens once, before the verification asks what may explain a difference."""

    def install(happens: Callable[[], Any]) -> None:
        ask, left = Pending.batches, [happens, lambda: None]  # a run also asks when it begins

        def batches(self: Pending) -> str:
            if left:
                left.pop()()
            return ask(self)

        monkeypatch.setattr(Pending, "batches", batches)

    return install


@pytest.fixture
def while_asked(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Sets what happens once, when the verification has asked what may explain a difference."""

    def install(happens: Callable[[], Any]) -> None:
        ask, left = Pending.newest, [happens]

        def newest(self: Pending, keys: Any) -> Any:
            found = ask(self, keys)
            if left:
                left.pop()()
            return found

        monkeypatch.setattr(Pending, "newest", newest)

    return install


@pytest.fixture
def after_last_look(harness: VerifyHarness, while_asked: Install) -> Install:
    """Sets what happens once, when the verification has compared again what it was about to report."""
    compare = harness.database.compare

    def install(happens: Callable[[], Any]) -> None:
        def compare_then_happen(changes: Any) -> Any:
            found = compare(changes)
            harness.database.compare = compare
            happens()
            return found

        while_asked(lambda: setattr(harness.database, "compare", compare_then_happen))

    return install


def write(harness: VerifyHarness, key: str, sequence: int) -> None:
    """A change that the consumer applies at once."""
    harness.deliver(lost(harness, key, sequence))


def lost(harness: VerifyHarness, key: str, sequence: int) -> dict[str, Any]:
    """A change that the consumer does not apply."""
    made = change(key, sequence)
    harness.table.put(made["dynamodb"]["NewImage"])
    return made


@pytest.mark.parametrize("is_parked", [True, False], ids=["stale record parked", "nothing parked"])
@pytest.mark.parametrize("drift", [ROW_CHANGED, ITEM_GONE])
@pytest.mark.parametrize("moment", ["while_asked", "after_last_look"])
def test_a_repair_never_undoes_a_change_that_came_meanwhile(
    harness: VerifyHarness, request: pytest.FixtureRequest, moment: str, drift: str, is_parked: bool
) -> None:
    """It writes the item of a reading under the version of that reading only, so the newer change wins."""
    write(harness, "a", 2)
    if is_parked:
        harness.put_quarantined(change("a", 1))
    if drift == ROW_CHANGED:
        harness.tables.run("UPDATE tbl_orders SET status = 'X'")
    else:
        harness.table.delete(change("a", 2)["dynamodb"]["NewImage"])  # the delete is lost
    done = []
    request.getfixturevalue(moment)(lambda: done.append(write(harness, "a", 3)))
    harness.verify(repair=True, delete_removed=True)
    assert done == [None]
    assert harness.tables.orders() == [applied("a", 3)]


def test_what_a_replay_wrote_before_the_question_is_no_drift(harness: VerifyHarness, before_asked: Install) -> None:
    """The batch is no longer there to explain the difference, and the difference is gone."""
    write(harness, "a", 1)
    harness.put_batch([lost(harness, "a", 2)])
    before_asked(harness.replay)
    report = harness.verify()
    assert (report["findings"], report["counts"]["agreed"]) == ([], 1)
    assert harness.tables.orders() == [applied("a", 2)]


def test_what_a_retry_wrote_during_the_question_is_not_pending(harness: VerifyHarness, while_asked: Install) -> None:
    write(harness, "a", 1)
    harness.put_deferred(lost(harness, "a", 2))
    while_asked(harness.replay)
    report = harness.verify()
    assert (report["findings"], report["counts"]["agreed"]) == ([], 1)
    assert harness.tables.orders() == [applied("a", 2)]


def test_a_row_that_changes_during_the_question_is_read_again(harness: VerifyHarness, while_asked: Install) -> None:
    """It has not stood still."""
    write(harness, "a", 1)
    harness.tables.run("UPDATE tbl_orders SET status = 'X'")
    while_asked(lambda: harness.tables.run("UPDATE tbl_orders SET status = 'Y'"))
    report = harness.verify(repair=True)
    assert [one["outcome"] for one in report["findings"]] == ["repaired"]
    assert report["counts"]["moved_on"] == 1
    assert harness.tables.orders() == [applied("a", 1)]
