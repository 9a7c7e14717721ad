"""`backstream load`: what it asks of AWS, what it prints, and the exit codes that scripts rely on."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from backstream import cli, job_command
from backstream.deployment import Deployment
from backstream.execution import ExecutionResult
from backstream.job_execution import JobExecution, JobStatus
from backstream.job_report import estimate_lines, exit_code, progress_line
from common.layout import RunKeys, open_run_key
from tests.support.aws import S3

MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:bs-load"
ARN = "arn:aws:states:eu-central-1:123456789012:execution:bs-load:first"
OUTPUTS = {
    "replay_state_machine_arn": MACHINE.replace("load", "replay"),
    "load_state_machine_arn": MACHINE,
    "failures_bucket": "failures",
}
ESTIMATE = {
    "items": 1_000, "bytes": 400_000, "scans": 1, "read_units": 100, "rate": 50.0, "minutes": 0.1, "dollars": 0.02,
}  # fmt: skip
COUNTS = {"items": 1_000, "loaded": 990, "live": 10, "known": 0, "unmapped_item": 0, "waiting": 0, "refused": 0}
COMPLETE = {
    "run": "first", "execution_arn": ARN, "outcome": "complete", "estimate": ESTIMATE, "counts": COUNTS,
    "read_units": 98.5, "problems": [], "next": [], "links": {"report": "s3://failures/load/first/report.json"},
}  # fmt: skip


class States:
    """A fake Step Functions. Each look at the execution takes the next of `looks`; the last one stays."""

    def __init__(self) -> None:
        self.inputs: list[dict[str, Any]] = []
        self.running: list[dict[str, Any]] = []
        self.ends("SUCCEEDED", COMPLETE)

    def ends(self, status: str, output: Any = None, **details: str) -> None:
        self.looks = [{"status": status, "output": json.dumps(output), **details}]

    def start_execution(self, stateMachineArn: str, input: str) -> dict[str, str]:  # noqa: A002, N803 - AWS's names
        assert stateMachineArn == MACHINE
        self.inputs.append(json.loads(input))
        return {"executionArn": ARN}

    def describe_execution(self, executionArn: str) -> dict[str, Any]:  # noqa: N803
        assert executionArn == ARN
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def list_executions(self, stateMachineArn: str, statusFilter: str) -> dict[str, Any]:  # noqa: N803
        assert (stateMachineArn, statusFilter) == (MACHINE, "RUNNING")
        return {"executions": self.running}


class Account:
    def __init__(self) -> None:
        self.states, self.s3 = States(), S3()
        self.deployment = _Deployment(OUTPUTS)
        self.deployment.account = self

    def put(self, key: str, document: Any) -> None:
        self.s3.put_object(Bucket="failures", Key=key, Body=json.dumps(document))

    def begin(self, run: str = "first", *, units: float = 40.0, items: int = 400) -> None:
        """A run under way: what it was started with, and a lane's progress."""
        keys = RunKeys("load", run)
        self.put(open_run_key("load"), {"run": run})
        self.put(keys.start, {"estimate": ESTIMATE})
        self.put(keys.lane(0, 0), {"units": units, "counts": {"items": items}})


class _Deployment(Deployment):
    account: Account  # type: ignore[misc]

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def client(self, service: str) -> Any:
        return {"stepfunctions": self.account.states, "s3": self.account.s3}[service]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    made = Account()
    monkeypatch.setattr(job_command, "deployment_of", lambda _: made.deployment)
    return made


def test_a_load_is_started_with_what_was_asked_for(account: Account) -> None:
    """Options that are not given stay out of the input, so that the deployment's own values hold."""
    assert cli.main(["load"]) == 0
    assert cli.main(["load", "--dry-run", "--rate", "20", "--concurrency", "3", "--restart"]) == 0
    assert account.states.inputs == [
        {},
        {"dry_run": True, "restart": True, "read_units_per_second": 20, "concurrency": 3},
    ]


@pytest.mark.parametrize("job", ["load", "verify", "seed"])
@pytest.mark.parametrize("option", ["--rate", "--concurrency"])
@pytest.mark.parametrize("value", ["0", "-5", "1.5", "many", "", "1_000", "\u0663"])
def test_a_number_below_one_starts_no_job(
    account: Account, capsys: pytest.CaptureFixture[str], job: str, option: str, value: str
) -> None:
    """The usage names the option and the value. A rate of zero is no rate."""
    with pytest.raises(SystemExit) as stopped:
        cli.main([job, f"{option}={value}"])
    assert stopped.value.code == 2
    assert f"argument {option}: {value!r} is not a whole number above 0" in capsys.readouterr().err
    assert account.states.inputs == []


