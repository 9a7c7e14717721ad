"""Rules for Terraform's sources: descriptions, pinned versions, policies without wildcards, outputs and variables."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common import heartbeat, mapping
from common.heartbeat import Heartbeat
from common.layout import (
    DEFERRED,
    EVER_PARKED,
    EXPIRED,
    EXPORTS,
    FAILED,
    HYDRATED,
    LOAD,
    PRUNE,
    QUARANTINE,
    REPAIRED,
    REPLAY,
    REPLAYED,
    SEED,
    SEEDED,
    UNFINISHED,
    VERIFIED,
    VERIFY,
    settled_key,
)  # fmt: skip
from scripts.build import ROOT
from scripts.generators import configuration
from scripts.generators.hcl import MODULES, TERRAFORM, Block, blocks, parse
from scripts.generators.settings_classes import settings_of

LOCK_FILE = TERRAFORM / ".terraform.lock.hcl"
PLATFORMS = 4  # at least Linux and macOS, on amd64 and arm64
AWS_PROVIDER = "registry.terraform.io/hashicorp/aws"
# AWS allows nothing narrower. The sources give the reason for each.
WILDCARD_RESOURCES = {
    (
        "telemetry",
        "arn:${local.partition}:logs:${local.region}:${local.account_id}:log-group:/aws/lambda/${each.value}:*",
    ),
    ("telemetry", "*"),  # X-Ray
    ("vpc_access", "*"),  # network interfaces
    ("failures_bucket", "${local.failures_bucket_arn}/*"),  # a bucket policy that denies
    ("stream_consumer", "${local.failures_bucket_arn}/*"),  # Lambda chooses the keys
    ("stream_consumer", f"${{local.failures_bucket_arn}}/{UNFINISHED}*"),  # one object per batch
    ("stream_consumer", "${local.table_arn}/stream/*"),  # ListStreams
    ("dlq_replayer", "${local.table_arn}/stream/*"),  # a pointer may refer to an earlier stream
    ("dlq_replayer", "${local.replay_executions_arn}:*"),  # the holder of the lock
    ("replay", "${local.replay_executions_arn}:*"),  # lanes
    ("replay", "${local.replay_executions_arn}/Drain:*"),  # lanes
    ("replay", "*"),  # log deliveries, X-Ray
    *(
        ("reconciler", f"${{local.failures_bucket_arn}}/{folder}*")
        for folder in (LOAD, VERIFY, VERIFIED, REPAIRED, EXPORTS, SEED, SEEDED, PRUNE, EXPIRED, *EVER_PARKED)
    ),
    ("reconciler", "${local.table_arn}/export/*"),  # DynamoDB names each export
    ("reconciler", f"${{local.failures_bucket_arn}}/{settled_key(EXPIRED)}*"),
    ("reconciler", '${[for job, arn in local.job_execution_arns : "${arn}:*"]}'),  # the holder of the lock
    ("reconciler", "*"),  # metrics
    ("monitor", f"${{local.failures_bucket_arn}}/{VERIFIED}*"),
    ("monitor", "${local.replay_executions_arn}:*"),  # how a replay ended
    ("monitor", "*"),  # metrics
    ("job", "${local.job_execution_arns[each.key]}:*"),  # lanes
    ("job", "${local.job_execution_arns[each.key]}/${each.value.map_label}:*"),  # lanes
    ("job", "*"),  # log deliveries, X-Ray
    *(
        ("dlq_replayer", f"${{local.failures_bucket_arn}}/{folder}*")
        for folder in (FAILED, HYDRATED, DEFERRED, EXPIRED, QUARANTINE, REPLAY, REPLAYED)
    ),
}
# What somebody may attach a policy, an alarm, a subscription or a trigger to.
ATTACHABLE = (
    "aws_cloudwatch_composite_alarm", "aws_cloudwatch_event_rule", "aws_cloudwatch_log_group",
    "aws_cloudwatch_metric_alarm", "aws_db_proxy", "aws_dynamodb_table", "aws_iam_role", "aws_lambda_alias",
    "aws_lambda_event_source_mapping", "aws_lambda_function", "aws_s3_bucket", "aws_secretsmanager_secret",
    "aws_sfn_state_machine", "aws_sns_topic", "aws_sqs_queue",
)  # fmt: skip
# The ARNs of a table and of a topic are made of their names. Nobody uses the empty table.
NO_OUTPUT_NEEDED = {"aws_dynamodb_table.source", "aws_dynamodb_table.guard", "aws_sns_topic.alarms"}
FOLDERS = (TERRAFORM, *MODULES)
# The root also takes null where null chooses by other variables, or names its own resource.
OTHER_IN_THE_ROOT = {"create_rds_proxy", "table_name", "rds_sg_id", "tags"}
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
EC2_TEXT = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{1,255}")


def nested(value: Any) -> Iterator[dict[str, Any]]:
    """Every map inside a parsed block, the block itself included."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nested(inner)


