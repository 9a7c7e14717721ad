"""The rules of least privilege for the resources of one plan. A finding names the rule, the place and the mistake."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.support import iam_needs
from tests.support.iam_policies import Statement, resource_policies, role_name, role_policies, trusts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.plans import Planned, Variables

ACCOUNT = "123456789012"
# Actions without a resource that a policy could name. The service authorization reference lists none for them:
# https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
WITHOUT_RESOURCE = {
    "cloudwatch:GetMetricStatistics": "metrics have no ARN",
    **dict.fromkeys(sorted(iam_needs.TRACES), "traces have no ARN"),
    "xray:GetSamplingRules": "sampling rules are those of the account",
    "xray:GetSamplingTargets": "sampling rules are those of the account",
    **dict.fromkeys(sorted(iam_needs.INTERFACES), "Lambda checks for them without a resource; a deny limits them"),
    **{
        action: "log deliveries have no ARN" for action in sorted(iam_needs.STATE_MACHINE) if action.startswith("logs:")
    },
}
# Services that use a role, and do not say for whom in a condition key that AWS documents.
WITHOUT_SOURCE = {
    "apigateway.amazonaws.com": "the role serves every API of the account",
    "lambda.amazonaws.com": "AWS documents no source for the role of a function",
    "rds.amazonaws.com": "AWS documents no source for the role of a proxy",
}
# Policies that AWS manages, and the reason for each.
MANAGED = {
    "arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs": "API Gateway refuses a role with less",
}
# Parameters that are not encrypted, and the reason for each.
PLAIN_PARAMETERS = {
    "outputs": "it holds names and ARNs",
    "rds_connection": "it holds the address of the RDS Proxy",
}
# Actions of a resource policy that denies every request without TLS. The policy of a topic takes no wildcard:
# https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-language-api-permissions-reference.html
EVERY_ACTION = {"aws_s3_bucket_policy": "s3:*", "aws_sns_topic_policy": "sns:Publish", "aws_sqs_queue": "sqs:*"}
BUCKET_ENCRYPTION = "aws_s3_bucket_server_side_encryption_configuration"
# What holds a role: the attribute with the ARN. A target that is a function has none.
HOLDERS = {
    "aws_cloudwatch_event_target": "role_arn",
    "aws_db_proxy": "role_arn",
    "aws_lambda_function": "role",
    "aws_sfn_state_machine": "role_arn",
}


class Finding(NamedTuple):
    rule: str
    where: str
    what: str


def findings(planned: list[Planned], variables: Variables) -> list[Finding]:
    """What the resources of one plan, made with `variables`, break."""
    statements = role_policies(planned)
    return [
        *_exact_actions(statements),
        *_exact_resources(statements),
        *_conditions(statements),
        *_sources([*trusts(planned), *resource_policies(planned)]),
        *_managed(planned),
        *_only_tls(planned),
        *_own_roles(planned),
        *_used_grants(planned, statements, variables),
        *_encrypted(planned, variables.get("kms_key_arn")),
    ]


def _exact_actions(statements: list[Statement]) -> Iterator[Finding]:
    for one in statements:
        for action in one.actions:
            if "*" in action:
                yield Finding("actions without wildcard", one.address, action)


def _exact_resources(statements: list[Statement]) -> Iterator[Finding]:
    for one in (statement for statement in statements if statement.effect == "Allow"):
        for resource in one.resources:
            if resource == "*":
                for action in set(one.actions) - set(WITHOUT_RESOURCE):
                    yield Finding("resources without wildcard", one.address, f"{action} on *")
            # A wildcard at the end stands for the objects, executions or streams of one thing.
            elif "*" in resource[:-1]:
                yield Finding("resources without wildcard", one.address, resource)


def _conditions(statements: list[Statement]) -> Iterator[Finding]:
    denied = {
        (one.holder, action)
        for one in statements
        for action in one.actions
        if one.effect == "Deny" and one.condition("lambda:SourceFunctionArn")
    }
    for one in (statement for statement in statements if statement.effect == "Allow"):
        services = {action.split(":")[0] for action in one.actions}
        if "s3" in services and one.condition("s3:ResourceAccount") != (ACCOUNT,):
            yield Finding("s3:ResourceAccount", one.address, one.sid)
        if "kms" in services and not all("@" in grant for grant in one.grants()):
            yield Finding("kms:ViaService or context", one.address, one.sid)
        for action in one.actions:
            if action in iam_needs.INTERFACES and (one.holder, action) not in denied:
                yield Finding("lambda:SourceFunctionArn", one.address, action)


def _sources(statements: list[Statement]) -> Iterator[Finding]:
    for one in (statement for statement in statements if statement.effect == "Allow"):
        asks = one.condition("aws:SourceAccount") == (ACCOUNT,) or one.condition("aws:SourceArn")
        if "*" in one.principals or not (asks or set(one.principals) <= set(WITHOUT_SOURCE)):
            yield Finding("source of a trust", one.address, ", ".join(one.principals))


def _managed(planned: list[Planned]) -> Iterator[Finding]:
    for one in planned:
        if one.type == "aws_iam_role_policy_attachment" and one.values["policy_arn"] not in MANAGED:
            yield Finding("no managed policy", one.address, one.values["policy_arn"])


def _only_tls(planned: list[Planned]) -> Iterator[Finding]:
    stores = {
        "aws_s3_bucket": "aws_s3_bucket_policy",
        "aws_sns_topic": "aws_sns_topic_policy",
        "aws_sqs_queue": "aws_sqs_queue",
    }
    denying = {
        one.address
        for one in resource_policies(planned)
        if one.effect == "Deny"
        and one.principals == ("*",)
        and one.actions == (EVERY_ACTION[_type(one.address)],)
        and one.condition("aws:SecureTransport") == ("false",)
    }
    for store in (one for one in planned if one.type in stores):
        policy = _beside(store.address, stores[store.type])
        if policy not in denying:
            yield Finding("only TLS", store.address, "no policy denies requests without TLS")


def _own_roles(planned: list[Planned]) -> Iterator[Finding]:
    """Two targets of one kind may share a role, because they start the same state machine."""
    holders = {
        (role_name(one.values[HOLDERS[one.type]]), one.address.partition("[")[0] if _is_target(one) else one.address)
        for one in _holding(planned)
    }
    shared = Counter(role for role, _ in holders)
    for role, holder in sorted(holders):
        if shared[role] > 1:
            yield Finding("a role of its own", holder, role)


def _used_grants(planned: list[Planned], statements: list[Statement], variables: Variables) -> Iterator[Finding]:
    for role, needed in _needed(planned, variables).items():
        granted = {
            grant for one in statements if one.effect == "Allow" and one.holder == role for grant in one.grants()
        }
        for grant in sorted(granted - needed):
            yield Finding("used grants", role, f"{grant} is granted, and nothing needs it")
        for grant in sorted(needed - granted):
            yield Finding("used grants", role, f"{grant} is needed, and not granted")
    unknown = {one.holder for one in statements} - set(_needed(planned, variables))
    for role in sorted(unknown):
        yield Finding("used grants", role, "nothing uses this role")


def _needed(planned: list[Planned], variables: Variables) -> dict[str, set[str]]:
    """What each role needs, by its name."""
    needed: dict[str, set[str]] = {}
    for one in _holding(planned):
        needed.setdefault(role_name(one.values[HOLDERS[one.type]]), set()).update(_of(one, variables))
    return needed


def _holding(planned: list[Planned]) -> list[Planned]:
    return [one for one in planned if one.type in HOLDERS and one.values[HOLDERS[one.type]]]


def _of(holder: Planned, variables: Variables) -> set[str]:
    match holder.type:
        case "aws_lambda_function":
            reads = holder.values["handler"].startswith("stream_consumer.handler.")
            return iam_needs.of_function(holder.values, variables, reads_stream=reads)
        case "aws_sfn_state_machine":
            return iam_needs.of_state_machine(holder.values)
        case "aws_db_proxy":
            return iam_needs.of_proxy(variables)
    return iam_needs.of_schedule()


def _encrypted(planned: list[Planned], key: str | None) -> Iterator[Finding]:
    """With a key of the customer, each store uses it. Without one AWS encrypts each with a key of its own.

    But no topic: CloudWatch may not use that key, and a notification holds an alarm only.
    """
    encrypted = {one.address for one in planned if one.type == BUCKET_ENCRYPTION}
    for one in planned:
        if one.type in KEYS and KEYS[one.type](one.values) != key:
            yield Finding("encrypted stores", one.address, f"its key is {KEYS[one.type](one.values)}, not {key}")
        if one.type == "aws_sqs_queue" and key is None and not one.values["sqs_managed_sse_enabled"]:
            yield Finding("encrypted stores", one.address, "SQS does not encrypt it")
        if one.type == "aws_ssm_parameter" and one.values["type"] == "String" and _name(one) not in PLAIN_PARAMETERS:
            yield Finding("encrypted stores", one.address, "a parameter that is no SecureString")
        if one.type == "aws_s3_bucket" and _beside(one.address, BUCKET_ENCRYPTION) not in encrypted:
            yield Finding("encrypted stores", one.address, "no encryption is configured")


def _block(values: Any, *path: str) -> Any:
    """A value in nested blocks, of which each is a list with at most one element."""
    for name in path:
        found = values.get(name)
        if not found:
            return None
        values = found[0] if isinstance(found, list) else found
    return values


KEYS = {
    "aws_cloudwatch_log_group": lambda values: values["kms_key_id"],
    "aws_dynamodb_table": lambda values: _block(values, "server_side_encryption", "kms_key_arn"),
    "aws_lambda_function": lambda values: values["kms_key_arn"],
    BUCKET_ENCRYPTION: lambda values: _block(
        values, "rule", "apply_server_side_encryption_by_default", "kms_master_key_id"
    ),
    "aws_secretsmanager_secret": lambda values: values["kms_key_id"],
    "aws_sfn_state_machine": lambda values: _block(values, "encryption_configuration", "kms_key_id"),
    "aws_sns_topic": lambda values: values["kms_master_key_id"],
    "aws_sqs_queue": lambda values: values["kms_master_key_id"],
}


def _type(address: str) -> str:
    return address.split("[", maxsplit=1)[0].split(".")[-2]


def _name(one: Planned) -> str:
    return one.address.split("[")[0].split(".")[-1]


def _beside(address: str, kind: str) -> str:
    """The address of a resource of another kind with the same name."""
    module, _, name = address.partition(f"{_type(address)}.")
    return f"{module}{kind}.{name}"


def _is_target(one: Planned) -> bool:
    return one.type == "aws_cloudwatch_event_target"
