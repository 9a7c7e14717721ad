"""Runs `terraform test`: the wiring, with a mocked provider and no account."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from scripts.build import ROOT
from scripts.generators.hcl import MODULES, TERRAFORM, blocks
from scripts.local_stack.terraform import LOCK_FILE, NEIGHBOURS
from tests.support.provider import initialise, run_terraform, running_provider

# The first version of Terraform that mocks providers. The configuration needs 1.5.
MOCKS_SINCE = (1, 7)
MANY = 70  # resources


@cache
def version() -> tuple[int, ...]:
    if not shutil.which("terraform"):
        return (0,)
    done = subprocess.run(["terraform", "version", "-json"], capture_output=True, text=True, check=True)
    return tuple(int(part) for part in json.loads(done.stdout)["terraform_version"].split("-")[0].split("."))


pytestmark = pytest.mark.skipif(
    version() < MOCKS_SINCE, reason="terraform test mocks providers, and graph shows resources, from Terraform 1.7 on"
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of all of terraform/, so that Terraform writes nothing into the sources."""
    parent = tmp_path_factory.mktemp("wiring")
    tree = shutil.copytree(TERRAFORM, parent / "terraform", ignore=shutil.ignore_patterns(".terraform"))
    (tree / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    for neighbour in NEIGHBOURS:
        (parent / neighbour).symlink_to(ROOT / neighbour)
    return tree


def initialised(folder: Path, tree: Path) -> Path:
    if folder != tree:
        shutil.copy(tree / LOCK_FILE, folder)
    initialise(folder)
    return folder


@pytest.fixture(scope="module")
def needs(tree: Path) -> dict[str, set[str]]:
    """Each resource of the root with all that it depends on: created before it and destroyed after it."""
    return dependencies(initialised(tree, tree))


@pytest.fixture(scope="module")
def pipeline_needs(tree: Path) -> dict[str, set[str]]:
    return dependencies(initialised(tree / "modules" / "pipeline", tree))


def dependencies(folder: Path) -> dict[str, set[str]]:
    graph = run_terraform(folder, "graph", "-no-color")
    near: dict[str, set[str]] = {name: set() for name in re.findall(r'^ +"([^"]+)" \[label=', graph, re.MULTILINE)}
    for dependent, dependency in re.findall(r'^ +"([^"]+)" -> "([^"]+)";', graph, re.MULTILINE):
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


@pytest.mark.parametrize("name", [".", *(f"modules/{module.name}" for module in MODULES)])
def test_the_wiring_holds(tree: Path, name: str) -> None:
    folder = initialised(tree / name, tree)
    with running_provider(folder) as env:
        run_terraform(folder, "validate", "-no-color", env=env)
        run_terraform(folder, "test", "-no-color", env=env)


def test_a_destroy_deletes_the_guard_before_all_else(needs: dict[str, set[str]]) -> None:
    """A protected guard cannot be deleted, and Terraform deletes nothing that it depends on."""
    everything = {name for name in needs if "data." not in name}
    assert len([name for name in everything if name.startswith("module.")]) > MANY
    assert everything - needs["aws_dynamodb_table.guard"] == {"aws_dynamodb_table.guard"}


def test_a_pipelines_guard_is_deleted_before_all_else(pipeline_needs: dict[str, set[str]]) -> None:
    everything = {name for name in pipeline_needs if not name.startswith("data.")}
    assert everything - pipeline_needs["aws_dynamodb_table.guard"] == {"aws_dynamodb_table.guard"}


def test_roles_outlive_the_network_interfaces(pipeline_needs: dict[str, set[str]]) -> None:
    """Lambda uses the roles to delete the network interfaces, and the security group goes after those."""
    functions = ("dlq_replayer", "reconciler", "schema", "stream_consumer")
    assert {f"aws_iam_role_policy.{name}" for name in functions} < pipeline_needs["aws_security_group.consumer"]
    for name in functions:
        assert "aws_security_group.consumer" in pipeline_needs[f"aws_lambda_function.{name}"]


@pytest.mark.parametrize("function", ["stream_consumer", "dlq_replayer", "reconciler"])
def test_new_code_is_live_after_its_schema_step(pipeline_needs: dict[str, set[str]], function: str) -> None:
    needed = pipeline_needs[f"aws_lambda_alias.{function}"]
    assert {"aws_lambda_invocation.schema", f"aws_lambda_function.{function}"} < needed


def test_the_composite_alarm_is_replaced_when_its_alarms_change(pipeline_needs: dict[str, set[str]]) -> None:
    """CloudWatch deletes no alarm that a composite alarm names, and Terraform deletes before it updates."""
    (composite,) = blocks(
        "resource", "aws_cloudwatch_composite_alarm", "replication_at_risk", folder=TERRAFORM / "modules" / "pipeline"
    )
    (lifecycle,) = composite.attributes["lifecycle"]
    assert lifecycle["replace_triggered_by"] == ["${terraform_data.risk_alarms}"]
    assert "terraform_data.risk_alarms" in pipeline_needs["aws_cloudwatch_composite_alarm.replication_at_risk"]


def test_the_schema_step_waits_for_the_endpoints(needs: dict[str, set[str]]) -> None:
    """In a VPC without internet access it reaches nothing before them."""
    endpoints = {f"module.vpc_endpoints.aws_vpc_endpoint.{name}" for name in ("gateway", "interface", "streams")}
    rule = "module.vpc_endpoints.aws_vpc_security_group_ingress_rule.endpoints"
    assert endpoints | {rule} < needs["module.pipeline.aws_lambda_invocation.schema"]


def test_the_alias_is_what_is_called(pipeline_needs: dict[str, set[str]]) -> None:
    assert "aws_lambda_alias.stream_consumer" in pipeline_needs["aws_lambda_event_source_mapping.stream"]
    assert "aws_lambda_alias.dlq_replayer" in pipeline_needs["aws_sfn_state_machine.replay"]
    assert "aws_lambda_alias.reconciler" in pipeline_needs["aws_sfn_state_machine.job"]
