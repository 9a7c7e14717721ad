"""`backstream replay`: what it asks of AWS, what it prints, and the exit codes that scripts rely on."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from io import BytesIO, TextIOWrapper
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws

from backstream import cli
from backstream.commands import replay
from backstream.deployment import Deployment
from backstream.errors import UsageError
from backstream.execution import Execution, ExecutionResult, ExecutionStatus
from backstream.progress import as_line
from backstream.report import text_report
from common.bucket import Bucket, UnreadableError

BUCKET = "failures"
MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:bs-replay"
ARN = "arn:aws:states:eu-central-1:123456789012:execution:bs-replay:first"
OUTPUTS = {"replay_state_machine_arn": MACHINE, "failures_bucket": BUCKET}
COMPLETE = {"outcome": "complete", "counts": {"batches": 2, "applied": 1234, "parked": 0}, "next": [], "links": {}}


class States:
    """A fake Step Functions. Each describe call takes the next of `looks`; the last one stays."""

    def __init__(self) -> None:
        self.inputs: list[dict[str, Any]] = []
        self.looks: list[dict[str, Any]] = []
        self.error: Exception | None = None
        self.running: list[dict[str, Any]] = []
        self.ends("SUCCEEDED", COMPLETE)

    def ends(self, status: str, output: Any = None, **details: str) -> None:
        self.looks = [{"status": status, "state": "Done", "output": json.dumps(output), **details}]

    def start_execution(self, stateMachineArn: str, input: str) -> dict[str, str]:  # noqa: A002, N803 - AWS's names
        assert stateMachineArn == MACHINE
        if self.error:
            raise self.error
        self.inputs.append(json.loads(input))
        return {"executionArn": ARN}

    def describe_execution(self, executionArn: str) -> dict[str, Any]:  # noqa: N803
        assert executionArn == ARN
        self._look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return self._look

    def list_executions(self, stateMachineArn: str, statusFilter: str) -> dict[str, Any]:  # noqa: N803
        assert (stateMachineArn, statusFilter) == (MACHINE, "RUNNING")
        return {"executions": self.running}

    def get_execution_history(self, **_: Any) -> dict[str, Any]:
        entered = {"name": self._look["state"], "input": self._look.get("input", "{}")}
        # Choices and the states of a lane, which one emulator adds, are not the state of the execution.
        before = [{"stateEnteredEventDetails": {"name": name}} for name in ("DrainOutcome", "DrainLane")]
        return {"events": [{}, *before, {"stateEnteredEventDetails": entered}]}


class FakeDeployment(Deployment):
    """With a fake Step Functions and moto's S3."""

    def client(self, service: str) -> Any:
        return self.outputs["states"] if service == "stepfunctions" else boto3.client(service)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch, s3: Any) -> States:
    states = States()
    monkeypatch.setattr(replay, "deployment_of", lambda _: FakeDeployment({**OUTPUTS, "states": states}))
    monkeypatch.setattr(Execution.follow, "__defaults__", (0.0, lambda _: None))
    return states


def run(*arguments: str) -> int:
    return cli.main(["replay", *arguments])


def put(s3: Any, key: str, body: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(body))


def park(
    s3: Any, key: str | None, version: str, folder: str | None = None, *, prefix: str = "quarantine", **more: Any
) -> str:
    """A parked record. A key without an entity is one of version 0.1."""
    name = f"{prefix}/{folder or key}/{version}.json"
    body = {"key": key, "version": version, "reason": "MySQL error 1264", "hint": "see to it", "record": {"secret": 1}}
    put(s3, name, body | more)
    return name


def keys(s3: Any) -> list[str]:
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", ())]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ([], {}),
        (["start"], {}),
        (["--dry-run"], {"dry_run": True}),
        (["start", "--dry-run", "--include-quarantine"], {"dry_run": True, "include_quarantine": True}),
        (["--key", "order/a", "--key", "line/b/1", "--shard", "s"], {"keys": ["order/a", "line/b/1"], "shards": ["s"]}),
        (["--max-batches", "0"], {"max_batches": 0}),
        (["--concurrency", "8", "--max-batches", "5"], {"concurrency": 8, "max_batches": 5}),
    ],
)
def test_options_are_the_input(states: States, arguments: list[str], wanted: dict[str, Any]):
    assert run(*arguments) == 0
    assert states.inputs == [wanted]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--dry-run", "discard", "a"],
        ["--dry-run", "start"],
        ["discard", "--dry-run", "a"],
        ["--dry"],
        ["--max-batches", "many"],
        ["show"],
        ["nonsense"],
    ],
)
def test_wrong_usage_starts_nothing(states: States, arguments: list[str]):
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2
    assert states.inputs == []


