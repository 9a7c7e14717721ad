"""Planned values are checked against AWS's own constraints, before an apply would fail on them."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from test_terraform_wiring import MOCKS_SINCE, version

from scripts.generators.hcl import TERRAFORM, blocks
from tests.support.aws_constraints import attributes, untranslated, violations
from tests.support.aws_translation import DOCUMENTED, RELATED, TRANSLATIONS, UNSET, UNTRANSLATED
from tests.support.plan_variants import LARGEST, PROXY, SMALLEST, VARIANTS
from tests.support.plans import Planned, copy_configuration, plan

pytestmark = pytest.mark.skipif(version() < MOCKS_SINCE, reason="terraform test overrides data from Terraform 1.7 on")


# The root has these two itself. The examples plan them.
ONLY_IN_NAMED_PIPELINES = {"module.pipeline.aws_dynamodb_table.guard", "module.pipeline.aws_ssm_parameter.outputs"}


def test_aws_takes_every_value_that_is_planned(planned: list[Planned]) -> None:
    """Each value of each variant fits CloudFormation's schema, botocore's model and the documented rules."""
    assert violations(planned) == []


def test_every_attribute_is_translated_or_listed(planned: list[Planned]) -> None:
    """A new resource type or attribute needs a translation, or an entry in UNTRANSLATED."""
    assert untranslated(planned) == UNTRANSLATED


def test_every_resource_is_planned_in_some_variant(planned: list[Planned]) -> None:
    """A resource that no variant plans is not checked."""
    modules = {f"module.{block.labels[0]}.": block.attributes["source"] for block in blocks("module", folder=TERRAFORM)}
    folders = {"": TERRAFORM} | {prefix: TERRAFORM / source for prefix, source in modules.items()}
    written = {
        prefix + ".".join(block.labels)
        for prefix, folder in folders.items()
        for block in blocks("resource", folder=folder.resolve())
    }
    assert written - {resource.address.split("[")[0] for resource in planned} == ONLY_IN_NAMED_PIPELINES


def test_every_number_is_planned_at_both_ends() -> None:
    """An error may appear only below or above some value."""
    numbers = {
        block.labels[0] for block in blocks("variable", folder=TERRAFORM) if block.attributes["type"] == "number"
    }
    assert set(SMALLEST) == numbers
    assert set(LARGEST) == numbers


def test_every_declared_rule_meets_a_planned_value(planned: list[Planned]) -> None:
    """A rule for a removed or misspelled attribute would check nothing."""
    types = {resource.type for resource in planned}
    assert set(TRANSLATIONS) == types
    assert set(RELATED) <= types
    met = {(resource.type, path) for resource in planned for path, _ in attributes(resource.values)}
    assert set(DOCUMENTED) | set(UNSET) <= met


def test_every_functions_environment_is_measured(planned: list[Planned]) -> None:
    """One value that is only known after apply would hide the whole environment from the size rule."""
    functions = [resource for resource in planned if resource.type == "aws_lambda_function"]
    hidden = [one for one in functions if "environment.variables" not in dict(attributes(one.values))]
    assert {one.plan for one in functions} == set(VARIANTS)
    assert hidden == []


def test_the_outputs_parameter_is_measured_whole(planned: list[Planned]) -> None:
    """One value that is only known after apply would hide the JSON from the size rule."""
    held = [one for one in planned if one.address == "aws_ssm_parameter.outputs"]
    names = {block.labels[0] for block in blocks("output", folder=TERRAFORM)} - {"schema_step_warnings"}
    assert [set(json.loads(one.values["insecure_value"])) for one in held] == [names] * len(VARIANTS)


def test_the_policies_of_a_role_fit(planned: list[Planned]) -> None:
    """IAM counts the characters of all inline policies of a role, without white space.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    """
    sizes: Counter[tuple[str, str]] = Counter()
    for one in planned:
        if one.type == "aws_iam_role_policy":
            sizes[one.plan, one.values["role"]] += len("".join(one.values["policy"].split()))
    assert {role: size for role, size in sizes.items() if size > 10_240} == {}


@pytest.fixture(scope="module")
def errors_put_back(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The violations of a configuration with the errors that once made every first apply fail."""
    folder = copy_configuration(tmp_path_factory.mktemp("errors"))
    edit(folder / "modules/pipeline/network.tf", "Backstream functions", "Backstream's functions", times=1)
    edit(folder / "modules/vpc_endpoints/main.tf", "Backstream VPC", "Backstream's VPC", times=1)
    edit(folder / "modules/pipeline/rds_proxy.tf", "Backstream RDS", "Backstream's RDS", times=1)
    edit(folder / "modules/pipeline/rds_proxy.tf", r" +max_idle_connections_percent .*\n", "", times=1)
    variants = {"below": PROXY | {"create_vpc_endpoints": ["s3", "ssm"], "rds_proxy_max_connections_percent": 49}}
    return [f"{found.address} {found.attribute}" for found in violations(plan(folder, variants))]


def edit(file: Path, old: str, new: str, *, times: int) -> None:
    text, edits = re.subn(old, new, file.read_text())
    assert edits == times
    file.write_text(text)


