"""Plans the configuration with the real provider, without an AWS account.

The mocked provider is not enough: the real one fills in defaults, which it also sends to AWS.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from scripts.local_stack.settings import REPOSITORY
from scripts.local_stack.terraform import NEIGHBOURS, link_mirror

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Variables = dict[str, Any]

PROVIDER = """provider "aws" {
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}
"""
GIVEN: Variables = {
    "aws_region": "eu-west-1",
    "env": "test",
    "vpc_id": "vpc-0123456789abcdef0",
    "rds_sg_id": "sg-0123456789abcdef0",
    "rds_secret_arn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:mysql-AbCdEf",
    "rds_connection_param_name": "/test/mysql",
    "build_dir": "./tests/fixture",
}
# Answers of the data sources.
DATA = {
    "aws_caller_identity.current": {"account_id": "123456789012"},
    "aws_route_table.main": {"id": "rtb-0123456789abcdef0"},
    "aws_route_table.private": {"id": "rtb-0123456789abcdef1", "associations": []},
    "aws_route_tables.private": {"ids": ["rtb-0123456789abcdef1"]},
    "aws_subnet.private": {"availability_zone": "eu-west-1a"},
    "aws_subnets.private": {"ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]},
    "aws_vpc.endpoints": {"cidr_block_associations": [{"cidr_block": "10.0.0.0/16"}]},
    "aws_vpc_endpoint_service.interface": {"availability_zones": ["eu-west-1a"]},
}
# Values that AWS makes up, in their longest form, in place of the references to them. One unknown value would hide a
# whole map from the plan.
_SECRET = "arn:aws:secretsmanager:${var.aws_region}:123456789012:secret:${local.prefix}-api-AbCdEf"
_STREAM = "arn:aws:dynamodb:${var.aws_region}:123456789012:table/${local.prefix}-orders/stream/2026-11-25T12:34:56.789"
_QUEUE = "https://sqs.${var.aws_region}.amazonaws.com/123456789012/${local.prefix}-failures"
_STREAMS_HOST = "vpce-0123456789abcdef0-01234567.streams.dynamodb.${var.aws_region}.vpce.amazonaws.com"
_URL = "https://abcdefghij.execute-api.${var.aws_region}.amazonaws.com/${var.env}"
MADE_UP = {
    '"API_SECRET_ARN" => secret.arn': f'"API_SECRET_ARN" => "{_SECRET}"',
    "[for secret in aws_secretsmanager_secret.api : secret.arn]": f'["{_SECRET}"]',
    "[for queue in aws_sqs_queue.failures : queue.url]": f'["{_QUEUE}"]',
    "aws_api_gateway_stage.live.invoke_url": f'"{_URL}"',
    "aws_dynamodb_table.orders.stream_arn": f'"{_STREAM}"',
    "aws_lambda_event_source_mapping.orders.uuid": '"01234567-89ab-cdef-0123-456789abcdef"',
    "aws_sfn_state_machine.replay.arn": "local.replay_arn",
    "endpoint.dns_entry[0].dns_name": f'"{_STREAMS_HOST}"',
}
# Without this the provider asks Step Functions to validate the definition.
RESOURCES = {"aws_sfn_state_machine.replay": {"arn": "arn:aws:states:eu-west-1:123456789012:stateMachine:planned"}}


@dataclass(frozen=True)
class Planned:
    plan: str
    address: str
    type: str
    values: Mapping[str, Any]


def copy_configuration(home: Path) -> Path:
    """A copy for `plan`, so that Terraform writes nothing into the sources."""
    folder = home / "terraform"
    shutil.copytree(REPOSITORY / "terraform" / "tests" / "fixture", folder / "tests" / "fixture")
    sources = {source.name: source.read_text() for source in (REPOSITORY / "terraform").glob("*.tf")}
    assert [reference for reference in MADE_UP if not any(reference in text for text in sources.values())] == []
    for name, text in sources.items():
        (folder / name).write_text(reduce(lambda text, made: text.replace(*made), MADE_UP.items(), text))
    shutil.copy(REPOSITORY / "terraform" / ".terraform.lock.hcl", folder)
    for neighbour in NEIGHBOURS:
        (home / neighbour).symlink_to(REPOSITORY / neighbour)
    (folder / "provider_override.tf").write_text(PROVIDER)
    return folder


def plan(folder: Path, variants: Mapping[str, Variables]) -> list[Planned]:
    """The resources that each variant of the variables would create, with the values known before apply."""
    link_mirror(folder)
    runs = {name: {"command": "plan", "variables": variables} for name, variables in variants.items()}
    test = {
        "variables": GIVEN,
        "override_data": [{"target": f"data.{target}", "values": values} for target, values in DATA.items()],
        "override_resource": [{"target": target, "values": values} for target, values in RESOURCES.items()],
        "run": runs,
    }
    (folder / "tests" / "plans.tftest.json").write_text(json.dumps(test))
    _terraform(folder, "init", "-backend=false", "-lockfile=readonly", "-no-color")
    messages = [json.loads(line) for line in _terraform(folder, "test", "-json", "-verbose").splitlines()]
    return [
        Planned(message["@testrun"], change["address"], change["type"], change["change"]["after"])
        for message in messages
        if message["type"] == "test_plan"
        for change in message["test_plan"]["resource_changes"]
        if change["mode"] == "managed"
    ]


def _terraform(folder: Path, *arguments: str) -> str:
    # Without the user's AWS settings and Terraform variables.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_VAR_"))}
    done = subprocess.run(
        ["terraform", *arguments], cwd=folder, env=inherited, capture_output=True, text=True, check=False
    )
    # Terraform prints the whole provider schema with every plan, so only the errors are shown.
    assert done.returncode == 0, [line for line in done.stdout.splitlines() if "rror" in line[:200]] or done.stderr
    return done.stdout
