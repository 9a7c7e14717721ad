"""The demonstration of an outage: its exit codes, and that the database is started again in every case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.local_stack import outage_demo
from scripts.local_stack.__main__ import main
from scripts.local_stack.outage_demo import DemoError, _as_row, _replay
from scripts.local_stack.terminal import Narrator, StackError

ITEM = {
    "p_key": {"S": "a"}, "s_key": {"S": "ORDER"}, "merchant_id": {"S": "m"}, "amount": {"N": "1.50"},
    "currency": {"S": "EUR"}, "status": {"S": "NEW"}, "created_at": {"N": "1"}, "updated_at": {"N": "2"},
}  # fmt: skip


class FakeStack:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def db_stop(self) -> None:
        self.calls.append("stop")

    def db_start(self) -> None:
        self.calls.append("start")


class FakeTraffic:
    sent = 0

    def __init__(self, *_: Any) -> None:
        pass

    def send(self, *_: Any) -> None:
        pass

    def marker(self) -> str:
        return "marker"

    def in_background(self) -> Any:
        return open("/dev/null")  # noqa: PTH123 - any context


class FakeReplication:
    """The table and MySQL are equal unless `differ` is set; a batch fails during the outage."""

    outputs = {"failures_queue_url": ""}  # noqa: RUF012 - never changed

    def __init__(self) -> None:
        self.stack = FakeStack()
        self.differ: list[str] = []

    def differing(self) -> list[str]:
        return self.differ

    def mysql(self) -> dict[str, Any]:
        return {"marker": ()}

    table = mysql

    def failed(self) -> int:
        return len(self.stack.calls)


@pytest.fixture
def replication(monkeypatch: pytest.MonkeyPatch) -> FakeReplication:
    replication = FakeReplication()
    monkeypatch.setattr(outage_demo, "ARRIVES_WITHIN", 0)
    monkeypatch.setattr(outage_demo, "RECORD_AGE", 0)
    monkeypatch.setattr(outage_demo, "SimulatedTraffic", FakeTraffic)
    monkeypatch.setattr(outage_demo.Replication, "of", lambda _: replication)
    monkeypatch.setattr(outage_demo, "_replay", lambda *_: None)
    return replication


def test_it_succeeds_when_mysql_equals_the_table(replication: FakeReplication, capsys: Any):
    assert main(["demo-outage"]) == 0
    assert replication.stack.calls == ["stop", "start"]
    told = capsys.readouterr().out
    assert [line[:2] for line in told.splitlines() if line[:1].isdigit()] == ["1.", "2.", "3.", "4."]
    assert "Yes: 1 orders" in told


def test_it_fails_and_says_so_when_they_differ(
    replication: FakeReplication, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    monkeypatch.setattr(outage_demo, "_replay", lambda *_: replication.differ.append("order-7"))
    assert main(["demo-outage"]) == 1
    assert "NO: orders that differ: 1, such as order-7" in capsys.readouterr().out


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (DemoError("no"), 1), (StackError("no"), 1)])
@pytest.mark.parametrize("where", ["failed", "stop"])
def test_the_database_is_started_however_the_demo_ends(
    replication: FakeReplication, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, where: str
):
    def fail() -> int:
        if where == "stop" or replication.stack.calls:
            replication.stack.calls.append("failed")
            raise error
        return 0

    monkeypatch.setattr(*((replication.stack, "db_stop") if where == "stop" else (replication, "failed")), fail)
    assert main(["demo-outage"]) == code
    assert replication.stack.calls[-1] == "start"


def test_the_database_is_started_when_stdout_is_closed(replication: FakeReplication, monkeypatch: pytest.MonkeyPatch):
    """As in `make demo-outage | head`."""

    def say(*_: Any) -> None:
        if replication.stack.calls:
            raise BrokenPipeError

    monkeypatch.setattr(Narrator, "say", say)
    monkeypatch.setattr(outage_demo, "discard_stdout", lambda: None)
    assert main(["demo-outage"]) == 130
    assert replication.stack.calls == ["stop", "start"]


def test_it_fails_when_no_batch_fails_in_time(
    replication: FakeReplication, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    monkeypatch.setattr(outage_demo, "FAILS_WITHIN", -1)
    monkeypatch.setattr(replication, "failed", lambda: 0)
    assert main(["demo-outage"]) == 1
    assert "no batch failed within" in capsys.readouterr().err


def test_without_a_stack_it_says_make_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: Any):
    monkeypatch.setenv("BACKSTREAM_HOME", str(tmp_path))
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert main(["demo-outage"]) == 1
    assert capsys.readouterr().err == "make demo-outage failed: the stack is not up: make up\n"


def test_an_item_that_fits_no_row_is_not_compared():
    assert _as_row(ITEM)[:2] == ("a", "m")
    assert _as_row({**ITEM, "amount": {"S": "two hundred"}}) is None


def test_a_count_is_printed_rarely_when_stdout_is_no_terminal(capsys: Any):
    narrator = Narrator("a demo")
    for number in range(5):
        narrator.count(str(number))
    narrator.end_of_count()
    assert capsys.readouterr().out == "   0\n"


def tool_that_exits(repository: Path, code: int) -> None:
    """Takes the place of the operator's tool, and prints how it was called and what it read."""
    package = repository / "scripts" / "backstream"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(f"import sys\nprint(sys.argv[1:], sys.stdin.read())\nsys.exit({code})\n")


@pytest.mark.parametrize("code", [0, 4])
def test_the_replay_gets_the_outputs_and_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, code: int
):
    """A replay that leaves records for the operator is no failure of the demonstration."""
    tool_that_exits(tmp_path, code)
    monkeypatch.setattr(outage_demo, "REPOSITORY", tmp_path)
    _replay(Narrator("a demo"), FakeReplication())
    assert """   ['replay', '--outputs', '-'] {"failures_queue_url": ""}\n""" in capsys.readouterr().out


def test_a_replay_that_fails_ends_the_demonstration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tool_that_exits(tmp_path, 1)
    monkeypatch.setattr(outage_demo, "REPOSITORY", tmp_path)
    with pytest.raises(DemoError, match="start it again: make replay"):
        _replay(Narrator("a demo"), FakeReplication())


def test_an_svg_shows_the_steps_and_the_last_count(replication: FakeReplication, tmp_path: Path):
    picture = tmp_path / "outage.svg"
    assert main(["demo-outage", "--svg", str(picture)]) == 0
    text = picture.read_text().replace("&#160;", " ")
    assert text.startswith("<svg")
    assert "4. Is MySQL equal to the table?" in text
    assert "Yes: 1 orders, every column of every row." in text
