"""Runs `terraform test`: the wiring, with a mocked provider and no account."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.build import ROOT
from scripts.generators.hcl import TERRAFORM
from scripts.local_stack.terraform import NEIGHBOURS, link_mirror

# The first version of Terraform that mocks providers. The configuration needs 1.5.
MOCKS_SINCE = (1, 7)


def version() -> tuple[int, ...]:
    if not shutil.which("terraform"):
        return (0,)
    done = subprocess.run(["terraform", "version", "-json"], capture_output=True, text=True, check=True)
    return tuple(int(part) for part in json.loads(done.stdout)["terraform_version"].split("-")[0].split("."))


def terraform(folder: Path, *arguments: str) -> str:
    # Without the user's AWS settings and Terraform variables.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_VAR_"))}
    done = subprocess.run(
        ["terraform", *arguments, "-no-color"],
        cwd=folder,
        env=inherited,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


pytestmark = pytest.mark.skipif(
    version() < MOCKS_SINCE, reason="terraform test mocks providers, and graph shows resources, from Terraform 1.7 on"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An initialised copy, so that Terraform writes nothing into the sources."""
    parent = tmp_path_factory.mktemp("wiring")
    folder = parent / "terraform"
    shutil.copytree(TERRAFORM / "tests", folder / "tests")
    for source in [*TERRAFORM.glob("*.tf"), TERRAFORM / ".terraform.lock.hcl"]:
        shutil.copy(source, folder)
    (folder / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    for neighbour in NEIGHBOURS:
        (parent / neighbour).symlink_to(ROOT / neighbour)
    link_mirror(folder)
    terraform(folder, "init", "-lockfile=readonly")
    return folder


@pytest.fixture(scope="module")
def needs(folder: Path) -> dict[str, set[str]]:
    """Each resource with its direct and indirect dependencies, which are created before it and destroyed after it."""
    graph = terraform(folder, "graph")
    near: dict[str, set[str]] = {name: set() for name in re.findall(r'^  "([^"]+)" \[label=', graph, re.MULTILINE)}
    for dependent, dependency in re.findall(r'^  "([^"]+)" -> "([^"]+)";', graph, re.MULTILINE):
        near[dependent].add(dependency)
    return {name: _reached(name, near) for name in near}


def _reached(name: str, near: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        new = near[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def test_the_wiring_holds(folder: Path) -> None:
    terraform(folder, "validate")
    terraform(folder, "test")


def test_a_destroy_deletes_the_guard_before_all_else(needs: dict[str, set[str]]) -> None:
    """A protected guard cannot be deleted, and Terraform deletes nothing that it depends on."""
    everything = {name for name in needs if not name.startswith("data.")}
    assert everything - needs["aws_dynamodb_table.guard"] == {"aws_dynamodb_table.guard"}


def test_roles_outlive_the_network_interfaces(needs: dict[str, set[str]]) -> None:
    """Lambda uses the roles to delete the network interfaces, and the security group goes after those."""
    functions = ("dlq_replayer", "schema", "stream_consumer")
    assert {f"aws_iam_role_policy.{name}" for name in functions} < needs["aws_security_group.consumer"]
    for name in functions:
        assert "aws_security_group.consumer" in needs[f"aws_lambda_function.{name}"]


@pytest.mark.parametrize("function", ["stream_consumer", "dlq_replayer"])
def test_new_code_is_live_after_its_schema_step(needs: dict[str, set[str]], function: str) -> None:
    assert {"aws_lambda_invocation.schema", f"aws_lambda_function.{function}"} < needs[f"aws_lambda_alias.{function}"]


def test_the_alias_is_what_is_called(needs: dict[str, set[str]]) -> None:
    assert "aws_lambda_alias.stream_consumer" in needs["aws_lambda_event_source_mapping.orders"]
    assert "aws_lambda_alias.dlq_replayer" in needs["aws_sfn_state_machine.replay"]
