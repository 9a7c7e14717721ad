"""A replay starts with a valid input and a new name, one at a time."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from common.lock import Lock
from dlq_replayer.replay import InputError, check_input
from tests.support.aws import Executions, LockTable, refused
from tests.support.replay import ReplayExecution, ReplayHarness, change

GOOD: list[dict[str, Any]] = [
    {},
    {"dry_run": True},
    {"include_quarantine": False, "keys": ["order/a"], "shards": ["s"], "max_batches": 1, "concurrency": 40},
    {"keys": [f"order/{n:0249d}" for n in range(1000)]},
]
WRONG: list[tuple[Any, str]] = [
    ([], "input"),
    ("", "input"),
    (None, "input"),
    ({"dryrun": True}, "dryrun"),
    ({"dry_run": "yes"}, "dry_run"),
    ({"keys": []}, "keys"),
    ({"keys": ["a", "a"]}, "keys"),
    ({"keys": [1]}, "keys.0"),
    ({"keys": [str(n) for n in range(1001)]}, "keys"),
    ({"shards": ["x" * 66]}, "shards.0"),
    ({"max_batches": 0}, "max_batches"),
    ({"concurrency": 41}, "concurrency"),
    ({"concurrency": True}, "concurrency"),
]


@pytest.mark.parametrize("given", GOOD)
def test_valid_inputs_are_accepted(given: dict[str, Any]):
    check_input(given)


@pytest.mark.parametrize(("given", "names"), WRONG)
def test_an_invalid_input_is_one_clear_message(given: Any, names: str):
    with pytest.raises(InputError, match=f"nothing was changed.*{names}") as raised:
        check_input(given)
    assert len(str(raised.value)) < 1000


def test_every_invalid_field_is_named():
    with pytest.raises(InputError) as raised:
        check_input({"keys": [], "concurrency": 0, "more": 1})
    assert all(name in str(raised.value) for name in ("keys", "concurrency", "more"))


@pytest.mark.parametrize("given", [[], {"keys": []}, {"maximum": 1}])
def test_an_invalid_input_takes_no_lock_and_changes_nothing(harness: ReplayHarness, given: Any):
    harness.put_batch([change("a", 1)])
    before = dict(harness.s3.objects)
    assert harness.replay(given)["outcome"] == "wrong_input"
    assert harness.lock_table.item is None
    assert harness.s3.objects == before


KEY_OF_AN_ORDER = "keys: 8f14 names no entity: write order/8f14; the mapping orders has order"
OTHER_ENTITY = "keys: line/8f14 names no entity: write <entity>/<key>; the mapping orders has order"


@pytest.mark.parametrize(
    ("keys", "problem"),
    [(["order/1", "8f14"], KEY_OF_AN_ORDER), (["line/8f14"], OTHER_ENTITY), (["\ud800"], "write order/\ud800")],
)
def test_a_key_without_an_entity_is_refused(harness: ReplayHarness, keys: list[str], problem: str):
    """The message shows the right form."""
    harness.put_batch([change("8f14", 1)])
    before = dict(harness.s3.objects)
    refused = harness.replay({"keys": keys})
    assert refused["outcome"] == "wrong_input"
    assert refused["message"].startswith("invalid input, nothing was changed: ")
    assert problem in refused["message"]
    assert (harness.lock_table.item, harness.s3.objects) == (None, before)


def test_nothing_to_do_ends_at_once_and_releases_the_lock(harness: ReplayHarness):
    execution = ReplayExecution(harness)
    assert execution.resume()["outcome"] == "nothing_to_do"
    assert execution.trail == ["start"]
    assert harness.lock_table.item is None
    assert harness.s3.objects == {}


def test_a_name_that_was_used_before_is_refused(harness: ReplayHarness):
    """Step Functions forgets names after 90 days. The bucket remembers them."""
    harness.put_batch([change("a", 1)])
    ReplayExecution(harness, name="monday").resume()
    key = harness.put_batch([change("a", 2)])
    harness.clock.advance(60)
    again = ReplayExecution(harness, name="monday").resume()
    assert again["outcome"] == "wrong_input"
    assert "monday" in again["message"]
    assert harness.left() == [key]
    assert harness.lock_table.item is None


class TestLock:
    """The lock is valid only while the execution that holds it runs."""

    def setup_method(self) -> None:
        self.table, self.executions = LockTable(), Executions()
        self.lock = Lock(self.table, self.executions, "lock")

    def test_a_second_replay_is_told_which_execution_has_the_lock(self) -> None:
        self.executions.status = {"one": "RUNNING", "two": "RUNNING"}
        assert self.lock.acquire("one") is None
        assert self.lock.acquire("two") == "one"
        self.lock.release("two")
        assert self.table.holder == "one"
        self.lock.release("one")
        self.lock.release("one")
        assert self.lock.acquire("two") is None

    def test_the_holder_may_take_the_lock_again(self) -> None:
        self.executions.status = {"one": "RUNNING"}
        assert [self.lock.acquire("one"), self.lock.acquire("one")] == [None, None]

    @pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", None])
    def test_an_execution_that_no_longer_runs_loses_it(self, status: str | None) -> None:
        self.executions.status = {"one": status} if status else {}
        self.lock.acquire("one")
        assert self.lock.acquire("two") is None
        self.lock.release("one")  # a Lambda of the old one, still at work
        assert self.table.holder == "two"

    def test_of_two_replays_that_take_the_lock_over_one_gets_it(self) -> None:
        self.executions.status = {"old": "ABORTED", "one": "RUNNING", "two": "RUNNING"}
        self.lock.acquire("old")
        describe = self.executions.describe_execution

        def other_first(**asked: str) -> dict[str, Any]:
            answer = describe(**asked)
            self.executions.describe_execution = describe  # type: ignore[method-assign]
            assert Lock(self.table, self.executions, "lock").acquire("two") is None
            return answer

        self.executions.describe_execution = other_first  # type: ignore[method-assign]
        assert self.lock.acquire("one") == "two"

    def test_a_holder_that_cannot_be_checked_counts_as_running(self) -> None:
        self.lock.acquire("old")

        def throttled(**_: str) -> dict[str, Any]:
            raise refused("ThrottlingException", "DescribeExecution")

        self.executions.describe_execution = throttled  # type: ignore[method-assign]
        assert self.lock.acquire("one") == "old"

    def test_a_lock_released_between_two_calls_is_taken(self) -> None:
        self.executions.status = {"old": "RUNNING", "one": "RUNNING"}
        self.lock.acquire("old")
        get = self.table.get_item

        def gone(**given: Any) -> dict[str, Any]:
            self.table.item = None
            return get(**given)

        self.table.get_item = gone  # type: ignore[method-assign]
        assert self.lock.acquire("one") is None

    def test_of_twenty_replays_at_once_one_gets_the_lock(self) -> None:
        names = [f"e{n}" for n in range(20)]
        self.executions.status = dict.fromkeys(names, "RUNNING")
        answers: dict[str, str | None] = {}
        threads = [
            threading.Thread(target=lambda name=name: answers.update({name: self.lock.acquire(name)})) for name in names
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        winners = [name for name, holder in answers.items() if holder is None]
        assert winners == [self.table.holder]
        assert {holder for holder in answers.values() if holder} == set(winners)
