"""The policies of a plan as statements, by the role or the resource that they belong to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.support.plans import Planned

RESOURCE_POLICIES = ("aws_s3_bucket_policy", "aws_sns_topic_policy", "aws_sqs_queue")
# Where a key is used, by the condition that says so.
CONTEXTS = {"kms:EncryptionContext:aws:states:stateMachineArn": "states", "kms:EncryptionContext:SourceArn": "logs"}


@dataclass(frozen=True)
class Statement:
    """`holder` is the name of a role, or the address of a resource. `conditions` are by operator and key."""

    holder: str
    address: str
    sid: str
    effect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    principals: tuple[str, ...]
    conditions: Mapping[tuple[str, str], tuple[str, ...]]

    def condition(self, key: str) -> tuple[str, ...]:
        """The values of a condition, whatever its operator; none without it."""
        return next((values for (_, name), values in self.conditions.items() if name == key), ())

    def grants(self) -> set[str]:
        """Its actions. A use of a key names the service that uses it: `kms:Decrypt@s3`."""
        via = [value.split(".")[0] for value in self.condition("kms:ViaService")]
        via += [name for key, name in CONTEXTS.items() if self.condition(key)]
        return {
            f"{action}@{service}" if service else action
            for action in self.actions
            for service in (via if action.startswith("kms:") and via else [""])
        }


def role_policies(planned: Iterable[Planned]) -> list[Statement]:
    """What the roles may do. Raises KeyError for a policy that is not known at plan: add what it needs to MADE_UP."""
    return [
        statement
        for one in planned
        if one.type == "aws_iam_role_policy"
        for statement in _statements(one.values["role"], one.address, one.values["policy"])
    ]


def trusts(planned: Iterable[Planned]) -> list[Statement]:
    """Who may use the roles."""
    return [
        statement
        for one in planned
        if one.type == "aws_iam_role"
        for statement in _statements(one.values["name"], one.address, one.values["assume_role_policy"])
    ]


def resource_policies(planned: Iterable[Planned]) -> list[Statement]:
    return [
        statement
        for one in planned
        if one.type in RESOURCE_POLICIES and one.values.get("policy")
        for statement in _statements(one.address, one.address, one.values["policy"])
    ]


def role_name(arn: str) -> str:
    return arn.rpartition("/")[2]


def _statements(holder: str, address: str, document: str) -> Iterator[Statement]:
    for one in json.loads(document)["Statement"]:
        yield Statement(
            holder=holder,
            address=address,
            sid=one.get("Sid", ""),
            effect=one["Effect"],
            actions=_tuple(one["Action"]),
            resources=_tuple(one.get("Resource", [])),
            principals=tuple(value for kind in _principals(one) for value in kind),
            conditions={
                (operator, key): _tuple(values)
                for operator, keys in one.get("Condition", {}).items()
                for key, values in keys.items()
            },
        )


def _principals(statement: Mapping[str, Any]) -> list[tuple[str, ...]]:
    given = statement.get("Principal", {})
    return [_tuple(given)] if isinstance(given, str) else [_tuple(value) for value in given.values()]


def _tuple(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
