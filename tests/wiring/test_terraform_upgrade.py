"""An existing deployment keeps every resource: the configuration is planned from states of the one before it.

The states in `states/` are of deployments from before Terraform had modules, which together had every resource but the
endpoint of DynamoDB Streams. They were applied to MiniStack. `@` surrounds what each run fills in.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.generators.hcl import TERRAFORM, blocks
from scripts.local_stack.emulator import MiniStack, aws_environment, client
from scripts.local_stack.terraform import OVERRIDES, copy_configuration
from tests.support.provider import initialise

STATES = Path(__file__).with_name("states")
STATE_NAMES = ("s3", "sqs")
# The functions get MAPPING, and the aliases of the published ones move to the new version.
UPDATED = {
    "module.pipeline.aws_lambda_alias.dlq_replayer",
    "module.pipeline.aws_lambda_alias.stream_consumer",
    "module.pipeline.aws_lambda_function.dlq_replayer",
    "module.pipeline.aws_lambda_function.schema",
    "module.pipeline.aws_lambda_function.stream_consumer",
}
# MiniStack does not store these settings, so the earlier configuration planned the same updates from these states.
NOT_STORED = {
    "module.orders_api.aws_api_gateway_stage.live": "access_log_settings",
    "module.pipeline.aws_lambda_event_source_mapping.stream": "metrics_config",
    "module.pipeline.aws_sfn_state_machine.replay": "tracing_configuration",
    'module.vpc_endpoints.aws_vpc_endpoint.interface["secretsmanager"]': "private_dns_enabled",
    'module.vpc_endpoints.aws_vpc_endpoint.interface["sqs"]': "private_dns_enabled",
    'module.vpc_endpoints.aws_vpc_endpoint.interface["ssm"]': "private_dns_enabled",
}
# MiniStack has no service for this endpoint.
NOT_IN_A_STATE = {"aws_vpc_endpoint.streams"}
# Load, verification, seed, prune and monitor came after the states.
CREATED = {
    'module.pipeline.aws_cloudwatch_log_group.function["reconciler"]',
    'module.pipeline.aws_cloudwatch_log_group.job["load"]',
    'module.pipeline.aws_cloudwatch_log_group.job["verify"]',
    'module.pipeline.aws_iam_role.function["reconciler"]',
    'module.pipeline.aws_iam_role.job["load"]',
    'module.pipeline.aws_iam_role.job["verify"]',
    'module.pipeline.aws_iam_role_policy.job["load"]',
    'module.pipeline.aws_iam_role_policy.job["verify"]',
    "module.pipeline.aws_iam_role_policy.reconciler",
    "module.pipeline.aws_iam_role_policy.reconciler_mapping",
    "module.pipeline.aws_lambda_alias.reconciler",
    "module.pipeline.aws_lambda_function.reconciler",
    'module.pipeline.aws_sfn_state_machine.job["load"]',
    'module.pipeline.aws_sfn_state_machine.job["verify"]',
    "module.pipeline.aws_cloudwatch_event_rule.monitor",
    "module.pipeline.aws_cloudwatch_event_target.monitor",
    'module.pipeline.aws_cloudwatch_log_group.function["monitor"]',
    'module.pipeline.aws_iam_role.function["monitor"]',
    "module.pipeline.aws_iam_role_policy.monitor",
    "module.pipeline.aws_lambda_function.monitor",
    "module.pipeline.aws_lambda_function_event_invoke_config.monitor",
    "module.pipeline.aws_lambda_permission.monitor",
    'module.pipeline.aws_cloudwatch_log_group.job["seed"]',
    'module.pipeline.aws_iam_role.job["seed"]',
    'module.pipeline.aws_iam_role_policy.job["seed"]',
    'module.pipeline.aws_sfn_state_machine.job["seed"]',
    'module.pipeline.aws_cloudwatch_log_group.job["prune"]',
    'module.pipeline.aws_iam_role.job["prune"]',
    'module.pipeline.aws_iam_role_policy.job["prune"]',
    'module.pipeline.aws_sfn_state_machine.job["prune"]',
}
# So did all resources of these types: the alarms and the dashboard.
CREATED_TYPES = {
    "aws_cloudwatch_composite_alarm",
    "aws_cloudwatch_dashboard",
    "aws_cloudwatch_metric_alarm",
    "aws_sns_topic",
    "aws_sns_topic_policy",
    "terraform_data",
}
# What learns of them: the parameter has their outputs, the bucket expires their files, and the replayer may start a
# verification.
EXTENDED = {
    "aws_ssm_parameter.outputs": {"insecure_value"},
    "module.pipeline.aws_iam_role_policy.dlq_replayer": {"policy"},
    'module.pipeline.aws_s3_bucket_lifecycle_configuration.failures["failures"]': {"rule"},
}
# Protection that came after the states, where the variables have it. The policies name the secret, so Terraform reads
# them again after its change.
PROTECTED: dict[str, set[str]] = {
    "module.orders_api.aws_iam_role_policy.api": set(),
    'module.orders_api.aws_iam_role_policy.api_authorizer["api"]': set(),
    'module.orders_api.aws_secretsmanager_secret.api["api"]': {"recovery_window_in_days"},
    'module.pipeline.aws_sqs_queue.failures["failures"]': {"policy"},
    'module.pipeline.aws_vpc_security_group_egress_rule.consumer_mysql["database"]': {"description"},
    'module.pipeline.aws_vpc_security_group_egress_rule.consumer_proxy["proxy"]': {"description"},
    'module.pipeline.aws_vpc_security_group_egress_rule.proxy_database["proxy"]': {"description"},
    'module.pipeline.aws_vpc_security_group_ingress_rule.database_proxy["proxy"]': {"description"},
    'module.pipeline.aws_vpc_security_group_ingress_rule.mysql_consumer["database"]': {"description"},
    'module.pipeline.aws_vpc_security_group_ingress_rule.proxy_consumer["proxy"]': {"description"},
}
# A key of the customer, and the attributes that Terraform leaves as they are when their block is left out.
KEY = "arn:aws:kms:us-east-1:000000000000:key/01234567-89ab-cdef-0123-456789abcdef"
CMK = "CUSTOMER_MANAGED_KMS_KEY"
ENCRYPTION = {"aws_dynamodb_table": "server_side_encryption", "aws_sfn_state_machine": "encryption_configuration"}
Change = dict[str, Any]

pytestmark = pytest.mark.skipif(not shutil.which("terraform"), reason="terraform is not installed")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """The URL of an emulator with a VPC, and the values for the states."""
    emulator = MiniStack(tmp_path_factory.mktemp("emulator"))
    emulator.start_fresh()
    ec2 = client("ec2", emulator.url)
    vpc = ec2.create_vpc(CidrBlock="10.42.0.0/16")["Vpc"]["VpcId"]
    tags = [{"ResourceType": "subnet", "Tags": [{"Key": "Tier", "Value": "Private"}]}]
    main = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"][0]["RouteTableId"]
    values = {"vpc": vpc, "route_table": main}
    for number, zone in enumerate("ab"):
        made = ec2.create_subnet(
            VpcId=vpc,
            CidrBlock=f"10.42.{number + 1}.0/24",
            AvailabilityZone=f"us-east-1{zone}",
            TagSpecifications=tags,
        )
        values[f"subnet{number}"] = made["Subnet"]["SubnetId"]
    yield emulator.url, values
    emulator.stop()


@pytest.fixture(scope="module")
def changes(
    network: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Change]]:
    """What each state's plan does to each managed resource, by its address."""
    return {name: planned_changes(name, tmp_path_factory.mktemp(name), *network) for name in STATE_NAMES}


