"""Every role may do what its code and AWS need, and nothing else; every store is encrypted.

The rules are in tests/support/least_privilege.py. Each variant of the variables must follow them, and each rule must
find the mistakes that it is for.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from test_terraform_wiring import MOCKS_SINCE, version

from tests.support import iam_needs
from tests.support.iam_calls import calls_of
from tests.support.iam_policies import role_policies, trusts
from tests.support.least_privilege import (
    HOLDERS,
    KEYS,
    MANAGED,
    PLAIN_PARAMETERS,
    WITHOUT_RESOURCE,
    WITHOUT_SOURCE,
    findings,
)
from tests.support.plan_variants import OWN_KEY, VARIANTS
from tests.support.plans import Planned

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(version() < MOCKS_SINCE, reason="terraform test overrides data from Terraform 1.7 on")

CONSUMER = "module.pipeline.aws_iam_role_policy.stream_consumer"
REPLAYER = "module.pipeline.aws_iam_role_policy.dlq_replayer"
BUCKET_POLICY = "module.pipeline.aws_s3_bucket_policy.failures"
QUEUE = 'module.pipeline.aws_sqs_queue.failures["failures"]'
TOPIC = 'module.pipeline.aws_sns_topic.alarms["alarms"]'
TOPIC_POLICY = 'module.pipeline.aws_sns_topic_policy.alarms["alarms"]'


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_plan_follows_every_rule(planned: list[Planned], variant: str) -> None:
    """No role may do more than it needs, nor less, and each store is encrypted."""
    assert findings(_of(planned, variant), VARIANTS[variant]) == []


def test_every_kind_of_store_and_holder_is_planned_with_a_key(planned: list[Planned]) -> None:
    """A rule for a type that no variant plans would check nothing."""
    types = {one.type for one in planned if "kms_key_arn" in VARIANTS[one.plan]}
    assert set(KEYS) | set(HOLDERS) <= types


def test_every_exception_is_used(planned: list[Planned]) -> None:
    """An exception that nothing uses any more would hide a later mistake."""
    on_everything = {
        action
        for one in role_policies(planned)
        if one.effect == "Allow" and "*" in one.resources
        for action in one.actions
    }
    without_source = {
        principal for one in trusts(planned) if not one.condition("aws:SourceAccount") for principal in one.principals
    }
    managed = {one.values["policy_arn"] for one in planned if one.type == "aws_iam_role_policy_attachment"}
    parameters = {one.address.split("[")[0].split(".")[-1] for one in planned if one.type == "aws_ssm_parameter"}
    assert on_everything == set(WITHOUT_RESOURCE)
    assert without_source == set(WITHOUT_SOURCE)
    assert managed == set(MANAGED)
    assert parameters == set(PLAIN_PARAMETERS)


def test_the_scan_finds_the_calls_of_the_authorizer() -> None:
    """The smallest function: one call, through a method that is passed on as a value."""
    assert calls_of("api.authorizer.handler") == {("secretsmanager", "GetSecretValue")}


def test_the_scan_finds_calls_by_name() -> None:
    """`self._write("update_item", ...)` and `self._ask("export_table_to_point_in_time", ...)` are calls, too."""
    found = calls_of("reconciler.handler.handler")
    assert {("dynamodb", "UpdateItem"), ("dynamodb", "ExportTableToPointInTime"), ("dynamodb", "Scan")} <= found


def test_the_scan_leaves_out_what_the_handler_does_not_reach() -> None:
    """Consumer and replayer share the module of the bucket, and only the replayer deletes."""
    assert ("s3", "DeleteObject") in calls_of("dlq_replayer.handler.handler")
    assert ("s3", "DeleteObject") not in calls_of("stream_consumer.handler.handler")


def _of(planned: list[Planned], variant: str) -> list[Planned]:
    return [one for one in planned if one.plan == variant]


def _edited(planned: list[Planned], address: str, edit: Callable[[dict[str, Any]], None]) -> list[Planned]:
    """The plan with one resource changed. `edit` changes a copy of its values."""
    (found,) = (one for one in planned if one.address == address)
    values = json.loads(json.dumps(dict(found.values)))
    edit(values)
    return [replace(one, values=values) if one is found else one for one in planned]


def _statement(sid: str, edit: Callable[[dict[str, Any]], None], policy: str = "policy") -> Callable[[Any], None]:
    """An edit of one statement of a policy."""

    def change(values: dict[str, Any]) -> None:
        document = json.loads(values[policy])
        (found,) = (one for one in document["Statement"] if one.get("Sid", "") == sid)
        edit(found)
        values[policy] = json.dumps(document)

    return change


def _without(sid: str) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        document = json.loads(values["policy"])
        document["Statement"] = [one for one in document["Statement"] if one.get("Sid") != sid]
        values["policy"] = json.dumps(document)

    return change


def _set(*path: str, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        for name in path[:-1]:
            values = values[name][0] if isinstance(values[name], list) else values[name]
        values[path[-1]] = to

    return change


# What is put into a plan with a key and a queue: the resource, the edit, and the rule that finds it.
MISTAKES: dict[str, tuple[str, Callable[[dict[str, Any]], None], str]] = {
    "a wildcard of a service": (
        CONSUMER,
        _statement("WriteFailures", _set("Action", to="s3:*")),
        "actions without wildcard",
    ),
    "a wildcard in an action": (
        CONSUMER,
        _statement("WriteFailures", _set("Action", to="s3:Put*")),
        "actions without wildcard",
    ),
    "every resource": (
        CONSUMER,
        _statement("ReadUnfinished", _set("Resource", to="*")),
        "resources without wildcard",
    ),
    "a wildcard for the account": (
        REPLAYER,
        _statement("HoldLock", _set("Resource", to="arn:aws:dynamodb:eu-west-1:*:table/lock")),
        "resources without wildcard",
    ),
    "no owner of the bucket": (
        CONSUMER,
        _statement("WriteFailures", lambda one: one.pop("Condition")),
        "s3:ResourceAccount",
    ),
    "another owner of the bucket": (
        CONSUMER,
        _statement("WriteFailures", _set("Condition", "StringEquals", "s3:ResourceAccount", to="210987654321")),
        "s3:ResourceAccount",
    ),
    "a key without a service": (
        CONSUMER,
        _statement("UseKeyInS3", lambda one: one.pop("Condition")),
        "kms:ViaService or context",
    ),
    "a key of a state machine without a context": (
        "module.pipeline.aws_iam_role_policy.replay",
        _statement("EncryptExecutions", lambda one: one.pop("Condition")),
        "kms:ViaService or context",
    ),
    "network interfaces for the code": (CONSUMER, _without("OnlyForTheService"), "lambda:SourceFunctionArn"),
    "network interfaces without the deny's condition": (
        CONSUMER,
        _statement("OnlyForTheService", lambda one: one.pop("Condition")),
        "lambda:SourceFunctionArn",
    ),
    "a trust in every account": (
        "module.pipeline.aws_iam_role.replay",
        _statement("", lambda one: one.pop("Condition"), policy="assume_role_policy"),
        "source of a trust",
    ),
    "a trust in another account": (
        "module.pipeline.aws_iam_role.replay",
        _statement(
            "",
            _set("Condition", "StringEquals", "aws:SourceAccount", to="210987654321"),
            policy="assume_role_policy",
        ),
        "source of a trust",
    ),
    "a bucket without TLS": (BUCKET_POLICY, _set("policy", to='{"Statement": []}'), "only TLS"),
    "a bucket that denies TLS": (
        BUCKET_POLICY,
        _statement("OnlyEncryptedConnections", _set("Condition", "Bool", "aws:SecureTransport", to="true")),
        "only TLS",
    ),
    "TLS for one action": (
        BUCKET_POLICY,
        _statement("OnlyEncryptedConnections", _set("Action", to="s3:PutObject")),
        "only TLS",
    ),
    "TLS for one caller": (
        BUCKET_POLICY,
        _statement("OnlyEncryptedConnections", _set("Principal", to={"AWS": "arn:aws:iam::123456789012:root"})),
        "only TLS",
    ),
    "TLS that is allowed": (
        BUCKET_POLICY,
        _statement("OnlyEncryptedConnections", _set("Effect", to="Allow")),
        "only TLS",
    ),
    "a queue without TLS": (QUEUE, _set("policy", to=None), "only TLS"),
    "a topic without TLS": (TOPIC_POLICY, _without("OnlyEncryptedConnections"), "only TLS"),
    "a topic for every account": (
        TOPIC_POLICY,
        _statement("PublishAlarms", lambda one: one.pop("Condition")),
        "source of a trust",
    ),
    "a topic for everybody": (
        TOPIC_POLICY,
        _statement("PublishAlarms", _set("Principal", to="*")),
        "source of a trust",
    ),
    "a shared role": (
        "module.pipeline.aws_lambda_function.reconciler",
        _set("role", to="arn:aws:iam::123456789012:role/backstream-test-dlq-replayer-eu-west-1"),
        "a role of its own",
    ),
    "a role that state machines share": (
        'module.pipeline.aws_sfn_state_machine.job["load"]',
        _set("role_arn", to="arn:aws:iam::123456789012:role/backstream-test-seed-eu-west-1"),
        "a role of its own",
    ),
    "an unused grant": (
        CONSUMER,
        _statement("WriteFailures", _set("Action", to=["s3:PutObject", "s3:DeleteObject"])),
        "used grants",
    ),
    "an unused grant of a state machine": (
        "module.pipeline.aws_iam_role_policy.replay",
        _statement("CallSteps", _set("Action", to=["lambda:InvokeFunction", "lambda:UpdateFunctionCode"])),
        "used grants",
    ),
    "an unused use of a key": (
        "module.orders_api.aws_iam_role_policy.api",
        _statement("UseEncryptedTables", _set("Action", to=["kms:Decrypt", "kms:Encrypt"])),
        "used grants",
    ),
    "a missing grant": (CONSUMER, _without("ReadUnfinished"), "used grants"),
    "a missing use of a key": (CONSUMER, _without("UseKeyInSqs"), "used grants"),
    "an unencrypted log group": (
        'module.pipeline.aws_cloudwatch_log_group.job["load"]',
        _set("kms_key_id", to=None),
        "encrypted stores",
    ),
    "an unencrypted table": (
        "module.pipeline.aws_dynamodb_table.replay_lock",
        _set("server_side_encryption", "kms_key_arn", to=None),
        "encrypted stores",
    ),
    "an unencrypted environment": (
        "module.orders_api.aws_lambda_function.api",
        _set("kms_key_arn", to=None),
        "encrypted stores",
    ),
    "a bucket without the key": (
        "module.pipeline.aws_s3_bucket_server_side_encryption_configuration.failures",
        _set("rule", "apply_server_side_encryption_by_default", "kms_master_key_id", to=None),
        "encrypted stores",
    ),
    "a secret without the key": (
        'module.orders_api.aws_secretsmanager_secret.api["api"]',
        _set("kms_key_id", to=None),
        "encrypted stores",
    ),
    "executions without the key": (
        "module.pipeline.aws_sfn_state_machine.replay",
        _set("encryption_configuration", "kms_key_id", to=None),
        "encrypted stores",
    ),
    "executions that may not be read": (
        "module.pipeline.aws_iam_role_policy.monitor",
        _without("ReadReplays"),
        "used grants",
    ),
    "a topic without the key": (TOPIC, _set("kms_master_key_id", to=None), "encrypted stores"),
    "a queue with another key": (QUEUE, _set("kms_master_key_id", to=f"{OWN_KEY}0"), "encrypted stores"),
}


@pytest.mark.parametrize(("address", "edit", "rule"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_found_by_its_rule(
    planned: list[Planned], address: str, edit: Callable[[dict[str, Any]], None], rule: str
) -> None:
    """Each mistake is put into a plan that follows every rule."""
    mistaken = _edited(_of(planned, "own_key_and_queue"), address, edit)
    assert rule in {found.rule for found in findings(mistaken, VARIANTS["own_key_and_queue"])}


def test_a_managed_policy_is_found(planned: list[Planned]) -> None:
    """It may change with time, and grants more than one role needs."""
    address = 'module.orders_api.aws_iam_role_policy_attachment.api_gateway_logs["logs"]'
    edit = _set("policy_arn", to="arn:aws:iam::aws:policy/ReadOnlyAccess")
    (found,) = findings(_edited(_of(planned, "own_key"), address, edit), VARIANTS["own_key"])
    assert (found.rule, found.where) == ("no managed policy", address)


def test_a_bucket_without_encryption_is_found(planned: list[Planned]) -> None:
    kind = "aws_s3_bucket_server_side_encryption_configuration"
    mistaken = [one for one in _of(planned, "defaults") if one.type != kind]
    (found,) = findings(mistaken, {})
    assert (found.rule, found.where) == ("encrypted stores", "module.pipeline.aws_s3_bucket.failures")


def test_a_queue_without_any_encryption_is_found(planned: list[Planned]) -> None:
    variant = "largest_with_queue_and_endpoint"
    mistaken = _edited(_of(planned, variant), QUEUE, _set("sqs_managed_sse_enabled", to=False))
    (found,) = findings(mistaken, VARIANTS[variant])
    assert (found.rule, found.where) == ("encrypted stores", QUEUE)


def test_a_new_parameter_must_be_encrypted(planned: list[Planned]) -> None:
    parameter = Planned("defaults", "aws_ssm_parameter.password", "aws_ssm_parameter", {"type": "String"})
    (found,) = findings([*_of(planned, "defaults"), parameter], {})
    assert (found.rule, found.where) == ("encrypted stores", "aws_ssm_parameter.password")


def test_a_role_that_nothing_uses_is_found(planned: list[Planned]) -> None:
    policy = json.dumps({"Statement": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "arn:q"}]})
    unused = Planned("defaults", "aws_iam_role_policy.it", "aws_iam_role_policy", {"role": "it", "policy": policy})
    (found,) = findings([*_of(planned, "defaults"), unused], {})
    assert (found.rule, found.where) == ("used grants", "it")


def test_rights_with_another_name_are_those_of_the_code() -> None:
    """A call that no function makes any more has no place in the table."""
    handlers = (
        "api.handler.handler",
        "dlq_replayer.handler.handler",
        "monitor.handler.handler",
        "reconciler.handler.handler",
    )
    called = {call for handler in handlers for call in calls_of(handler)}
    assert set(iam_needs.RIGHTS) - called == set()
