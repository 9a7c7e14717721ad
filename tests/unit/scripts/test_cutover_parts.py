"""The writers of the demonstration of a cutover, and its calls of the operator's tool."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import Any, Self

import pytest

from scripts.local_stack import operator_tool
from scripts.local_stack.legacy_application import Facts, Ledger, LegacyApplication
from scripts.local_stack.operator_tool import NotReadyError, backstream
from scripts.local_stack.process import poll
from scripts.local_stack.terminal import StackError

FACTS = Facts("m", Decimal("1.50"), "EUR", "NEW")


def tool_that_exits(repository: Path, code: int) -> None:
    """Takes the place of the operator's tool, and prints how it was called and what it read."""
    package = repository / "scripts" / "backstream"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(
        "import json, sys\nprint(json.dumps([sys.argv[1:], json.load(sys.stdin)]))\nprint('why', file=sys.stderr)\n"
        f"sys.exit({code})\n"
    )


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(operator_tool, "REPOSITORY", tmp_path)
    monkeypatch.setattr(operator_tool, "_FOLDERS", (tmp_path / "scripts",))
    return tmp_path


@pytest.mark.parametrize("code", [0, 4])
def test_the_tool_gets_the_outputs_and_answers_json(repository: Path, code: int):
    """A result that needs a person is one that the demonstration judges itself."""
    tool_that_exits(repository, code)
    found = backstream({"table_name": "orders"}, "seed", "--since", "updated_at")
    asked = ["seed", "--since", "updated_at", "--json", "--outputs", "-"]
    assert found == (code, [asked, {"table_name": "orders"}])


@pytest.mark.parametrize("code", [1, 2, 3])
def test_a_tool_that_fails_is_told_with_its_reason(repository: Path, code: int):
    tool_that_exits(repository, code)
    with pytest.raises(StackError, match=f"backstream seed ended with exit code {code}: why"):
        backstream({}, "seed")


@pytest.mark.parametrize(
    ("printed", "error"),
    [
        ('{"error": "NotReady", "cause": "the consumer fails"}', NotReadyError),
        ('{"error": "WrongInput", "cause": "the consumer fails"}', StackError),
        ('["NotReady"]', StackError),
        ("NotReady", StackError),
    ],
)
def test_a_job_that_is_not_ready_is_told_apart(repository: Path, printed: str, error: type[StackError]):
    tool_that_exits(repository, 2)
    (repository / "scripts" / "backstream" / "__main__.py").write_text(f"import sys\nprint({printed!r})\nsys.exit(2)\n")
    with pytest.raises(StackError, match=r"the consumer fails|ended with exit code 2") as failed:
        backstream({}, "verify")
    assert type(failed.value) is error


def test_the_ledger_has_the_last_write_of_each_order():
    ledger = Ledger()
    ledger.note("a", FACTS)
    ledger.note("b", FACTS)
    ledger.note("a", None)
    assert (ledger.orders, ledger.living, ledger.writes) == (["a", "b"], ["b"], 3)
    assert ledger.facts("b") == FACTS
    with pytest.raises(KeyError):
        ledger.facts("a")


class Connection:
    """Of a server that has `rows`. It keeps what was written, or raises."""

    def __init__(self, rows: Any = (), error: Exception | None = None) -> None:
        self.rows, self.error = rows, error
        self.written: list[str] = []
        self.asked = Event()

    def connect(self, **_: Any) -> Connection:
        return self

    cursor = connect

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execute(self, statement: str, _: Any = None) -> None:
        self.asked.set()
        if self.error:
            raise self.error
        self.written.append(statement.split(maxsplit=1)[0])

    def fetchall(self) -> Any:
        return self.rows


def test_a_row_that_is_not_as_it_was_written_differs():
    """Also one that is missing, and one that was deleted and is there."""
    ledger = Ledger()
    for order_id, facts in (("a", FACTS), ("b", FACTS), ("c", FACTS), ("d", None), ("e", None)):
        ledger.note(order_id, facts)
    paid = FACTS._replace(status="PAID")
    access: Any = Connection([("a", *FACTS), ("b", *paid), ("d", *FACTS), ("another", *FACTS)])
    assert ledger.differing(access) == ["b", "c", "d"]


def test_the_application_works_until_its_block_ends():
    """One of five writes is a new order, and the others change one."""
    access: Any = Connection()
    application = LegacyApplication(access, Ledger())
    with application.at_work(rate=1_000):
        assert poll(lambda: len(access.written) >= 20, timeout=30, interval=0.001)
    written = len(access.written)
    assert access.written.count("INSERT") == -(-written // 5)
    assert set(access.written) == {"INSERT", "UPDATE"}
    assert application.ledger.writes == written


def test_a_failure_at_work_is_raised_when_its_block_ends():
    access: Any = Connection(error=ConnectionError("gone"))
    application = LegacyApplication(access, Ledger())
    with pytest.raises(ConnectionError, match="gone"), application.at_work(rate=1_000):
        assert access.asked.wait(30)
    assert application.ledger.writes == 0
