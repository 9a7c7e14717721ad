"""`backstream status`: its options, what it prints, and its exit code."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.request import urlopen

import pytest

from backstream import cli
from backstream.commands import status
from backstream.deployment import Deployment
from backstream.status import live as lives
from backstream.status.finding import Commands
from backstream.status.live import LiveStatus
from backstream.status.snapshot import Counted, Snapshot, Unknown
from tests.support.status import HEALTHY, snapshot

OUTPUTS = {"consumer_function_name": "backstream-prod-stream-consumer"}
LOCAL = OUTPUTS | {"endpoint_url": "http://127.0.0.1:4566"}


class Taken:
    """Snapshots in place of those of a deployment; the last one stays. `ended` is called after the last."""

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = [HEALTHY]
        self.reads = 0

    def read(self) -> Snapshot:
        self.reads += 1
        return self.snapshots.pop(0) if len(self.snapshots) > 1 else self.snapshots[0]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Taken:
    made = Taken()
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setattr(lives, "Sources", lambda _: made)
    monkeypatch.setattr(status, "deployment_of", lambda _: Deployment(OUTPUTS))
    return made


@pytest.fixture
def deploy(taken: Taken, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], Taken]:
    def with_outputs(outputs: dict[str, str]) -> Taken:
        monkeypatch.setattr(status, "deployment_of", lambda _: Deployment(outputs))
        return taken

    return with_outputs


def interrupt_after(monkeypatch: pytest.MonkeyPatch, sleeps: int) -> list[float]:
    """Ctrl-C in the last of so many sleeps. Every look reads."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == sleeps:
            raise KeyboardInterrupt

    monkeypatch.setattr(status.time, "sleep", sleep)
    monkeypatch.setattr(lives, "_AWS_SECONDS", 0.0)
    return slept


@pytest.mark.parametrize(
    ("changed", "code", "first"),
    [
        ({}, 0, "Keeping up: "),
        ({"failed": Counted(2)}, 4, "2 failed batches wait: run `backstream replay`."),
        ({"flow": Unknown("no answer")}, 1, "Unknown: the consumer's measures. Nobody can tell whether all is well."),
    ],
)
def test_the_first_line_is_the_verdict(taken: Taken, capsys: Any, changed: dict[str, Any], code: int, first: str):
    taken.snapshots = [snapshot(**changed)]
    assert cli.main(["status"]) == code
    assert capsys.readouterr().out.splitlines()[0].startswith(first)


def test_json_has_the_verdict_and_the_exit_code(taken: Taken, capsys: Any):
    taken.snapshots = [snapshot(failed=Counted(2))]
    assert cli.main(["status", "--json"]) == 4
    document = json.loads(capsys.readouterr().out)
    assert (document["verdict"]["code"], document["exit_code"], document["name"]) == (
        "failed_batches",
        4,
        "backstream-prod",
    )


@pytest.mark.parametrize(
    ("outputs", "arguments", "command"),
    [
        (LOCAL, [], "make replay"),
        (LOCAL, ["--outputs", "o p.json"], "backstream replay --outputs 'o p.json'"),
        (OUTPUTS, ["--env", "prod"], "backstream replay --env prod"),
        (
            OUTPUTS,
            ["--pipeline", "carts", "--env", "prod", "--name", "shop", "--region", "eu-west-1"],
            "backstream replay --env prod --name shop --pipeline carts --region eu-west-1",
        ),
    ],
)
def test_what_to_run_names_the_same_deployment(
    deploy: Callable[[dict[str, str]], Taken], capsys: Any, outputs: dict[str, str], arguments: list[str], command: str
):
    """It can be copied. The local stack, which needs no name, has make targets."""
    deploy(outputs).snapshots = [snapshot(failed=Counted(1))]
    assert cli.main(["status", "--json", *arguments]) == 4
    assert json.loads(capsys.readouterr().out)["verdict"]["command"] == command


