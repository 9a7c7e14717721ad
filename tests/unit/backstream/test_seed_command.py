"""`backstream seed`: what it asks of AWS, what it prints, and the exit codes that scripts rely on."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from backstream import cli, job_command
from backstream.deployment import Deployment
from backstream.execution import ExecutionResult
from backstream.job_execution import JobStatus
from backstream.job_report import estimate_lines, exit_code, progress_line
from common.layout import RunKeys, open_run_key
from tests.support.aws import S3

MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:bs-seed"
ARN = "arn:aws:states:eu-central-1:123456789012:execution:bs-seed:first"
ESTIMATE = {
    "items": 1_000, "bytes": 400_000, "scans": 1, "read_units": 0, "write_units": 2_000, "rate": 500.0, "minutes": 0.1,
    "dollars": 0.01,
}  # fmt: skip
COUNTS = {"rows": 1_000, "seeded": 990, "existing": 9, "unseedable": 1}
COMPLETE = {
    "run": "first", "execution_arn": ARN, "outcome": "complete", "estimate": ESTIMATE, "counts": COUNTS,
    "units": 1_998.5, "problems": [{"key": "order/k01", "reason": "no item"}], "since": {"order": "1769900400"},
    "next": [], "links": {},
}  # fmt: skip


class States:
    """A fake Step Functions with one execution, which looks as `looks` says, one after the other."""

    def __init__(self) -> None:
        self.inputs: list[dict[str, Any]] = []
        self.looks = [{"status": "SUCCEEDED", "output": json.dumps(COMPLETE)}]

    def start_execution(self, stateMachineArn: str, input: str) -> dict[str, str]:  # noqa: A002, N803 - AWS's names
        assert stateMachineArn == MACHINE
        self.inputs.append(json.loads(input))
        return {"executionArn": ARN}

    def describe_execution(self, executionArn: str) -> dict[str, Any]:  # noqa: N803
        assert executionArn == ARN
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> States:
    made, s3 = States(), S3()

    class Account(Deployment):
        def client(self, service: str) -> Any:
            return {"stepfunctions": made, "s3": s3}[service]

    keys = RunKeys("seed", "first")
    documents: dict[str, Any] = {
        open_run_key("seed"): {"run": "first"},
        keys.start: {"estimate": ESTIMATE},
        keys.lane(0, 0): {"units": 40.0, "counts": {"rows": 20}},
    }
    for key, document in documents.items():
        s3.put_object(Bucket="failures", Key=key, Body=json.dumps(document))
    outputs = {
        "replay_state_machine_arn": MACHINE.replace("seed", "replay"),
        "seed_state_machine_arn": MACHINE,
        "failures_bucket": "failures",
    }
    monkeypatch.setattr(job_command, "deployment_of", lambda _: Account(outputs))
    return made


def test_a_seed_is_started_with_what_was_asked_for(states: States) -> None:
    """The rate is one of write units. A value of the column is given after an equals sign."""
    assert cli.main(["seed"]) == 4
    cli.main(["seed", "--dry-run", "--rate", "7", "--entity", "order", "--entity", "bill", "--since", "updated_at"])
    cli.main(["seed", "--since", "updated_at=2026-01-31 12:00:00", "--restart", "--concurrency", "3"])
    assert states.inputs == [
        {},
        {
            "dry_run": True,
            "write_units_per_second": 7,
            "entities": ["order", "bill"],
            "since": {"column": "updated_at"},
        },
        {"restart": True, "concurrency": 3, "since": {"column": "updated_at", "value": "2026-01-31 12:00:00"}},
    ]


def test_estimate_progress_and_report_are_shown(states: States, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows and write units; then what became of them."""
    states.looks.insert(0, {"status": "RUNNING"})
    assert cli.main(["seed"]) == 4
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [
        f"execution {ARN}",
        "  about 1,000 rows, 400,000 bytes (MySQL's figures)",
        "  at most about 2,000 write units, about 0.01 USD (us-east-1)",
        "  about 0.1 minutes at 500 write units a second",
        "  20 rows, 40 units",
    ]
    assert shown.out.splitlines() == [
        "succeeded: complete",
        "  rows                      1,000",
        "  seeded                      990",
        "  existing                      9",
        "  unseedable                    1",
        "  units                     1,998",
        "  order since 1769900400",
        "  unseedable: order/k01: no item",
    ]


@pytest.mark.parametrize(
    ("counts", "error", "code"),
    [({"existing": 3, "gone": 2, "removed": 1}, "", 0), ({"unseedable": 1}, "", 4), ({}, "NotReady", 2)],
)
def test_the_exit_code_tells_how_the_seed_ended(
    counts: dict[str, int], error: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only rows that have no item need a person; the help of the command explains each code."""
    result = ExecutionResult("FAILED" if error else "SUCCEEDED", {"counts": counts}, error, "")
    assert exit_code(result, ("unseedable",)) == code
    with pytest.raises(SystemExit):
        cli.main(["seed", "--help"])
    assert re.search(rf"^  {code} ", capsys.readouterr().out, re.MULTILINE)


def test_what_remains_of_a_seed_is_told_by_write_units() -> None:
    """Its estimate has no reads."""
    status = JobStatus("RUNNING", 500, 200.0, 10.0, 100.0, ESTIMATE)
    assert progress_line(status) == "500 rows, 200 units, 10 a second, about 3.0 minutes left"
    assert (
        estimate_lines(ESTIMATE | {"dollars": 0.0})[1] == "at most about 2,000 write units, within what is provisioned"
    )