@pytest.mark.parametrize("arguments", [["--json", "start"], ["start", "--json"], ["--json"]])
def test_json_prints_only_the_report(states: States, capsys: Any, arguments: list[str]):
    assert run(*arguments) == 0
    assert json.loads(capsys.readouterr().out) == COMPLETE


@pytest.mark.parametrize(
    ("status", "output", "error", "code"),
    [
        ("SUCCEEDED", COMPLETE, "", 0),
        ("SUCCEEDED", {"outcome": "nothing_to_do", "counts": {}}, "", 0),
        ("SUCCEEDED", {"outcome": "planned", "counts": {"left": 0}}, "", 0),
        ("FAILED", None, "Incomplete", 1),
        ("FAILED", None, "DatabaseDown", 1),
        ("FAILED", None, "States.TaskFailed", 1),
        ("ABORTED", None, "", 1),
        ("TIMED_OUT", None, "", 1),
        ("FAILED", None, "WrongInput", 2),
        ("SUCCEEDED", {"outcome": "already_running", "running": "arn:other", "message": "another"}, "", 3),
        ("SUCCEEDED", {"outcome": "complete", "counts": {"parked": 1}}, "", 4),
        ("SUCCEEDED", {"outcome": "complete", "counts": {"parked": 2, "deferred": 2}}, "", 0),
        ("SUCCEEDED", {"outcome": "complete", "counts": {"parked": 2, "deferred": 1, "unknown": 1}}, "", 4),
        ("SUCCEEDED", {"outcome": "complete", "counts": {"parked": 2, "deferred": 1, "quarantined": 1}}, "", 4),
        ("SUCCEEDED", {"outcome": "planned", "counts": {"parked": 0, "deferred": 3}}, "", 0),
        ("SUCCEEDED", {"outcome": "complete", "counts": {"expired": 1}}, "", 4),
        ("SUCCEEDED", {"outcome": "planned", "counts": {"problems": 1}}, "", 4),
    ],
)
def test_the_exit_code_tells_how_the_replay_ended(states: States, status: str, output: Any, error: str, code: int):
    states.ends(status, output, error=error, cause="a cause")
    assert run() == code


def test_a_failed_replay_shows_its_stored_report_and_cause(states: States, s3: Any, capsys: Any):
    report = {"outcome": "incomplete", "counts": {"applied": 7}, "reason": "MySQL error 2003", "next": ["start again"]}
    put(s3, "replay/first/report.json", report)
    # What one emulator gives as the output of a failed execution is no report.
    states.ends("FAILED", {"Error": "Incomplete"}, error="Incomplete", cause="Not every split could be applied")
    assert run() == 1
    shown = capsys.readouterr().out
    for part in ("failed: incomplete", "MySQL error 2003", "Not every split", "next: start again"):
        assert part in shown


def test_a_replay_without_a_report_shows_error_and_cause(states: States, capsys: Any):
    states.ends("FAILED", error="WrongInput", cause="wrong input: keys")
    run("--json")
    assert json.loads(capsys.readouterr().out) == {
        "status": "FAILED", "error": "WrongInput", "cause": "wrong input: keys",
    }  # fmt: skip


def test_no_wait_prints_the_execution(states: States, capsys: Any):
    assert run("--no-wait", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"execution": ARN}


def test_progress_is_a_line_for_each_step(states: States, s3: Any, capsys: Any):
    drain = {"status": "RUNNING", "state": "Drain", "input": json.dumps({"lanes": [{"splits": 4}]})}
    begun = [{"status": "RUNNING", "state": name} for name in ("", "Start", "Check")]
    states.looks = [*begun, drain, drain, *states.looks]
    for split in ("00000", "poison"):
        put(s3, f"replay/first/done/{split}.json", {"counts": {"changes": 1500}, "parked": []})
    run()
    told = capsys.readouterr().err.splitlines()
    assert told[:3] == [f"execution {ARN}", "  Start", "  Check"]
    assert told[3].startswith("  Drain: 2/5 splits, 3,000 changes")
    assert told[4].startswith("  Done: 2/5 splits")
    assert len(told) == 5


def test_waiting_for_the_database_is_one_line_with_the_reason(states: States, capsys: Any):
    held = {"waiting_since": "2026-02-01T03:04:05.678+00:00", "reason": "MySQL error 2003"}
    looks = [
        {"status": "RUNNING", "state": name, "input": json.dumps(held)}
        for name in ("WaitForDatabase", "Hydrate", "Check", "WaitForDatabase", "Collect")
    ]
    states.looks = [*looks, *states.looks]
    run()
    assert capsys.readouterr().err.splitlines()[1:] == [
        "  waiting for MySQL since 03:04:05 UTC: MySQL error 2003",
        "  Collect",
        "  Done",
    ]


