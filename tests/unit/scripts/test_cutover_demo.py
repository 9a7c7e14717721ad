"""The demonstration of a cutover: the order of its commands, its checks and its exit codes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from scripts.local_stack import cutover_demo
from scripts.local_stack.__main__ import main
from scripts.local_stack.legacy_application import Facts, Ledger, LegacyApplication
from scripts.local_stack.operator_tool import NotReadyError, Result
from scripts.local_stack.outage_demo import Replication
from scripts.local_stack.simulation import ApiOrderClient
from scripts.local_stack.terminal import StackError

COMMANDS = [
    "seed",
    "seed --since updated_at",
    "verify",
    "shadow",
    "seed --since updated_at",
    "verify --repair",
    "shadow",
    "replay",
    "replay list",
    "verify",
    "seed --since updated_at",
    "shadow",
    "verify",
]


class Scene:
    """Commands that answer as on a healthy stack, unless `answers` has another answer for one by its number."""

    def __init__(self) -> None:
        self.commands: list[str] = []
        self.answers: dict[int, Any] = {}
        self.overwritten: list[str] = []
        self.ledgers: list[Ledger] = []

    def backstream(self, _: Any, *arguments: str) -> Result:
        shown = arguments[:1] if arguments[0] == "shadow" else arguments
        self.commands.append(" ".join(shown))
        answer = self.answers.get(len(self.commands), self.usual(arguments[0], list(arguments)))
        if isinstance(answer, BaseException):
            raise answer
        if callable(answer):
            answer = answer()
        return Result(4 if answer and "findings" in answer and answer["findings"] else 0, answer)

    @staticmethod
    def usual(command: str, arguments: list[str]) -> Any:
        if command == "replay":
            return [] if "list" in arguments else {"outcome": "nothing_to_do"}
        later = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() + 60))
        return {
            "seed": {"counts": dict.fromkeys(("rows", "seeded", "reseeded", "existing"), 1)},
            "verify": {"findings": [], "verified_through": later},
            "shadow": {"differences": [], "refused": [], "unsettled": []},
        }[command]

    def a_finding(self, kind: str, key: str = "", outcome: str = "found") -> Callable[[], dict[str, Any]]:
        """Of the order `key`, or of the newest one of this demonstration."""
        return lambda: {
            "findings": [{"key": key or f"order/{self.ledgers[-1].orders[-1]}", "kind": kind, "outcome": outcome}],
            "verified_through": "",
        }


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    scene = Scene()

    class FakeReplication:
        outputs = {"seed_state_machine_arn": "arn", "api_url": "http://api"}  # noqa: RUF012 - never changed

        def table(self) -> dict[str, Any]:
            return {}

        def differing(self) -> list[str]:
            return []

    def write(self: LegacyApplication, _: str, __: Any, order_id: str, facts: Facts) -> None:
        scene.ledgers.append(self.ledger)
        self.ledger.note(order_id, facts)

    def send(self: ApiOrderClient, operation: Any) -> None:
        if operation.kind == "create":
            self.adopt(operation.slot, f"new-{len(scene.commands)}-{operation.amount}-{time.monotonic_ns()}")

    monkeypatch.setattr(cutover_demo, "backstream", scene.backstream)
    monkeypatch.setattr(cutover_demo, "PROVEN_AFTER", 0)
    monkeypatch.setattr(cutover_demo, "ARRIVES_WITHIN", 0)
    monkeypatch.setattr(Replication, "of", lambda _: FakeReplication())
    monkeypatch.setattr(LegacyApplication, "_write", write)
    monkeypatch.setattr(LegacyApplication, "at_work", lambda *_: nullcontext())
    monkeypatch.setattr(Ledger, "differing", lambda *_: scene.overwritten)
    monkeypatch.setattr(ApiOrderClient, "send", send)
    monkeypatch.setattr("scripts.local_stack.stack.Stack.access", None)
    return scene


def test_it_goes_forwards_back_and_forwards_again(scene: Scene, capsys: Any):
    assert main(["demo-cutover"]) == 0
    assert scene.commands == COMMANDS
    told = capsys.readouterr().out
    numbers = [line.split()[0] for line in told.splitlines() if line[:1].isdigit()]
    assert numbers == [f"{number}." for number in range(1, 11)]
    assert "Yes: " in told.splitlines()[-1]
    assert "NO" not in told


@pytest.mark.parametrize("number", [6, 10, 13])
def test_a_finding_after_the_switch_is_a_failure(scene: Scene, capsys: Any, number: int):
    """Also of an item that only a seed wrote."""
    scene.answers[number] = scene.a_finding("seed_outdated")
    assert main(["demo-cutover"]) == 1
    assert "NO: " in capsys.readouterr().out.splitlines()[-1]
    assert scene.commands == COMMANDS


@pytest.mark.parametrize(("kind", "code"), [("seed_outdated", 0), ("stranger", 0), ("columns_differ", 1)])
def test_before_the_switch_rows_may_be_newer(scene: Scene, kind: str, code: int):
    """A row that changed after its seed, or that no seed has taken. Everything else is a failure."""
    scene.answers[3] = scene.a_finding(kind)
    assert main(["demo-cutover"]) == code


@pytest.mark.parametrize(("key", "outcome"), [("order/other", "found"), ("", "repaired")])
def test_other_orders_and_repairs_are_no_failure(scene: Scene, capsys: Any, key: str, outcome: str):
    scene.answers[6] = scene.a_finding("removal_lost", key, outcome)
    assert main(["demo-cutover"]) == 0
    assert ("Ignored: 1 findings" in capsys.readouterr().out) == bool(key)


def test_a_verification_that_is_not_ready_is_waited_for(scene: Scene, capsys: Any):
    """The consumer may have failed a minute ago, as in the other demonstration."""
    scene.answers[3] = NotReadyError("the consumer fails")
    assert main(["demo-cutover"]) == 0
    assert scene.commands == [*COMMANDS[:3], "verify", *COMMANDS[3:]]
    assert "Not yet: the consumer fails" in capsys.readouterr().out


def test_the_wait_for_a_verification_has_an_end(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cutover_demo, "READY_WITHIN", 0)
    scene.answers |= {3: NotReadyError("no"), 4: NotReadyError("no")}
    assert main(["demo-cutover"]) == 1
    assert scene.commands == [*COMMANDS[:3], "verify"]


def test_an_overwritten_row_is_a_failure(scene: Scene, capsys: Any):
    scene.overwritten = ["order-7"]
    assert main(["demo-cutover"]) == 1
    assert "Is each row as its last writer left it? NO" in capsys.readouterr().out


def test_a_time_before_the_last_write_proves_nothing(scene: Scene, capsys: Any):
    scene.answers[10] = {"findings": [], "verified_through": "2020-01-01T00:00:00+00:00"}
    assert main(["demo-cutover"]) == 1
    assert "Is it proven up to 2020-01-01T00:00:00, after the last write? NO" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), 130), (StackError("no"), 1), (BrokenPipeError(), 130)]
)
def test_a_step_that_fails_ends_it(scene: Scene, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int):
    monkeypatch.setattr(cutover_demo, "discard_stdout", lambda: None)
    scene.answers[5] = error
    assert main(["demo-cutover"]) == code
    assert scene.commands == COMMANDS[:5]
