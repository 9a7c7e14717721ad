"""The metrics that exist: those of the project, and those of AWS that an alarm or a widget reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.emissions import documented_of

if TYPE_CHECKING:
    from collections.abc import Mapping

OWN = "Backstream"
# The kind of each function that emits metrics, by the end of its name.
EMITTERS = {
    "stream-consumer": "consumer",
    "monitor": "monitor",
    "dlq-replayer": "replayer",
    "reconciler": "reconciler",
}


@dataclass(frozen=True)
class Documented:
    """Metrics of AWS that have the same dimensions, by a page that lists both."""

    dimensions: frozenset[str]
    names: frozenset[str]
    source: str


def _documented(dimensions: str, names: str, source: str) -> Documented:
    return Documented(frozenset(dimensions.split()), frozenset(names.split()), source)


AWS = {
    "AWS/ApiGateway": [
        _documented(
            "ApiName Stage",
            "5XXError Latency",
            "https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html",
        )
    ],
    "AWS/DynamoDB": [
        _documented(
            "TableName",
            "ConsumedReadCapacityUnits ConsumedWriteCapacityUnits ReadThrottleEvents WriteThrottleEvents",
            "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html",
        )
    ],
    "AWS/Lambda": [
        _documented(
            "FunctionName",
            "DestinationDeliveryFailures Duration Errors Invocations IteratorAge Throttles",
            "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html",
        ),
        _documented(
            "EventSourceMappingUUID",
            "DroppedEventCount FailedInvokeEventCount InvokedEventCount OnFailureDestinationDeliveredEventCount"
            " PolledEventCount",
            "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html",
        ),
    ],
    "AWS/RDS": [
        _documented(
            "ProxyName",
            "DatabaseConnections DatabaseConnectionsBorrowLatency DatabaseConnectionsCurrentlySessionPinned"
            " MaxDatabaseConnectionsAllowed",
            "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.monitoring.html",
        )
    ],
    "AWS/States": [
        _documented(
            "StateMachineArn",
            "ExecutionsAborted ExecutionsFailed ExecutionsTimedOut",
            "https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html",
        )
    ],
}


def unknown_metric(namespace: str, name: str, dimensions: Mapping[str, str]) -> str:
    """What is wrong with a metric that nobody emits. Empty for one that is emitted."""
    if namespace == OWN:
        return _unknown_own(name, dimensions)
    documented = [one for one in AWS.get(namespace, []) if name in one.names]
    if not documented:
        return f"{namespace} has no metric {name} in tests/support/metrics.py"
    if set(dimensions) not in [one.dimensions for one in documented]:
        return f"{name} has the dimensions {sorted(documented[0].dimensions)}, not {sorted(dimensions)}"
    return ""


def _unknown_own(name: str, dimensions: Mapping[str, str]) -> str:
    if set(dimensions) != {"service"}:
        return f"{name} has the dimension service, not {sorted(dimensions)}"
    kinds = [kind for end, kind in EMITTERS.items() if dimensions["service"].endswith(f"-{end}")]
    if not kinds:
        return f"no function that emits metrics is called {dimensions['service']}"
    if name not in {one.metric for one in documented_of(kinds[0])}:
        return f"docs/metrics.md lists no {name} of the {kinds[0]}"
    return ""
