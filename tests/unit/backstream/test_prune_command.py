"""`backstream prune`: what it asks of AWS, what it prints, and the exit codes that scripts rely on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backstream import cli, job_command
from backstream.deployment import Deployment
from backstream.execution import ExecutionResult
from backstream.job_execution import JobStatus
from backstream.job_report import estimate_lines, exit_code, progress_line
from tests.support.aws import S3

MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:bs-prune"
ARN = "arn:aws:states:eu-central-1:123456789012:execution:bs-prune:first"
ESTIMATE = {
    "items": 0, "bytes": 1, "scans": 1, "read_units": 0, "sidecar_rows": 3_000, "rate": 1_000.0, "minutes": 0.0,
    "dollars": 0.0,
}  # fmt: skip
COMPLETE = {
    "run": "first", "execution_arn": ARN, "outcome": "complete", "estimate": ESTIMATE, "dry_run": False,
    "before": "2026-01-01T00:00:00+00:00", "held_by": "replayed/aws/lambda/b", "older_than_days": 40,
    "counts": {"rows": 3_000, "pruned": 1_200, "prunable": 0, "parked": 1, "kept": 5}, "next": [], "links": {},
}  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The inputs of the executions. Each ends at once."""
    inputs: list[dict[str, Any]] = []

    class States:
        def start_execution(self, stateMachineArn: str, input: str) -> dict[str, str]:  # noqa: A002, N803 - AWS's names
            assert stateMachineArn == MACHINE
            inputs.append(json.loads(input))
            return {"executionArn": ARN}

        def describe_execution(self, executionArn: str) -> dict[str, Any]:  # noqa: N803
            assert executionArn == ARN
            return {"status": "SUCCEEDED", "output": json.dumps(COMPLETE)}

    class Account(Deployment):
        def client(self, service: str) -> Any:
            return {"stepfunctions": States(), "s3": S3()}[service]

    outputs = {
        "replay_state_machine_arn": MACHINE.replace("prune", "replay"),
        "prune_state_machine_arn": MACHINE,
        "failures_bucket": "failures",
    }
    monkeypatch.setattr(job_command, "deployment_of", lambda _: Account(outputs))
    return inputs


def test_a_prune_is_started_with_what_was_asked_for(asked: list[dict[str, Any]]) -> None:
    """Without an option the deployment decides."""
    assert cli.main(["prune"]) == 0
    cli.main(["prune", "--dry-run", "--restart", "--older-than-days", "90", "--rate", "50"])
    assert asked == [{}, {"dry_run": True, "restart": True, "older_than_days": 90, "rows_per_second": 50}]


@pytest.mark.parametrize("wrong", [["--concurrency", "2"], ["--older-than-days", "0"], ["--rate", "fast"]])
def test_wrong_usage_starts_no_prune(asked: list[dict[str, Any]], wrong: list[str]) -> None:
    """One worker prunes."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["prune", *wrong])
    assert (ended.value.code, asked) == (2, [])


def test_the_report_says_what_went_and_what_holds_the_rest(
    asked: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["prune"])
    assert capsys.readouterr().out.splitlines() == [
        "succeeded: complete",
        "  rows                      3,000",
        "  pruned                    1,200",
        "  parked                        1",
        "  kept                          5",
        "  removals before 2026-01-01T00:00:00+00:00",
        "  held by replayed/aws/lambda/b",
    ]
    assert asked == [{}]


def test_its_progress_is_in_rows() -> None:
    assert estimate_lines(ESTIMATE) == ["about 3,000 rows in the sidecar (MySQL's figure, all mappings)"]
    assert progress_line(JobStatus("RUNNING", 2_000, 500.0, estimate=ESTIMATE)) == "2,000 rows, 500 deleted"


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (ExecutionResult("SUCCEEDED", COMPLETE, "", ""), 0),
        (ExecutionResult("SUCCEEDED", {"outcome": "already_running"}, "", ""), 3),
        (ExecutionResult("FAILED", {}, "NotReady", "failed batches wait"), 2),
        (ExecutionResult("FAILED", {}, "WrongInput", "older_than_days"), 2),
        (ExecutionResult("FAILED", {}, "Incomplete", ""), 1),
    ],
)
def test_the_exit_code_tells_how_a_prune_ended(result: ExecutionResult, code: int) -> None:
    """A row that stays needs nobody."""
    assert exit_code(result, ()) == code
