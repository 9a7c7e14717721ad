"""Rules over Terraform's sources: described, pinned, no wildcards, and the functions' variables as documented."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from hcl_blocks import TERRAFORM, blocks, lists

from common.layout import DEFERRED, EXPIRED, FAILED, HYDRATED, QUARANTINE, REPLAY, REPLAYED, UNFINISHED
from scripts.build import ROOT

# What AWS leaves no other way for; each has its reason beside it.
WILDCARD_RESOURCES = {
    (
        "telemetry",
        "arn:${local.partition}:logs:${var.aws_region}:${local.account_id}:log-group:/aws/lambda/${each.value}:*",
    ),
    ("telemetry", "*"),  # X-Ray
    ("vpc_access", "*"),  # network interfaces
    ("failures_bucket", "${local.failures_bucket_arn}/*"),  # a bucket policy that denies
    ("stream_consumer", "${local.failures_bucket_arn}/*"),  # keys that Lambda makes up
    ("stream_consumer", f"${{local.failures_bucket_arn}}/{UNFINISHED}*"),  # one object a batch
    ("stream_consumer", "${local.orders_arn}/stream/*"),  # ListStreams
    ("dlq_replayer", "${local.orders_arn}/stream/*"),  # a pointer may be into an earlier stream
    ("dlq_replayer", "${local.replay_executions_arn}:*"),  # whoever holds the lock
    ("replay", "${local.replay_executions_arn}:*"),  # lanes
    ("replay", "${local.replay_executions_arn}/Drain:*"),  # lanes
    ("replay", "*"),  # log deliveries, X-Ray
    *(
        ("dlq_replayer", f"${{local.failures_bucket_arn}}/{folder}*")
        for folder in (FAILED, HYDRATED, DEFERRED, EXPIRED, QUARANTINE, REPLAY, REPLAYED)
    ),
}
FUNCTIONS = {
    "api": "api",
    "authorizer": "api_authorizer",
    "consumer": "stream_consumer",
    "replayer": "dlq_replayer",
    "schema": "schema",
}


# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
EC2_TEXT = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{1,255}")


def test_ec2_takes_every_description_of_a_security_group() -> None:
    """Neither the provider nor an emulator checks them: an apostrophe fails the first apply on AWS."""
    kinds = ("aws_security_group", "aws_vpc_security_group_egress_rule", "aws_vpc_security_group_ingress_rule")
    texts = {
        text
        for kind in kinds
        for block in blocks("resource", kind)
        for text in re.findall(r'^  description += "(.*)"$', block.body, re.MULTILINE)
    }
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
    bare = [
        block.labels[0] for block in blocks(kind) if not re.search(r'^  description = "\w', block.body, re.MULTILINE)
    ]
    assert bare == []


def test_variables_are_typed_and_only_the_references_six_have_no_default() -> None:
    untyped = [
        block.labels[0] for block in blocks("variable") if not re.search(r"^  type +=", block.body, re.MULTILINE)
    ]
    required = {
        block.labels[0] for block in blocks("variable") if not re.search(r"^  default +=", block.body, re.MULTILINE)
    }
    assert untyped == []
    assert required == {
        "aws_region",
        "env",
        "vpc_id",
        "rds_sg_id",
        "rds_secret_arn",
        "rds_connection_param_name",
    }


def test_variables_are_used() -> None:
    text = "\n".join(file.read_text() for file in TERRAFORM.glob("*.tf") if file.name != "variables.tf")
    assert [block.labels[0] for block in blocks("variable") if f"var.{block.labels[0]}" not in text] == []


def test_only_the_aws_provider_is_used_and_its_version_is_exact() -> None:
    (settings,) = blocks("terraform")
    assert re.findall(r'source += +"(.+)"', settings.body) == ["hashicorp/aws"]
    assert re.findall(r'^ +version += +"(.+)"', settings.body, re.MULTILINE) == ["5.100.0"]
    used = {block.labels[0].split("_")[0] for kind in ("resource", "data") for block in blocks(kind)}
    assert used == {"aws"}


def test_roles_get_exact_resources() -> None:
    wild = {
        (document.labels[1], resource)
        for document in blocks("data", "aws_iam_policy_document")
        for resources in lists(document, "resources")
        for resource in resources
        if "*" in resource
    }
    assert wild == WILDCARD_RESOURCES


def test_roles_get_exact_actions() -> None:
    wild = {
        (document.labels[1], action)
        for document in blocks("data", "aws_iam_policy_document")
        for actions in lists(document, "actions")
        for action in actions
        if "*" in action
    }
    assert wild == {("failures_bucket", "s3:*")}  # denied without TLS, whatever it is


def granted(role: str, action: str) -> set[str]:
    """The folders of the failures bucket for which a role has `action`."""
    (document,) = blocks("data", "aws_iam_policy_document", role)
    statements = re.split(r"^ +(?:statement|content) \{$", document.body, flags=re.MULTILINE)
    found = {
        text for one in statements if f'"{action}"' in one for text in re.findall(r"failures_bucket_arn\}/(.*)\*", one)
    }
    assert found, (role, action)
    return found


def test_the_consumer_may_read_what_it_has_noted() -> None:
    """It is asked for in the middle of an outage of many rows: a refusal would hold the shard."""
    assert granted("stream_consumer", "s3:GetObject") == {UNFINISHED}
    assert granted("stream_consumer", "s3:PutObject") == {""}


def test_the_replayer_may_use_the_folders_that_its_code_names() -> None:
    """A conditional delete takes the right to read, too.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-delete-enforce.html
    """
    moved = {FAILED, DEFERRED, QUARANTINE}
    assert granted("dlq_replayer", "s3:DeleteObject") == moved
    assert granted("dlq_replayer", "s3:GetObject") == moved | {EXPIRED, REPLAYED, REPLAY}
    written = {DEFERRED, QUARANTINE, REPLAYED, REPLAY, HYDRATED, EXPIRED}
    assert granted("dlq_replayer", "s3:PutObject") == written


def test_policies_are_written_as_policy_documents() -> None:
    for kind in ("aws_iam_role", "aws_iam_role_policy", "aws_s3_bucket_policy"):
        for block in blocks("resource", kind):
            given = re.findall(r"^ +(?:policy|assume_role_policy) += (.+)", block.body, re.MULTILINE)
            assert [value.startswith("data.aws_iam_policy_document.") for value in given] == [True], block.labels


def test_every_function_has_its_log_group_and_role_from_one_map() -> None:
    names = {block.labels[1] for block in blocks("resource", "aws_lambda_function")}
    for block in blocks("resource", "aws_lambda_function"):
        assert f'aws_iam_role.function["{block.labels[1]}"].arn' in block.body
        assert "aws_cloudwatch_log_group.function" in block.body, "the function would make a group without retention"
    assert names == set(FUNCTIONS.values())


def keys(text: str) -> set[str]:
    """Upper-case keys of the maps in a text, those of the locals that it merges in included."""
    found = set(re.findall(r'(?:^|\{)\s*"?([A-Z][A-Z0-9_]+)"? +=', text, re.MULTILINE))
    found |= set(re.findall(r'"([A-Z][A-Z0-9_]+)" =>', text))
    for name in re.findall(r"local\.(powertools|database_environment)\b", text):
        found |= keys(local(name))
    return found


def local(name: str) -> str:
    bodies = "\n".join(block.body for block in blocks("locals"))
    match = re.search(rf"^  {name} += (.*?)(?=^  \w|\Z)", bodies, re.MULTILINE | re.DOTALL)
    assert match, name
    return match[1]


def set_by_terraform(function: str) -> set[str]:
    (block,) = blocks("resource", "aws_lambda_function", function)
    environment = re.search(r"^  environment \{\n(.*?)^  \}", block.body, re.MULTILINE | re.DOTALL)
    assert environment, function
    return keys(environment[1])


def documented(function: str) -> set[str]:
    table = (ROOT / "docs" / "architecture.md").read_text().partition("## Environment variables")[2]
    rows = re.findall(r"^\| (`[A-Z].+?) \| (.+?) \|", table.partition("\n## ")[0], re.MULTILINE)
    return {
        name
        for names, functions in rows
        if functions == "all" or function in functions.split(", ")
        for name in re.findall(r"`([A-Z_]+)`", names)
    }


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_get_the_variables_that_are_documented(function: str) -> None:
    assert set_by_terraform(FUNCTIONS[function]) == documented(function)