@pytest.mark.parametrize("named", [[ARN], []])
def test_watch_follows_the_replay_started_first(states: States, capsys: Any, named: list[str]):
    """Of several running ones the others end as soon as they see the first."""
    states.running = [{"executionArn": "later", "startDate": 2}, {"executionArn": ARN, "startDate": 1}]
    assert run("watch", *named) == 0
    assert states.inputs == []
    assert "complete" in capsys.readouterr().out


def test_watch_without_a_running_replay_is_wrong_usage(states: States, capsys: Any):
    assert run("watch") == 2
    assert "no replay is running" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (ExecutionStatus("RUNNING", ""), "  Start"),
        (ExecutionStatus("RUNNING", "Collect"), "  Collect"),
        (ExecutionStatus("RUNNING", "Drain", 5), "  Drain"),
        (ExecutionStatus("RUNNING", "Drain", 5, 1, 1200, 3.0), "  Drain: 1/5 splits, 1,200 changes, about 12 s left"),
        (ExecutionStatus("RUNNING", "Drain", None, 1, 10, 3.0), "  Drain: 1 splits, 10 changes"),
        (ExecutionStatus("RUNNING", "Settle", 5, 5, 10, 3.0), "  Settle: 5/5 splits, 10 changes"),
    ],
)
def test_a_line_of_progress(status: ExecutionStatus, line: str):
    assert as_line(status) == line


def test_the_text_report_leaves_out_zero_counts():
    output = {
        "outcome": "nothing_to_do",
        "counts": {"applied": 1234, "stale": 0},
        "expired": [{"shard": "shard-1", "first_arrival": "10:00", "last_arrival": "11:00"}],
        "problems": [{"source": "aws/lambda/x", "problem": "it is not JSON"}],
        "parked_records": ["quarantine/a/1.json"],
        "links": {"page": "s3://b/report.html"},
    }
    assert text_report(ExecutionResult("SUCCEEDED", output, "", "")).splitlines() == [
        "succeeded: nothing to do",
        "  applied           1,234",
        "  expired      shard-1, 10:00 to 11:00",
        "  problem      aws/lambda/x: it is not JSON",
        "  parked       quarantine/a/1.json",
        "  page: s3://b/report.html",
    ]


def test_list_prints_reasons_and_no_row_values(states: States, s3: Any, capsys: Any):
    park(s3, "order/a", "1")
    unreadable = park(s3, None, "digest", folder="_unreadable")
    assert run("list") == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[0] == f"{unreadable}  digest"
    assert "MySQL error 1264" in shown.out
    assert "secret" not in shown.out
    assert "2 quarantined" in shown.err
    assert run("list", "order/a", "--json") == 0
    assert [one["key"] for one in json.loads(capsys.readouterr().out)] == ["order/a"]


def test_list_prints_the_kind_and_age_of_deferred_records(states: States, s3: Any, capsys: Any):
    park(s3, "order/a", "1")
    park(s3, "order/b", "1", kind="poison", since=1_770_000_000)  # it waited for a day
    park(s3, "order/c", "1", prefix="deferred", kind="deferred", since=1_770_000_000)
    park(s3, "order/d", "1", prefix="deferred", kind="unknown", since=10**30)
    assert run("list") == 0
    shown = capsys.readouterr()
    assert [line for line in shown.out.splitlines() if not line.startswith(" ")] == [
        "order/a  1",
        "order/b  1",
        "order/c  1  deferred since 2026-02-02 02:40:00 UTC",
        "order/d  1  unknown",
    ]
    assert shown.err.splitlines() == ["2 quarantined, 1 deferred, 1 unknown"]
    assert run("list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(one["key"], one["kind"], one["since"]) for one in listed] == [
        ("order/a", "poison", None),
        ("order/b", "poison", 1_770_000_000),
        ("order/c", "deferred", 1_770_000_000),
        ("order/d", "unknown", 10**30),
    ]