def planned_changes(
    name: str, home: Path, url: str, values: dict[str, str], *, key_before: str = "", **variables: str
) -> dict[str, Change]:
    """With `key_before`, the stores of the state are encrypted with that key."""
    folder = home / "terraform"
    copy_configuration(folder)
    for override in ("backend_override.tf", "provider_override.tf"):
        (folder / override).write_text(OVERRIDES[override])
    shutil.copytree(TERRAFORM / "tests" / "fixture", folder / "tests" / "fixture")
    for zipped in (folder / "tests" / "fixture").glob("*.zip"):
        values = values | {zipped.name: base64.b64encode(hashlib.sha256(zipped.read_bytes()).digest()).decode()}
    state = json.loads(filled_in(f"{name}.state.json", values))
    (folder / "terraform.tfstate").write_text(json.dumps(encrypted(state, key_before) if key_before else state))
    given = json.loads(filled_in(f"{name}.tfvars.json", values)) | variables
    (folder / "state.auto.tfvars.json").write_text(json.dumps(given))
    initialise(folder)
    terraform(folder, url, "plan", "-refresh=false", "-out=plan")
    shown = json.loads(terraform(folder, url, "show", "-json", "plan"))
    return {change["address"]: change for change in shown["resource_changes"] if change["mode"] == "managed"}


def encrypted(state: Any, key: str) -> Any:
    """With tables and executions as AWS describes them where they use the key."""
    described = {
        "aws_dynamodb_table": {"server_side_encryption": [{"enabled": True, "kms_key_arn": key}]},
        "aws_sfn_state_machine": {
            "encryption_configuration": [{"kms_data_key_reuse_period_seconds": 300, "kms_key_id": key, "type": CMK}]
        },
    }
    for resource in state["resources"]:
        for instance in resource["instances"]:
            instance["attributes"] |= described.get(resource["type"], {})
    return state