def statements(document: str | None = None) -> list[tuple[str, dict[str, Any]]]:
    """Every statement of the policy documents, those of dynamic blocks included, with its document's name."""
    labels = ("aws_iam_policy_document", *([document] if document else []))
    return [
        (block.labels[1], found)
        for block in blocks("data", *labels)
        for found in nested(block.attributes)
        if "actions" in found
    ]


def wildcards(attribute: str) -> set[tuple[str, str]]:
    """Policy document and value of every name or ARN with a star in it."""
    return {
        (document, value)
        for document, statement in statements()
        for value in _listed(statement.get(attribute, []))
        if "*" in value
    }


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def test_ec2_takes_every_security_group_text() -> None:
    """Neither the provider nor an emulator checks them: an apostrophe fails the first apply on AWS."""
    kinds = ("aws_security_group", "aws_vpc_security_group_egress_rule", "aws_vpc_security_group_ingress_rule")
    resources = [block.attributes for kind in kinds for block in blocks("resource", kind)]
    texts = {attributes["description"] for attributes in resources if "description" in attributes}
    assert len(texts) >= 3
    assert {text for text in texts if not EC2_TEXT.fullmatch(text)} == set()


@pytest.mark.skipif(not shutil.which("terraform"), reason="terraform is not installed")
def test_terraform_is_formatted() -> None:
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-diff", "-recursive", str(TERRAFORM)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", ["variable", "output"])
def test_variables_and_outputs_are_described(kind: str) -> None:
    assert [block.labels[0] for block in blocks(kind) if not block.attributes.get("description")] == []


def test_variables_have_a_type() -> None:
    assert [block.labels[0] for block in blocks("variable") if "type" not in block.attributes] == []


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        (".", {"aws_region", "env", "vpc_id", "rds_sg_id", "rds_secret_arn", "rds_connection_param_name"}),
        ("modules/orders_api", {"env", "table_name"}),
        ("modules/pipeline", {"env", "pipeline", "vpc_id", "rds_secret_arn", "rds_connection_param_name"}),
        ("modules/vpc_endpoints", {"env", "vpc_id", "services"}),
    ],
)
def test_only_these_variables_are_required(folder: str, names: set[str]) -> None:
    variables = blocks("variable", folder=TERRAFORM / folder)
    assert {block.labels[0] for block in variables if "default" not in block.attributes} == names


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_variables_are_used(folder: Path) -> None:
    text = "\n".join(file.read_text() for file in folder.glob("*.tf") if file.name != "variables.tf")
    names = [block.labels[0] for block in blocks("variable", folder=folder)]
    assert [name for name in names if not re.search(rf"\bvar\.{name}\b", text)] == []


