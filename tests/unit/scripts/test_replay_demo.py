"""The demonstration of an outage: how it ends, and that it never leaves the database stopped."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.local_stack import demo_outage
from scripts.local_stack.demo_outage import DemoError, Teller, _as_row
from scripts.local_stack.failure import StackError

ITEM = {
    "p_key": {"S": "a"}, "s_key": {"S": "ORDER"}, "merchant_id": {"S": "m"}, "amount": {"N": "1.50"},
    "currency": {"S": "EUR"}, "status": {"S": "NEW"}, "created_at": {"N": "1"}, "updated_at": {"N": "2"},
}  # fmt: skip


class Database:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def db_stop(self) -> None:
        self.calls.append("stop")

    def db_start(self) -> None:
        self.calls.append("start")


class Traffic:
    sent = 0

    def __init__(self, *_: Any) -> None:
        pass

    def send(self, *_: Any) -> None:
        pass

    def order(self) -> str:
        return "marker"

    def going_on(self) -> Any:
        return open("/dev/null")  # noqa: PTH123 - any context


class Sides:
    """Both sides are equal until told otherwise; a batch fails during the outage."""

    outputs = {"failures_queue_url": ""}  # noqa: RUF012 - never changed
    deployment = None

    def __init__(self) -> None:
        self.stack = Database()
        self.differ: list[str] = []

    def differing(self) -> list[str]:
        return self.differ

    def mysql(self) -> dict[str, Any]:
        return {"marker": ()}

    table = mysql

    def failed(self) -> int:
        return len(self.stack.calls)


@pytest.fixture
def sides(monkeypatch: pytest.MonkeyPatch) -> Sides:
    sides = Sides()
    monkeypatch.setattr("sys.argv", ["demo_outage"])
    monkeypatch.setattr(demo_outage, "ARRIVES_WITHIN", 0)
    monkeypatch.setattr(demo_outage, "RECORD_AGE", 0)
    monkeypatch.setattr(demo_outage, "Traffic", Traffic)
    monkeypatch.setattr(demo_outage, "Stack", lambda _: sides.stack)
    monkeypatch.setattr(demo_outage.Sides, "of", lambda _: sides)
    monkeypatch.setattr(demo_outage, "_replay", lambda *_: None)
    return sides


def test_when_both_sides_are_equal_it_ends_well(sides: Sides, capsys: Any):
    assert demo_outage.main() == 0
    assert sides.stack.calls == ["stop", "start"]
    told = capsys.readouterr().out
    assert [line[:2] for line in told.splitlines() if line[:1].isdigit()] == ["1.", "2.", "3.", "4."]
    assert "Yes: 1 orders" in told


def test_when_they_differ_it_says_so_and_fails(sides: Sides, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    monkeypatch.setattr(demo_outage, "_replay", lambda *_: sides.differ.append("order-7"))
    assert demo_outage.main() == 1
    assert "NO: orders that differ: 1, such as order-7" in capsys.readouterr().out


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (DemoError("no"), 1), (StackError("no"), 1)])
@pytest.mark.parametrize("where", ["failed", "stop"])
def test_however_it_ends_the_database_is_started(
    sides: Sides, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, where: str
):
    def fail() -> int:
        if where == "stop" or sides.stack.calls:
            sides.stack.calls.append("failed")
            raise error
        return 0

    monkeypatch.setattr(*((sides.stack, "db_stop") if where == "stop" else (sides, "failed")), fail)
    assert demo_outage.main() == code
    assert sides.stack.calls[-1] == "start"


def test_when_nobody_reads_any_more_the_database_is_started(sides: Sides, monkeypatch: pytest.MonkeyPatch):
    """As in `make demo-outage | head`."""

    def say(*_: Any) -> None:
        if sides.stack.calls:
            raise BrokenPipeError

    monkeypatch.setattr(Teller, "say", say)
    monkeypatch.setattr(demo_outage.os, "dup2", lambda *_: None)
    assert demo_outage.main() == 130
    assert sides.stack.calls == ["stop", "start"]


def test_no_batch_given_up_in_time_is_an_end(sides: Sides, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    monkeypatch.setattr(demo_outage, "FAILS_WITHIN", -1)
    monkeypatch.setattr(sides, "failed", lambda: 0)
    assert demo_outage.main() == 1
    assert "no batch was given up" in capsys.readouterr().err


def test_without_a_stack_it_says_make_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: Any):
    monkeypatch.setattr("sys.argv", ["demo_outage"])
    monkeypatch.setenv("BACKSTREAM_HOME", str(tmp_path))
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert demo_outage.main() == 1
    assert capsys.readouterr().err == "demo-outage: the stack is not up: make up\n"


def test_an_item_that_fits_no_row_is_not_compared():
    assert _as_row(ITEM)[:2] == ("a", "m")
    assert _as_row({**ITEM, "amount": {"S": "two hundred"}}) is None


def test_a_count_is_written_seldom_where_nobody_looks_on(capsys: Any):
    teller = Teller()
    for number in range(5):
        teller.count(str(number))
    teller.end_of_count()
    assert capsys.readouterr().out == "   0\n"