def test_the_errors_of_the_first_apply_are_found(errors_put_back: list[str]) -> None:
    """Apostrophes in descriptions, and an idle share above the maximum: 50 is the provider's default."""
    idle = "connection_pool_config.max_idle_connections_percent"
    assert sorted(errors_put_back) == [
        f'module.pipeline.aws_db_proxy_default_target_group.mysql["proxy"] {idle}',
        'module.pipeline.aws_security_group.consumer["consumer"] description',
        'module.pipeline.aws_security_group.proxy["proxy"] description',
        'module.vpc_endpoints.aws_security_group.endpoints["endpoints"] description',
    ]


LONG_DOCUMENT = {"variables": {"MYSQL_CA_PEM": "x" * 4096}}
# Type, a value that violates one kind of rule, the model or page that refuses it, and part of the error.
WRONG = {
    "a string too long": ("aws_lambda_function", {"function_name": "f" * 141}, "lambda.CreateFunction", "is too long"),
    "a string too short": (
        "aws_iam_role_policy_attachment",
        {"policy_arn": "arn"},
        "iam.AttachRolePolicy",
        "is too short",
    ),
    "a pattern": ("aws_security_group", {"description": "it's"}, "AWS::EC2::SecurityGroup", "does not match"),
    "a pattern of botocore's": ("aws_iam_role", {"name": "a b"}, "iam.CreateRole", "does not match"),
    "a line break at the end": ("aws_iam_role", {"name": "a\n"}, "iam.CreateRole", "does not match"),
    "a choice": ("aws_sfn_state_machine", {"type": "FAST"}, "AWS::StepFunctions::StateMachine", "is not one of"),
    "a number too small": ("aws_lambda_function", {"memory_size": 127}, "lambda.CreateFunction", "minimum of 128"),
    "a number too large": (
        "aws_lambda_event_source_mapping",
        {"batch_size": 10001},
        "lambda.CreateEventSourceMapping",
        "maximum of 10000",
    ),
    "a number in a block": (
        "aws_db_proxy_default_target_group",
        {"connection_pool_config": [{"max_connections_percent": 101}]},
        "AWS::RDS::DBProxyTargetGroup",
        "maximum of 100",
    ),
    "the second of two blocks": (
        "aws_dynamodb_table",
        {"attribute": [{"name": "p_key", "type": "S"}, {"name": "s_key", "type": "T"}]},
        "AWS::DynamoDB::Table",
        "is not one of",
    ),
    "an element of a list": (
        "aws_lambda_function",
        {"architectures": ["z80"]},
        "lambda.CreateFunction",
        "is not one of",
    ),
    "a tag's name": ("aws_iam_role", {"tags_all": {"n" * 129: "v"}}, "iam.CreateRole", "is too long"),
    "a variable's name": (
        "aws_lambda_function",
        {"environment": [{"variables": {"1": "v"}}]},
        "lambda.CreateFunction",
        "does not match",
    ),
    "a documented size": ("aws_lambda_function", {"environment": [LONG_DOCUMENT]}, "gettingstarted-limits", "of 4096"),
    "a table's documented name": (
        "aws_dynamodb_table",
        {"name": "orders!"},
        "HowItWorks.NamingRules",
        "does not match",
    ),
    "an alias made of digits": ("aws_lambda_alias", {"name": "1"}, "AWS::Lambda::Alias", "does not match"),
    "an alias of no version": (
        "aws_lambda_alias",
        {"function_version": "newest"},
        "lambda.CreateAlias",
        "does not match",
    ),
    "a reserved concurrency below 0": (
        "aws_lambda_function",
        {"reserved_concurrent_executions": -2},
        "lambda.PutFunctionConcurrency",
        "minimum of 0",
    ),
    "a documented name": ("aws_ssm_parameter", {"name": "test/mysql"}, "API_PutParameter", "does not match"),
    "a standard parameter of 4 KB": (
        "aws_ssm_parameter",
        {"insecure_value": "v" * 4097},
        "API_PutParameter",
        "is too long",
    ),
    "a relation": (
        "aws_db_proxy_default_target_group",
        {"connection_pool_config": [{"max_connections_percent": 49, "max_idle_connections_percent": 50}]},
        "API_ConnectionPoolConfiguration",
        "50 is above",
    ),
}


@pytest.mark.parametrize(("kind", "values", "said_by", "error"), WRONG.values(), ids=WRONG)
def test_a_wrong_value_is_found(kind: str, values: dict[str, Any], said_by: str, error: str) -> None:
    """The checker finds a violation of each kind of rule, at any depth."""
    found = violations([Planned("mutated", f"{kind}.it", kind, values)])
    assert [one for one in found if said_by in one.said_by and error in one.error], found


def test_an_idle_share_as_large_as_the_most_is_taken() -> None:
    """The rule is "at most", not "below"."""
    pool = {"max_connections_percent": 50, "max_idle_connections_percent": 50}
    kind = "aws_db_proxy_default_target_group"
    assert violations([Planned("equal", f"{kind}.it", kind, {"connection_pool_config": [pool]})]) == []


def test_an_attribute_that_no_model_knows_is_reported() -> None:
    """So is a type without a translation."""
    planned = [Planned("new", "aws_iam_role.it", "aws_iam_role", {"name": "r", "moustache": "long"})]
    planned += [Planned("new", "aws_new.it", "aws_new", {"block": [{"size": 1, "unset": None}]})]
    assert untranslated(planned) == {("aws_iam_role", "moustache"), ("aws_new", "block.size")}