@pytest.mark.parametrize("folder", MODULES, ids=lambda folder: folder.name)
def test_the_root_checks_values_as_its_modules_do(folder: Path) -> None:
    """A variable of the root with the name of a module's has its type, default and rules."""
    root = {block.labels[0]: block.attributes for block in blocks("variable", folder=TERRAFORM)}
    differing = {
        block.labels[0]
        for block in blocks("variable", folder=folder)
        for name in ("type", "default", "validation")
        if block.labels[0] in root and root[block.labels[0]].get(name) != block.attributes.get(name)
    }
    assert differing - OTHER_IN_THE_ROOT == set()


@pytest.mark.parametrize("folder", MODULES, ids=lambda folder: folder.name)
def test_the_root_has_the_rules_of_a_modules_tags(folder: Path) -> None:
    """And one more, because the root adds two tags."""
    (root,), (module,) = (blocks("variable", "tags", folder=home) for home in (TERRAFORM, folder))
    assert root.attributes["validation"][:-1] == module.attributes["validation"]


@pytest.mark.parametrize("call", blocks("module", folder=TERRAFORM), ids=lambda call: call.labels[0])
def test_the_root_passes_its_variables_on(call: Block) -> None:
    """A variable that is not passed on keeps the default of the module, whatever the operator sets."""
    shared = {block.labels[0] for block in blocks("variable", folder=TERRAFORM)} & {
        block.labels[0] for block in blocks("variable", folder=TERRAFORM / call.attributes["source"])
    }
    given = {name for name in shared if call.attributes.get(name) in (f"${{var.{name}}}", f"${{local.{name}}}")}
    assert shared - given == ({"create_rds_proxy"} if call.labels[0] == "pipeline" else set()) | {"tags"}


@pytest.mark.parametrize("folder", MODULES, ids=lambda folder: folder.name)
def test_a_module_has_no_provider_and_no_backend(folder: Path) -> None:
    """Terraform refuses for_each on a module with a provider block."""
    assert blocks("provider", folder=folder) == []
    (settings,) = blocks("terraform", folder=folder)
    assert "backend" not in settings.attributes
    (required,) = settings.attributes["required_providers"]
    assert required["aws"]["version"] == ">= 5.100"


def test_only_the_aws_provider_is_used() -> None:
    """Besides terraform_data, which is part of Terraform."""
    used = {block.labels[0].split("_")[0] for kind in ("resource", "data") for block in blocks(kind)}
    assert used - {"terraform"} == {"aws"}


def test_the_lock_file_has_the_exact_version_and_hashes() -> None:
    """For every platform: `zh:` is the archive in the registry, `h1:` also an unpacked package in a mirror."""
    (settings,) = blocks("terraform", folder=TERRAFORM)
    (required,) = settings.attributes["required_providers"]
    asked = {name: value for name, value in required.items() if isinstance(value, dict)}
    assert asked == {"aws": {"source": "hashicorp/aws", "version": ">= 5.100"}}
    ((locked),) = parse(LOCK_FILE.read_text())["provider"]
    assert set(locked) == {AWS_PROVIDER}
    assert locked[AWS_PROVIDER]["version"] == "5.100.0"
    assert locked[AWS_PROVIDER]["constraints"] == f"{asked['aws']['version']}.0"
    hashes = locked[AWS_PROVIDER]["hashes"]
    packages = [text for text in hashes if text.startswith("h1:")]
    archives = [text for text in hashes if text.startswith("zh:")]
    assert len(packages) >= PLATFORMS
    assert len(archives) > PLATFORMS  # of every platform, and of the registry's manifest
    assert len(set(hashes)) == len(packages) + len(archives)


def test_roles_get_exact_resources() -> None:
    assert wildcards("resources") == WILDCARD_RESOURCES


def test_roles_get_exact_actions() -> None:
    assert wildcards("actions") == {("failures_bucket", "s3:*"), ("failures_queue", "sqs:*")}  # denied without TLS