@pytest.mark.parametrize("arguments", [["--port", "8080"], ["--page", "--json"], ["--port", "8080", "--watch"]])
def test_options_that_do_not_fit_are_refused(taken: Taken, arguments: list[str]):
    assert cli.main(["status", *arguments]) == 2
    assert taken.reads == 0


@pytest.mark.parametrize("arguments", [["--page", "--watch"], ["--port", "0"], ["--port", "x"], ["--wat"]])
def test_wrong_usage_asks_nobody(taken: Taken, arguments: list[str]):
    with pytest.raises(SystemExit) as ended:
        cli.main(["status", *arguments])
    assert ended.value.code == 2
    assert taken.reads == 0


def test_watch_prints_each_new_verdict_until_interrupted(taken: Taken, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    """In a pipe. The text of a verdict changes with its times, and is no new verdict."""
    interrupt_after(monkeypatch, 4)
    waits = snapshot(failed=Counted(1))
    taken.snapshots = [HEALTHY, HEALTHY, waits, snapshot(failed=Counted(2))]
    assert cli.main(["status", "--watch"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" ", 1)[1].split(":")[0] for line in lines] == ["Keeping up", "1 failed batch waits"]


def test_watch_with_json_is_a_document_a_line(taken: Taken, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    interrupt_after(monkeypatch, 2)
    taken.snapshots = [HEALTHY, snapshot(failed=Counted(1))]
    assert cli.main(["status", "--watch", "--json"]) == 0
    codes = [json.loads(line)["verdict"]["code"] for line in capsys.readouterr().out.splitlines()]
    assert codes == ["keeping_up", "failed_batches"]


def test_watch_refreshes_a_terminal(taken: Taken, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    """On a screen of its own, so that the terminal is as it was afterwards."""
    slept = interrupt_after(monkeypatch, 2)
    monkeypatch.setattr(status, "is_terminal", lambda _: True)
    monkeypatch.setattr(status, "console", _terminal)
    taken.snapshots = [HEALTHY, snapshot(failed=Counted(1))]
    assert cli.main(["status", "--watch"]) == 0
    printed = capsys.readouterr().out
    assert printed.index("Keeping up: ") < printed.index("1 failed batch waits")
    assert (printed.count("\x1b[?1049h"), printed.count("\x1b[?1049l"), len(slept)) == (1, 1, 2)


def _terminal(stream: Any) -> Any:
    from rich.console import Console  # noqa: PLC0415

    return Console(file=stream, force_terminal=True, width=100, height=60)


def test_the_page_is_served_until_interrupted(taken: Taken, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    served: list[dict[str, Any]] = []

    def serve(self: status.StatusServer) -> None:
        thread = threading.Thread(target=self.handle_request)
        thread.start()
        with urlopen(f"{self.url}status.json", timeout=5) as answer:
            served.append(json.load(answer))
        thread.join()
        raise KeyboardInterrupt

    monkeypatch.setattr(status.StatusServer, "serve_forever", serve)
    assert cli.main(["status", "--page"]) == 0
    assert served[0]["verdict"]["code"] == "keeping_up"
    assert capsys.readouterr().out.startswith("http://127.0.0.1:")


def live(outputs: dict[str, str], clock: Callable[[], float]) -> LiveStatus:
    return LiveStatus(Deployment(outputs), Commands(), clock)


@pytest.mark.parametrize(("outputs", "seconds"), [(OUTPUTS, 10), (LOCAL, 2)])
def test_a_picture_is_kept_for_a_while(taken: Taken, outputs: dict[str, str], seconds: int):
    """AWS takes money for what it is asked; the page asks every two seconds, from every window."""
    now = SimpleNamespace(seconds=1_000.0)
    status_ = live(outputs, lambda: now.seconds)
    for passed, reads in ((0, 1), (seconds - 1, 1), (1, 2)):
        now.seconds += passed
        assert status_.document()["verdict"]["code"] == status_.picture().verdict.code == "keeping_up"
        assert taken.reads == reads
