"""`backstream verify`: what it asks of AWS, and what it prints."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backstream import cli, job_command
from backstream.deployment import Deployment
from reconciler.verify.steps import VerifySteps
from tests.support.aws import S3

MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:bs-verify"
ESTIMATE = {
    "items": 1_000, "bytes": 400_000, "scans": 1, "read_units": 50, "rate": 50.0, "minutes": 0.1, "dollars": 0.01,
}  # fmt: skip
REPORT = {
    "run": "first", "execution_arn": "arn", "outcome": "complete", "estimate": ESTIMATE, "counts": {"items": 9},
    "read_units": 4.5, "findings": [], "verified_through": "", "next": [], "links": {},
}  # fmt: skip


class States:
    """A fake Step Functions with one execution that has ended."""

    def __init__(self) -> None:
        self.inputs: list[dict[str, Any]] = []
        self.report: dict[str, Any] = dict(REPORT)

    def start_execution(self, stateMachineArn: str, input: str) -> dict[str, str]:  # noqa: A002, N803 - AWS's names
        assert stateMachineArn == MACHINE
        self.inputs.append(json.loads(input))
        return {"executionArn": "arn"}

    def describe_execution(self, executionArn: str) -> dict[str, Any]:  # noqa: N803
        assert executionArn == "arn"
        return {"status": "SUCCEEDED", "output": json.dumps(self.report)}


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> States:
    made = States()

    class Account(Deployment):
        def client(self, service: str) -> Any:
            return {"stepfunctions": made, "s3": S3()}[service]

    outputs = {
        "replay_state_machine_arn": MACHINE.replace("verify", "replay"),
        "verify_state_machine_arn": MACHINE,
        "failures_bucket": "failures",
    }
    monkeypatch.setattr(job_command, "deployment_of", lambda _: Account(outputs))
    return made


OPTIONS: dict[str, tuple[str, Any]] = {
    "--dry-run": ("dry_run", True),
    "--restart": ("restart", True),
    "--rate=7": ("read_units_per_second", 7),
    "--concurrency=3": ("concurrency", 3),
    "--slice=next/30": ("slice", "next/30"),
    "--changed-from=2026-01-31T12:00:00Z": ("changed_from", "2026-01-31T12:00:00Z"),
    "--changed-until=soon": ("changed_until", "soon"),  # the job reads the times: it knows what now is
    "--repair": ("repair", True),
    "--delete-strangers": ("delete_strangers", True),
    "--delete-removed": ("delete_removed", True),
    "--keep-removed": ("keep_removed", True),
    "--after-cutover": ("after_cutover", True),
    "--columns=status,amount": ("columns", ["status", "amount"]),
}


def test_every_field_of_the_input_has_its_option(states: States) -> None:
    """Options that are not given stay out of the input."""
    assert cli.main(["verify", "--no-wait"]) == 0
    for option in OPTIONS:
        assert cli.main(["verify", "--no-wait", option]) == 0
    assert states.inputs == [{}, *({name: value} for name, value in OPTIONS.values())]
    declared = json.loads(VerifySteps.schema.read_text(encoding="utf-8"))["properties"]
    assert {name for name, _ in OPTIONS.values()} == set(declared)


def test_a_scan_in_place_of_a_window_is_told(states: States, capsys: pytest.CaptureFixture[str]) -> None:
    """Its cost is that of the whole table."""
    states.report |= {"scan_reason": "point-in-time recovery of the table is off", "verified_through": "noon"}
    assert cli.main(["verify"]) == 0
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == [
        "succeeded: complete",
        "items                         9",
        "read units                    4",
        "the whole table was read: point-in-time recovery of the table is off",
        "every change up to noon is in MySQL",
    ]