def granted(role: str, action: str) -> set[str]:
    """The folders of the failures bucket for which a role has `action`."""
    found = {
        folder
        for _, statement in statements(role)
        if action in statement["actions"]
        for resource in _listed(statement["resources"])
        for folder in re.findall(r"failures_bucket_arn\}/(.*)\*", resource)
    }
    assert found, (role, action)
    return found


def test_the_consumer_may_read_its_notes() -> None:
    """It reads them during an outage of many rows. A refusal would block the shard."""
    assert granted("stream_consumer", "s3:GetObject") == {UNFINISHED}
    assert granted("stream_consumer", "s3:PutObject") == {""}


def test_the_replayer_may_use_the_folders_of_its_code() -> None:
    """A conditional delete also needs the right to read.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-delete-enforce.html
    """
    moved = {FAILED, DEFERRED, QUARANTINE}
    assert granted("dlq_replayer", "s3:DeleteObject") == moved
    assert granted("dlq_replayer", "s3:GetObject") == moved | {EXPIRED, REPLAYED, REPLAY}
    written = {DEFERRED, QUARANTINE, REPLAYED, REPLAY, HYDRATED, EXPIRED}
    assert granted("dlq_replayer", "s3:PutObject") == written


def test_the_reconciler_may_use_the_folders_of_its_jobs() -> None:
    own = {LOAD, VERIFY, VERIFIED, REPAIRED, EXPORTS, SEED, SEEDED, PRUNE}
    assert granted("reconciler", "s3:DeleteObject") == {EXPIRED}
    assert granted("reconciler", "s3:GetObject") == own | {EXPIRED, *EVER_PARKED}
    assert granted("reconciler", "s3:PutObject") == own | {settled_key(EXPIRED)}


def test_the_monitor_reads_and_changes_nothing() -> None:
    """The heartbeat is all that it may write, and it may read the proof alone of the bucket's content."""
    actions = {action for _, found in statements("monitor") for action in found["actions"]}
    assert actions == {
        "cloudwatch:GetMetricStatistics", "dynamodb:PutItem", "kms:Decrypt", "lambda:GetEventSourceMapping",
        "s3:GetObject", "s3:ListBucket", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "states:DescribeExecution",
        "states:ListExecutions",
    }  # fmt: skip
    assert granted("monitor", "s3:GetObject") == {VERIFIED}


def test_terraform_and_code_name_the_same_heartbeat() -> None:
    """The rights of the role name the attribute and the key that the monitor writes."""
    (local,) = (
        block.attributes["heartbeat"]
        for block in blocks("locals", folder=TERRAFORM / "modules" / "pipeline")
        if "heartbeat" in block.attributes
    )
    orders = Heartbeat(mapping.load("orders"))
    assert local == {"attribute": heartbeat.TIME, "key": orders.key["p_key"]["S"]}


def test_the_reconciler_may_make_the_calls_for_exports() -> None:
    """DynamoDB writes the files with the rights of the role, in parts where they are large."""
    source = (ROOT / "lambdas" / "reconciler" / "verify" / "exports.py").read_text()
    operations = re.findall(r'self\._ask\(\s*"(\w+)"', source)
    calls = {f"dynamodb:{operation.title().replace('_', '')}" for operation in operations}
    allowed = {action for _, statement in statements("reconciler") for action in statement["actions"]}
    assert len(calls) == source.count("self._ask(")
    assert calls <= allowed
    for action in ("s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload"):
        assert EXPORTS in granted("reconciler", action)


@pytest.mark.parametrize("function", ["dlq_replayer", "reconciler"])
def test_a_function_may_hold_the_lock_that_it_takes(function: str) -> None:
    """The policy names the item. No emulator checks it."""
    (policy,) = (found for _, found in statements(function) if found["sid"] == "HoldLock")
    handler = (ROOT / "lambdas" / function / "handler.py").read_text()
    assert re.findall(r'Lock\(.*, "(\w+)"\)', handler) == policy["condition"][0]["values"]


