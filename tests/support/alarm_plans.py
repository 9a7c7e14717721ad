"""Variants of the variables for plans of alarms and dashboard, and what to find in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.alarm_rules import alarms, short_name
from tests.support.plan_variants import LARGEST, PROXY, SMALLEST

if TYPE_CHECKING:
    from tests.support.plans import Planned, Variables

EVERYTHING: Variables = PROXY | {
    "alarm_email_addresses": ["oncall@example.com"],
    "alarms": {"heartbeat_seconds": 300},
    "failure_destination": "sqs",
    "heartbeat": True,
    "verify_schedule_expression": "rate(12 hours)",
    "verify_slices": 10,
}
# Named by the record age in seconds, or by what they have.
VARIANTS: dict[str, Variables] = {
    "defaults": {},
    "everything": EVERYTHING,
    "local": {"stream_maximum_record_age_seconds": 60},
    "smallest": SMALLEST | {"failure_destination": "sqs", "verify_schedule_expression": "rate(1 minute)"},
    "largest": LARGEST | {"verify_schedule_expression": "cron(0 3 * * ? *)"},
    "own_topic": {
        "alarm_topic_arn": "arn:aws:sns:eu-west-1:123456789012:own",
        "rds_proxy_name": "own",
        "runbook_url": "https://wiki.example/runbook",
    },
    "none": {"create_alarms": False, "create_dashboard": False},
}


def named(planned: list[Planned], variant: str) -> dict[str, Planned]:
    """The alarms of a variant, by their names without the deployment."""
    return {short_name(alarm): alarm for alarm in alarms(planned) if alarm.plan == variant}


def one(planned: list[Planned], variant: str, kind: str) -> Planned:
    """The only resource of a type."""
    (found,) = (resource for resource in planned if (resource.plan, resource.type) == (variant, kind))
    return found