def filled_in(name: str, values: dict[str, str]) -> str:
    return re.sub(r"@([\w.]+)@", lambda found: values[found[1]], (STATES / name).read_text())


def terraform(folder: Path, url: str, *arguments: str) -> str:
    environment = aws_environment(url, os.environ)
    done = subprocess.run(
        ["terraform", *arguments, "-no-color"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return done.stdout


def changed(change: Change) -> set[str]:
    """The attributes that an update sets, without those that are only known after it."""
    before, after = change["change"]["before"], change["change"]["after"]
    return {name for name, value in after.items() if value != before.get(name)}


def resources(name: str) -> set[str]:
    state = json.loads((STATES / f"{name}.state.json").read_text())
    return {f"{resource['type']}.{resource['name']}" for resource in state["resources"]}


@pytest.mark.parametrize("name", STATE_NAMES)
def test_nothing_is_replaced_or_destroyed(changes: dict[str, dict[str, Change]], name: str) -> None:
    """Only the parts of load, verification, seed and prune are created, the monitor, and alarms and dashboard."""
    actions = {address: change["change"]["actions"] for address, change in changes[name].items()}
    created = {address for address, action in actions.items() if action == ["create"]}
    assert {address for address in created if changes[name][address]["type"] not in CREATED_TYPES} == CREATED
    assert {changes[name][address]["type"] for address in created} >= CREATED_TYPES
    others = {address: action for address, action in actions.items() if action not in (["no-op"], ["create"])}
    assert {address: action for address, action in others.items() if action != ["update"]} == {}
    assert set(others) - set(NOT_STORED) - set(EXTENDED) - set(PROTECTED) == UPDATED


@pytest.mark.parametrize("name", STATE_NAMES)
def test_an_update_only_names_mapping_and_verification(changes: dict[str, dict[str, Change]], name: str) -> None:
    for address in UPDATED:
        change = changes[name][address]
        assert changed(change) == ({"environment"} if "lambda_function" in address else set()), address
        if "lambda_function" in address:
            before, after = (change["change"][key]["environment"][0]["variables"] for key in ("before", "after"))
            told = {"VERIFY_STATE_MACHINE_ARN": after.get("VERIFY_STATE_MACHINE_ARN")} if "replayer" in address else {}
            assert after == before | {"MAPPING": "orders"} | told
    for address, attributes in EXTENDED.items():
        assert changed(changes[name][address]) <= attributes, address
    for address, attributes in PROTECTED.items():
        if address in changes[name]:
            assert changed(changes[name][address]) <= attributes, address
    for address, attribute in NOT_STORED.items():
        if address in changes[name]:
            assert changed(changes[name][address]) <= {attribute}, address


@pytest.mark.parametrize("name", STATE_NAMES)
def test_every_resource_of_the_state_is_still_there(changes: dict[str, dict[str, Change]], name: str) -> None:
    kept = {
        address: change
        for address, change in changes[name].items()
        if address not in CREATED and change["type"] not in CREATED_TYPES
    }
    planned = {change.get("previous_address", address) for address, change in kept.items()}
    assert {re.sub(r"\[.*", "", address) for address in planned} == resources(name)


def test_every_move_is_of_a_resource_of_some_state() -> None:
    """Together the states have all resources that move."""
    moved = {re.sub(r"^\$\{|\[.*|\}$", "", block.attributes["from"]) for block in blocks("moved", folder=TERRAFORM)}
    assert moved - set().union(*(resources(name) for name in STATE_NAMES)) == NOT_IN_A_STATE


def encryption(changes: dict[str, Change], when: str) -> dict[str, Any]:
    """What encrypts the tables and executions of the state, before the plan or after it, by address."""
    found = {}
    for address, change in changes.items():
        attribute = ENCRYPTION.get(change["type"])
        if attribute and address not in CREATED:
            found[address] = change["change"][when][attribute]
    return found


def test_a_key_that_is_taken_away_is_used_no_more(
    network: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The roles lose the key in the same apply. A table that kept it could not be read by the consumer."""
    changes = planned_changes("s3", tmp_path_factory.mktemp("taken"), *network, key_before=KEY)
    before, after = encryption(changes, "before"), encryption(changes, "after")
    assert len(before) == 5
    assert all(KEY in json.dumps(one) for one in before.values())
    assert {address for address, (one,) in after.items() if one.get("enabled") or one.get("type") == CMK} == set()


def test_a_key_that_stays_is_no_change(
    network: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Step Functions describes its default for what the configuration leaves out."""
    changes = planned_changes("s3", tmp_path_factory.mktemp("kept"), *network, key_before=KEY, kms_key_arn=KEY)
    assert encryption(changes, "after") == encryption(changes, "before")