def test_deferred_records_are_addressed_by_key_too(states: States, s3: Any, capsys: Any):
    park(s3, "order/a", "1")
    waiting = [park(s3, "order/a", str(version), prefix="deferred", kind="deferred") for version in (2, 3)]
    park(s3, "order/ab", "1", prefix="deferred", kind="unknown")
    assert run("show", "order/a") == 0
    assert [one["version"] for one in json.loads(capsys.readouterr().out)] == ["1", "2", "3"]
    assert run("show", waiting[1]) == 0
    assert [one["version"] for one in json.loads(capsys.readouterr().out)] == ["3"]
    assert run("retry", "order/ab") == 0
    assert states.inputs == [{"include_quarantine": True, "keys": ["order/ab"]}]
    assert run("discard", waiting[0]) == 0
    assert run("discard", "order/a") == 0
    assert keys(s3) == [
        "deferred/order/ab/1.json",
        *(f"replayed/discarded/order/a/{version}.json" for version in (1, 2, 3)),
    ]


def test_show_prints_the_whole_record(states: States, s3: Any, capsys: Any):
    name = park(s3, "a b", "1", folder="a%20b")
    park(s3, "a b c", "1", folder="a%20b%20c")
    assert run("show", "a b") == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert (shown["object"], shown["record"]) == (name, {"secret": 1})
    assert run("show", "order/b") == 2


def test_retry_replays_the_parked_records_of_the_keys(states: States, s3: Any):
    park(s3, "order/a", "1")
    assert run("retry", "order/a", "order/a", "--dry-run") == 0
    assert states.inputs == [{"include_quarantine": True, "keys": ["order/a"], "dry_run": True}]


@pytest.mark.parametrize("command", ["retry", "discard"])
def test_an_unknown_key_changes_nothing(states: States, s3: Any, command: str):
    park(s3, "order/a", "1")
    before = keys(s3)
    assert run(command, "order/a", "nobody") == 2
    assert (keys(s3), states.inputs) == (before, [])


