"""Each folder of terraform/examples is planned with the real provider, and AWS takes what it plans."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_aws_constraints import ONLY_IN_NAMED_PIPELINES
from test_terraform_wiring import MOCKS_SINCE, version

from scripts.generators.hcl import TERRAFORM, blocks
from tests.support.aws_constraints import violations
from tests.support.plan_variants import EXAMPLES
from tests.support.plans import Planned, copy_configuration, plan

pytestmark = pytest.mark.skipif(version() < MOCKS_SINCE, reason="terraform test overrides data from Terraform 1.7 on")


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Planned]]:
    """The resources of each example. A plan fails where a for_each key is not known."""
    folder = copy_configuration(tmp_path_factory.mktemp("examples"))
    return {name: plan(folder / "examples" / name, variants, given={}) for name, variants in EXAMPLES.items()}


def test_every_example_is_planned() -> None:
    assert set(EXAMPLES) == {folder.name for folder in (TERRAFORM / "examples").iterdir() if folder.is_dir()}


@pytest.mark.parametrize("name", EXAMPLES)
def test_aws_accepts_every_value_of_an_example(planned: dict[str, list[Planned]], name: str) -> None:
    own = {"aws_kms_key", "aws_subnet", "aws_vpc"}  # of the example, and not of a module
    assert len(planned[name]) > len(own)
    assert violations([resource for resource in planned[name] if resource.type not in own]) == []


def test_several_tables_share_no_name(planned: dict[str, list[Planned]]) -> None:
    """AWS refuses a second resource of that name, or takes the first one for it."""
    names = {
        "aws_cloudwatch_log_group": "name",
        "aws_dynamodb_table": "name",
        "aws_iam_role": "name",
        "aws_lambda_function": "function_name",
        "aws_s3_bucket": "bucket",
        "aws_security_group": "name",
        "aws_sfn_state_machine": "name",
        "aws_ssm_parameter": "name",
    }
    found = [(one.type, one.values[names[one.type]]) for one in planned["several_tables"] if one.type in names]
    assert {kind for kind, _ in found} == set(names)
    assert len(found) == len(set(found))


def test_several_tables_of_one_database_differ_in_mapping(planned: dict[str, list[Planned]]) -> None:
    """The schema step refuses a second DynamoDB table for a mapping that its database knows."""
    functions = [one for one in planned["several_tables"] if one.address.endswith("aws_lambda_function.schema")]
    found = [one.values["environment"][0]["variables"]["MAPPING"] for one in functions]
    assert len(found) == len(set(found)) > 1


def test_every_resource_of_a_pipeline_has_its_tags(planned: dict[str, list[Planned]]) -> None:
    untagged = {
        resource.address
        for resource in planned["several_tables"]
        if "tags_all" in resource.values
        and (resource.values.get("tags") or {}).get("Pipeline")
        != re.findall(r'pipeline\["(\w+)"\]', resource.address)[0]
    }
    assert untagged == set()


def test_a_pipeline_with_a_name_has_guard_and_parameter(planned: dict[str, list[Planned]]) -> None:
    """The root of this repository leaves them out."""
    found = {re.sub(r'\["[^"]*"\]', "", resource.address) for resource in planned["several_tables"]}
    assert found >= ONLY_IN_NAMED_PIPELINES


@pytest.mark.parametrize("folder", sorted((TERRAFORM / "examples").iterdir()), ids=lambda folder: folder.name)
def test_an_example_uses_modules_only(folder: Path) -> None:
    sources = {block.attributes["source"] for block in (blocks("module", folder=folder) if folder.is_dir() else [])}
    assert all((folder / source).resolve().parent == TERRAFORM / "modules" for source in sources)
