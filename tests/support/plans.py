"""Plans the configuration with the real provider, without an AWS account.

The mocked provider is not enough: the real one fills in defaults, which it also sends to AWS.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from scripts.generators.hcl import TERRAFORM, Block, blocks
from scripts.local_stack.settings import REPOSITORY
from scripts.local_stack.terraform import LOCK_FILE, NEIGHBOURS
from tests.support.provider import initialise, run_terraform, running_provider

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
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
# Answers of the data sources. Those with an index are in a module.
DATA = {
    "aws_caller_identity.current": {"account_id": "123456789012"},
    "aws_dynamodb_table.source": {
        "stream_arn": "arn:aws:dynamodb:eu-west-1:123456789012:table/customers/stream/2026-11-25T12:34:56.789",
        "stream_enabled": True,
        "stream_view_type": "NEW_AND_OLD_IMAGES",
    },
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
_SECRET = "arn:aws:secretsmanager:${local.region}:123456789012:secret:${local.prefix}-api-AbCdEf"
_STREAM = "arn:aws:dynamodb:${local.region}:123456789012:table/${table.name}/stream/2026-11-25T12:34:56.789"
_TABLES = "[for table in aws_dynamodb_table.source"
_MAPPING = "arn:aws:lambda:${local.region}:123456789012:event-source-mapping:01234567-89ab-cdef-0123-456789abcdef"
_QUEUE = "https://sqs.${local.region}.amazonaws.com/123456789012/${local.prefix}-failures"
_STREAMS_HOST = "vpce-0123456789abcdef0-01234567.streams.dynamodb.${local.region}.vpce.amazonaws.com"
_TOPIC = "arn:aws:sns:${local.region}:123456789012:${local.prefix}-alarms"
_URL = "https://abcdefghij.execute-api.${local.region}.amazonaws.com/${var.env}"
MADE_UP = {
    '"API_SECRET_ARN" => secret.arn': f'"API_SECRET_ARN" => "{_SECRET}"',
    "[for secret in aws_secretsmanager_secret.api : secret.arn]": f'["{_SECRET}"]',
    "[for topic in aws_sns_topic.alarms : topic.arn]": f'["{_TOPIC}"]',
    "aws_sns_topic.alarms[each.key].arn": f'"{_TOPIC}"',
    "[for queue in aws_sqs_queue.failures : queue.url]": f'["{_QUEUE}"]',
    "aws_api_gateway_stage.live.invoke_url": f'"{_URL}"',
    "aws_secretsmanager_secret.api[each.key].arn": f'"{_SECRET}"',
    "aws_secretsmanager_secret.api[statement.key].arn": f'"{_SECRET}"',
    "[aws_lambda_event_source_mapping.stream.arn]": f'["{_MAPPING}"]',
    f"{_TABLES} : table.stream_arn]": f'{_TABLES} : "{_STREAM}"]',
    "aws_lambda_event_source_mapping.stream.uuid": '"01234567-89ab-cdef-0123-456789abcdef"',
    'aws_sfn_state_machine.job["load"].arn': 'local.job_arns["load"]',
    'aws_sfn_state_machine.job["verify"].arn': 'local.job_arns["verify"]',
    'aws_sfn_state_machine.job["seed"].arn': 'local.job_arns["seed"]',
    'aws_sfn_state_machine.job["prune"].arn': 'local.job_arns["prune"]',
    "aws_sfn_state_machine.replay.arn": "local.replay_arn",
    "https://${endpoint.dns_entry[0].dns_name}": f"https://{_STREAMS_HOST}",
    "? one([for parameter in aws_ssm_parameter.rds_connection : parameter.name])": "? var.rds_connection_param_name",
}
# Names of roles are known at plan.
ROLE_ARN = (re.compile(r"(= )(aws_iam_role\.\S+)\.arn\b"), r'\1"arn:aws:iam::123456789012:role/${\2.name}"')
# Without this the provider asks Step Functions to validate the definition.
RESOURCES = {
    f"aws_sfn_state_machine.{name}": {"arn": "arn:aws:states:eu-west-1:123456789012:stateMachine:planned"}
    for name in ("job", "replay")
}


@dataclass(frozen=True)
class Planned:
    plan: str
    address: str
    type: str
    values: Mapping[str, Any]


def copy_configuration(home: Path) -> Path:
    """A copy of terraform/ for `plan`, so that Terraform writes nothing into the sources."""
    folder = home / "terraform"
    shutil.copytree(TERRAFORM / "tests" / "fixture", folder / "tests" / "fixture")
    shutil.copytree(TERRAFORM / "tests" / "fixture", home / "build")
    sources = {source.relative_to(TERRAFORM): source.read_text() for source in TERRAFORM.rglob("*.tf")}
    assert [reference for reference in MADE_UP if not any(reference in text for text in sources.values())] == []
    for name, text in sources.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        made_up = reduce(lambda text, made: text.replace(*made), MADE_UP.items(), text)
        (folder / name).write_text(ROLE_ARN[0].sub(ROLE_ARN[1], made_up))
    for neighbour in NEIGHBOURS:
        (home / neighbour).symlink_to(REPOSITORY / neighbour)
    return folder


def plan(folder: Path, variants: Mapping[str, Variables], given: Mapping[str, Any] = GIVEN) -> list[Planned]:
    """The resources that each variant of the variables would create, with the values known before apply."""
    (folder / "provider_override.tf").write_text(PROVIDER)
    if not (folder / LOCK_FILE).exists():
        shutil.copy(TERRAFORM / LOCK_FILE, folder)
    calls = {
        f"{block.labels[0]}{key}": folder / block.attributes["source"]
        for block in blocks("module", folder=folder)
        for key in _keys(block)
    }
    runs = {name: {"command": "plan", "variables": variables} for name, variables in variants.items()}
    test = {
        "variables": given,
        "override_data": [*_overrides("data", DATA, folder, calls)],
        "override_resource": [*_overrides("resource", RESOURCES, folder, calls)],
        "run": runs,
    }
    (folder / "tests").mkdir(exist_ok=True)
    (folder / "tests" / "plans.tftest.json").write_text(json.dumps(test))
    initialise(folder, "-backend=false")
    with running_provider(folder) as env:
        printed = run_terraform(folder, "test", "-json", "-verbose", env=env)
    messages = [json.loads(line) for line in printed.splitlines()]
    return [
        Planned(message["@testrun"], change["address"], change["type"], change["change"]["after"])
        for message in messages
        if message["type"] == "test_plan"
        for change in message["test_plan"]["resource_changes"]
        if change["mode"] == "managed"
    ]


def _keys(call: Block) -> list[str]:
    """Of each instance of a module, in brackets: of the default of the variable in its for_each."""
    if "for_each" not in call.attributes:
        return [""]
    name = call.attributes["for_each"].removeprefix("${var.").removesuffix("}")
    (variable,) = blocks("variable", name, folder=call.folder)
    return [f'["{key}"]' for key in variable.attributes["default"]]


def _overrides(
    kind: str, answers: Mapping[str, Any], folder: Path, calls: Mapping[str, Path]
) -> Iterator[dict[str, Any]]:
    """For each block in the configuration and in the modules that it calls."""
    for prefix, searched in {"": folder, **{f"module.{name}.": called for name, called in calls.items()}}.items():
        for block in blocks(kind, folder=searched.resolve()):
            name = ".".join(block.labels)
            if name in answers:
                target = f"{prefix}data.{name}" if kind == "data" else f"{prefix}{name}"
                yield {"target": target, "values": answers[name]}