def test_discard_moves_every_version_of_a_key_only(states: States, s3: Any):
    for key, version in (("order/a", "1"), ("order/a", "2"), ("order/ab", "1")):
        park(s3, key, version)
    unreadable = park(s3, None, "digest", folder="_unreadable")
    assert run("discard", "order/a", unreadable) == 0
    assert keys(s3) == [
        "quarantine/order/ab/1.json",
        "replayed/discarded/_unreadable/digest.json",
        "replayed/discarded/order/a/1.json",
        "replayed/discarded/order/a/2.json",
    ]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("the outputs lack something"), 2),
        (ClientError({"Error": {"Code": "AccessDenied"}}, "StartExecution"), 1),
        (EndpointConnectionError(endpoint_url="x"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(states: States, capsys: Any, error: Exception, code: int):
    states.error = error
    assert run() == code
    shown = capsys.readouterr()
    assert (shown.out, len(shown.err.strip().splitlines())) == ("", 1)


@pytest.mark.parametrize("body", ["not JSON", "[]"])
def test_an_object_that_is_no_parked_record_is_named(states: States, s3: Any, capsys: Any, body: str):
    s3.put_object(Bucket=BUCKET, Key="quarantine/a/1.json", Body=body.encode())
    assert run("list") == 1
    assert capsys.readouterr().err == (
        "backstream: quarantine/a/1.json is not a parked record: move it out of the folder\n"
    )


def test_an_object_that_s3_refuses_is_named(states: States, s3: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch):
    """As it does to an operator who may list the bucket and not read it."""

    def refuse(_: Bucket, key: str) -> Any:
        raise UnreadableError(f"S3 refuses {len(key)} letters")

    park(s3, "order/a", "v1")
    monkeypatch.setattr(Bucket, "read_json", refuse)
    assert run("list") == 1
    assert "backstream: cannot read quarantine/order/a/v1.json: S3 refuses" in capsys.readouterr().err


def test_a_key_named_twice_is_discarded_once(states: States, s3: Any, capsys: Any):
    park(s3, "order/a", "v1")
    assert run("discard", "order/a", "order/a", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"order/a": ["replayed/discarded/order/a/v1.json"]}


def test_a_key_that_the_terminal_cannot_show_is_escaped(states: States, s3: Any, monkeypatch: pytest.MonkeyPatch):
    """A damaged key may hold half a character, and the locale of a terminal may have few."""
    park(s3, "order/a", "v1", reason="r\ud800 \u00e9")
    shown = BytesIO()
    monkeypatch.setattr("sys.stdout", TextIOWrapper(shown, encoding="ascii"))
    assert run("list") == 0
    sys.stdout.flush()
    assert b"r\\ud800 \\xe9" in shown.getvalue()


class TestAValueWithoutAnEntity:
    """An operator has the id of an order, and may not know the entity."""

    def test_every_command_finds_it(self, states: States, s3: Any, capsys: Any):
        name = park(s3, "order/8f14", "1", prefix="deferred")
        park(s3, "line/8f14/7", "1", folder="line/8f14%2F7")
        park(s3, "order/8f140", "1")
        assert run("list", "8f14", "--json") == 0
        assert [one["key"] for one in json.loads(capsys.readouterr().out)] == ["order/8f14"]
        assert run("show", "8f14") == 0
        assert [one["object"] for one in json.loads(capsys.readouterr().out)] == [name]
        assert run("retry", "8f14", "order/8f14", "--no-wait") == 0
        assert states.inputs == [{"include_quarantine": True, "keys": ["order/8f14"]}]
        capsys.readouterr()
        assert run("discard", "8f14", "order/8f14", "--json") == 0
        assert json.loads(capsys.readouterr().out) == {"order/8f14": ["replayed/discarded/order/8f14/1.json"]}

    @pytest.mark.parametrize("command", ["list", "show", "retry", "discard"])
    def test_an_ambiguous_value_is_refused(self, states: States, s3: Any, capsys: Any, command: str):
        """A discarded record is not replayed, so the tool does not choose."""
        park(s3, "customer/7", "1")
        park(s3, "7", "1")  # of version 0.1
        before = keys(s3)
        assert run(command, "7") == 2
        assert capsys.readouterr().err == (
            "backstream: 7 is parked for several entities: give one of customer/7, order/7\n"
        )
        assert (keys(s3), states.inputs) == (before, [])

    @pytest.mark.parametrize("key", ["A-1", "order/A-1"])
    @pytest.mark.parametrize("more", [[], ["--json"]])
    def test_list_shows_the_form_of_a_key_it_does_not_find(
        self, states: States, s3: Any, capsys: Any, key: str, more: list[str]
    ):
        park(s3, "line/A-1/1", "1", folder="line/A-1%2F1")
        assert run("list", key, *more) == 0
        shown = capsys.readouterr()
        assert shown.out == ("[]\n" if more else "")
        assert shown.err == (
            f"nothing is parked for {key}; a key is <entity>/<value>, with a value for each key column, as list prints"
            " it\n"
        )

    def test_it_is_given_as_the_item_has_it(self, states: States, s3: Any):
        """Not as the text of the key, which escapes a space."""
        park(s3, "order/a%20b", "1", folder="order/a%2520b")
        assert run("retry", "a b") == 0
        assert states.inputs == [{"include_quarantine": True, "keys": ["order/a%20b"]}]

    def test_a_file_beside_the_folders_is_no_record(self, states: States, s3: Any):
        put(s3, "quarantine/note.json", {})
        assert run("list", "note.json") == 0


class TestRecordsOfVersion01:
    """They are parked under the key of an order alone. Such a key and the text of today both find them."""

    @pytest.mark.parametrize("key", ["a b", "order/a%20b"])
    def test_they_are_shown_and_retried_by_either_name(self, states: States, s3: Any, capsys: Any, key: str):
        former = park(s3, "a b", "1", folder="a%20b")
        recent = park(s3, "order/a%20b", "2", folder="order/a%2520b")
        assert run("show", key) == 0
        found = [one["object"] for one in json.loads(capsys.readouterr().out)]
        assert found == [recent, former]
        assert run("retry", key) == 0
        assert states.inputs == [{"include_quarantine": True, "keys": ["order/a%20b"]}]

    def test_both_names_of_a_key_are_one_key(self, states: States, s3: Any):
        park(s3, "a b", "1", folder="a%20b")
        assert run("retry", "a b", "order/a%20b") == 0
        assert states.inputs == [{"include_quarantine": True, "keys": ["order/a%20b"]}]

    def test_they_are_listed_by_the_name_that_finds_them(self, states: States, s3: Any, capsys: Any):
        park(s3, "a b", "1", folder="a%20b")
        assert run("list") == 0
        assert capsys.readouterr().out.splitlines()[0] == "a b  1"

    def test_an_order_named_like_an_entity_is_found_alone(self, states: States, s3: Any):
        former = park(s3, "order", "1")
        park(s3, "order/a", "1")
        assert run("discard", "order") == 0
        assert keys(s3) == ["quarantine/order/a/1.json", f"replayed/discarded/{former.partition('/')[2]}"]

    def test_a_key_with_a_slash_is_found(self, states: States, s3: Any):
        park(s3, "a/b", "1", folder="a%2Fb")
        assert run("discard", "a/b") == 0
        assert keys(s3) == ["replayed/discarded/a%2Fb/1.json"]


def test_an_entity_may_be_called_quarantine(states: States, s3: Any):
    park(s3, "quarantine/a", "1")
    assert run("discard", "quarantine/a") == 0
    assert keys(s3) == ["replayed/discarded/quarantine/a/1.json"]
