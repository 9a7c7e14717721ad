"""What a terminal shows in place of plain lines."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from backstream import cli, progress
from backstream.commands import replay
from backstream.execution import ExecutionResult, ExecutionStatus
from backstream.report import print_report
from backstream.terminal import safe_text

DEFERRED = {
    "key": "order-\x1b[31m1",
    "version": "2026:7",
    "kind": "deferred",
    "since": 1_770_000_000,
    "reason": "MySQL error 1452 [bold]",
    "hint": "wait",
    "object": "deferred/order/7.json",
}
QUARANTINED = {**DEFERRED, "key": "order-2", "kind": "poison", "object": "quarantine/order/8.json"}


Terminal = pytest.CaptureFixture[str]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: Terminal) -> Terminal:
    """stdout and stderr say that they are a terminal, 100 columns wide."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(type(stream), "isatty", lambda _: True)
    return capsys


@pytest.fixture
def parked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    records = [DEFERRED, QUARANTINED]

    class Records:
        def __init__(self, _: Any) -> None:
            pass

        def describe(self, _: Any) -> Any:
            return iter(records)

    monkeypatch.setattr(replay, "deployment_of", lambda _: None)
    monkeypatch.setattr(replay, "ParkedRecords", Records)
    return records


def test_list_is_a_table_with_one_header(terminal: Terminal, parked: list[dict[str, Any]]):
    parked *= 40  # more than a page
    assert cli.main(["replay", "list"]) == 0
    shown = terminal.readouterr()
    assert shown.out.count("reason") == 1
    assert "02:40:00 UTC" in shown.out
    assert "40 quarantined" in shown.err


def test_a_table_holds_no_control_characters_of_a_key(terminal: Terminal, parked: list[dict[str, Any]]):
    cli.main(["replay", "list"])
    shown = terminal.readouterr().out
    assert "\x1b[31m" not in shown
    assert "order-\\x1b[31m1" in shown
    assert "MySQL error 1452 [bold]" in shown


def test_no_color_removes_the_colours(terminal: Terminal, monkeypatch: pytest.MonkeyPatch):
    result = ExecutionResult("SUCCEEDED", {"outcome": "complete", "counts": {"applied": 1234}}, "", "")
    print_report(result, as_json=False)
    assert "\x1b[1;32m" in terminal.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    print_report(result, as_json=False)
    shown = terminal.readouterr().out
    assert "32m" not in shown
    assert "1,234" in shown


def test_json_stays_plain_on_a_terminal(terminal: Terminal, parked: list[dict[str, Any]]):
    cli.main(["replay", "list", "--json"])
    assert json.loads(terminal.readouterr().out) == parked


def test_force_color_does_not_make_a_pipe_a_terminal(
    monkeypatch: pytest.MonkeyPatch, parked: list[dict[str, Any]], capsys: Any
):
    monkeypatch.setenv("FORCE_COLOR", "1")
    cli.main(["replay", "list"])
    assert capsys.readouterr().out.splitlines()[4:] == ["  MySQL error 1452 [bold]", "  wait"]


def test_progress_shows_a_line_for_each_state(terminal: Terminal):
    """The last state is left out: the report follows."""

    class FakeExecution:
        def follow(self) -> list[ExecutionStatus]:
            return [
                ExecutionStatus("RUNNING", "Check", waiting="since 03:04:05 UTC: MySQL error 2003 [x]"),
                ExecutionStatus("RUNNING", "Drain", 4),
                ExecutionStatus("RUNNING", "Drain", 4, 2, 1500, 3.0),
                ExecutionStatus("SUCCEEDED", "Done", 4, 3, 2000, 3.0),
            ]

    progress.follow(FakeExecution())  # type: ignore[arg-type]
    last = terminal.readouterr().err.rpartition("waiting for MySQL")[2]
    assert "2003 [x]" in last
    assert "3/4 splits, 2,000 changes " in last
    assert "Done" not in last


def test_text_keeps_letters_of_every_script():
    assert safe_text("ключ-é\n\u202e").plain == "ключ-é\\n\\u202e"
