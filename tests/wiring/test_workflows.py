"""The workflows run the commands of the Makefile, and no code that their authors can exchange later."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# GitHub: a full commit hash is the only way to use an action as an immutable release.
# https://docs.github.com/en/actions/reference/security/secure-use#using-third-party-actions
_PINNED = re.compile(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


def steps(workflow: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(workflow.read_text())["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_an_action_is_named_by_its_commit(workflow: Path) -> None:
    used = [line for line in workflow.read_text().splitlines() if re.search(r"\buses:", line)]

    assert used
    assert [line for line in used if not _PINNED.search(line)] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read(workflow: Path) -> None:
    """Its token reads the repository, and no later step finds it on disk."""
    content = yaml.safe_load(workflow.read_text())
    checkouts = [step for step in steps(workflow) if step.get("uses", "").startswith("actions/checkout@")]

    assert content["permissions"] == {"contents": "read"}
    assert not [job for job in content["jobs"].values() if "permissions" in job]
    assert [step["with"]["persist-credentials"] for step in checkouts] == [False] * len(content["jobs"])


def test_the_audit_is_strict_and_runs_every_day() -> None:
    workflow = ROOT / ".github" / "workflows" / "audit.yml"
    triggers = yaml.safe_load(workflow.read_text())[True]  # YAML 1.1 reads `on` as true

    assert "make audit" in [step.get("run") for step in steps(workflow)]
    assert triggers["schedule"] == [{"cron": "23 5 * * *"}]


def test_the_gate_audits_where_the_service_answers() -> None:
    assert "make audit ARGS=--allow-no-answer" in (ROOT / ".ci" / "run").read_text()