def test_estimate_and_progress_are_shown(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    """Before it starts, what it will take; while it runs, how far it is; then the report."""
    account.begin()
    account.states.looks = [{"status": "RUNNING"}, *account.states.looks]
    assert cli.main(["load"]) == 0
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [
        f"execution {ARN}",
        "  about 1,000 items, 400,000 bytes (DynamoDB's figures, up to six hours old)",
        "  about 100 read units, about 0.02 USD (us-east-1)",
        "  about 0.1 minutes at 50 read units a second",
        "  400 items, 40 read units",
    ]
    assert shown.out.splitlines() == [
        "succeeded: complete",
        "  items                     1,000",
        "  loaded                      990",
        "  live                         10",
        "  read units                   98",
        "  report: s3://failures/load/first/report.json",
    ]


def test_a_dry_run_prints_the_estimate(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    """The estimate is the report."""
    planned = COMPLETE | {"outcome": "planned", "counts": dict.fromkeys(COUNTS, 0), "read_units": 0.0, "links": {}}
    account.states.ends("SUCCEEDED", planned)
    assert cli.main(["load", "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [f"  {line}" for line in estimate_lines(ESTIMATE)]


@pytest.mark.parametrize(
    ("status", "report", "error", "code"),
    [
        ("SUCCEEDED", COMPLETE, "", 0),
        ("SUCCEEDED", {"outcome": "planned"}, "", 0),
        ("SUCCEEDED", {"outcome": "already_running", "running": ARN}, "", 3),
        ("SUCCEEDED", COMPLETE | {"counts": COUNTS | {"refused": 1}}, "", 4),
        ("SUCCEEDED", COMPLETE | {"counts": COUNTS | {"waiting": 1}}, "", 4),
        ("FAILED", {}, "WrongInput", 2),
        ("FAILED", {}, "NotReady", 2),
        ("FAILED", COMPLETE | {"outcome": "incomplete"}, "Incomplete", 1),
        ("ABORTED", {}, "", 1),
    ],
)
def test_the_exit_code_tells_how_the_load_ended(
    status: str, report: dict[str, Any], error: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scripts rely on these numbers; the help of the command explains them."""
    assert exit_code(ExecutionResult(status, report, error, ""), ("refused", "waiting")) == code
    with pytest.raises(SystemExit):
        cli.main(["load", "--help"])
    assert re.search(rf"^  {code} ", capsys.readouterr().out, re.MULTILINE)


def test_a_failed_load_shows_its_own_report(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    """The report of an execution that ended before is not shown for this one."""
    account.begin()
    account.put(RunKeys("load", "first").report, COMPLETE | {"outcome": "incomplete", "next": ["Start again."]})
    account.states.ends("FAILED", error="Incomplete", cause="Some lanes could not finish.")
    assert cli.main(["load", "watch", ARN]) == 1
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "  Some lanes could not finish.",
        "  next: Start again.",
        "  report: s3://failures/load/first/report.json",
    ]
    account.put(RunKeys("load", "first").report, COMPLETE | {"execution_arn": "another"})
    assert JobExecution(account.deployment, "load", ARN).result().report == {}


def test_without_waiting_the_execution_is_named(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    """A script gets the ARN as JSON, and follows later."""
    assert cli.main(["load", "--no-wait", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"execution": ARN}


def test_watch_needs_a_running_load(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    """The running one is followed; where there is none, the message says what to give."""
    assert cli.main(["load", "watch"]) == 2
    assert "no load is running" in capsys.readouterr().err
    account.states.running = [{"startDate": 2, "executionArn": "later"}, {"startDate": 1, "executionArn": ARN}]
    assert cli.main(["load", "watch"]) == 0


def test_a_deployment_without_the_load_is_named(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    """The outputs of an earlier version lack the state machine."""
    account.deployment = _Deployment({name: value for name, value in OUTPUTS.items() if "load" not in name})
    assert cli.main(["load"]) == 2
    assert "lack load_state_machine_arn: apply this version" in capsys.readouterr().err


def test_the_progress_says_rate_and_remainder() -> None:
    """By the read units of the estimate; nothing is said that is not known."""
    status = JobStatus("RUNNING", 500, 60.0, 10.0, 20.0, ESTIMATE)
    assert progress_line(status) == "500 items, 60 read units, 2 a second, about 0.3 minutes left"
    assert progress_line(JobStatus("RUNNING", 5, 1.0)) == "5 items, 1 read units"


def test_an_unknown_size_is_said() -> None:
    """A new table's size is not known for hours."""
    [line] = estimate_lines(ESTIMATE | {"items": 0, "bytes": 0})
    assert line.startswith("the table's size is not known yet")