def test_policies_are_policy_documents() -> None:
    for kind in ("aws_iam_role", "aws_iam_role_policy", "aws_s3_bucket_policy", "aws_sns_topic_policy"):
        for block in blocks("resource", kind):
            given = [block.attributes[name] for name in ("policy", "assume_role_policy") if name in block.attributes]
            assert [value.startswith("${data.aws_iam_policy_document.") for value in given] == [True], block.labels


@pytest.mark.parametrize("module", ["orders_api", "pipeline"])
def test_each_function_has_its_role_and_log_group(module: str) -> None:
    """Without Terraform's log group the function would create one without a retention."""
    folder = TERRAFORM / "modules" / module
    (names,) = (
        block.attributes["function_names"]
        for block in blocks("locals", folder=folder)
        if "function_names" in block.attributes
    )
    functions = blocks("resource", "aws_lambda_function", folder=folder)
    for block in functions:
        assert block.attributes["role"] == f'${{aws_iam_role.function["{block.labels[1]}"].arn}}'
        assert "${aws_cloudwatch_log_group.function}" in block.attributes["depends_on"]
    assert {block.labels[1] for block in functions} == set(names)


@pytest.mark.parametrize("function", [block.labels[1] for block in blocks("resource", "aws_lambda_function")])
def test_functions_get_exactly_what_they_read(function: str) -> None:
    """A variable that Terraform does not set keeps its default, whatever the operator configured."""
    (block,) = blocks("resource", "aws_lambda_function", function)
    given, read = set(configuration.environment_of(block)), set(settings_of(block.attributes["handler"]))
    assert given - (set(configuration.LIBRARIES) - read) == read


@pytest.mark.parametrize("folder", MODULES, ids=lambda folder: folder.name)
def test_a_module_has_an_output_for_each_arn(folder: Path) -> None:
    outputs = {block.labels[0]: block.attributes["value"] for block in blocks("output", folder=folder)}
    for shared in _outputs(folder):
        outputs |= shared
    arns = " ".join(str(value) for name, value in outputs.items() if name.endswith(("_arn", "_arns")))
    found = {".".join(block.labels) for kind in ATTACHABLE for block in blocks("resource", kind, folder=folder)}
    assert {name for name in found - NO_OUTPUT_NEEDED if not re.search(rf"{re.escape(name)}\b", arns)} == set()


def test_the_outputs_parameter_holds_every_output() -> None:
    """Outputs and parameter come from one map, and only texts for people are left out of it."""
    (outputs,) = _outputs(TERRAFORM)
    given = {block.labels[0]: block.attributes["value"] for block in blocks("output", folder=TERRAFORM)}
    del given["schema_step_warnings"]
    assert given == {name: f"${{local.outputs.{name}}}" for name in outputs}
    (parameter,) = blocks("resource", "aws_ssm_parameter", "outputs", folder=TERRAFORM)
    assert parameter.attributes["insecure_value"] == "${jsonencode(local.outputs)}"


def test_the_parameter_of_a_pipeline_has_the_roots_names() -> None:
    """The CLI reads both."""
    root, pipeline = _outputs(TERRAFORM)[0], _outputs(TERRAFORM / "modules" / "pipeline")[0]
    assert set(root) - set(pipeline) == {
        "api_url", "api_secret_arn", "api_function_name", "idempotency_table_name", "outputs_param_name",
    }  # fmt: skip
    given = {
        block.labels[0]: block.attributes["value"] for block in blocks("output", folder=TERRAFORM / "modules/pipeline")
    }
    assert {name: given[name] for name in pipeline} == {name: f"${{local.outputs.{name}}}" for name in pipeline}


def _outputs(folder: Path) -> list[dict[str, Any]]:
    return [block.attributes["outputs"] for block in blocks("locals", folder=folder) if "outputs" in block.attributes]
