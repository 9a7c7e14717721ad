"""Whether the condition of a planned alarm is true, for values that were emitted.

CloudWatch compares the newest periods, which end now: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/
alarm-evaluation.html. It may look further back for a missing value, which makes an alarm react later. This does not.
"""

from __future__ import annotations

import ast
import json
import math
import operator
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence


@dataclass(frozen=True)
class DataPoint:
    """A value of a metric. `time` is in seconds since 1970."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    time: float
    value: float


@dataclass(frozen=True)
class Watched:
    """A metric that an alarm reads. `period` is in seconds."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    statistic: str
    period: int


COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanOrEqualToThreshold": operator.le,
    "LessThanThreshold": operator.lt,
}
STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "Average": lambda values: sum(values) / len(values),
    "Maximum": max,
    "Minimum": min,
    "SampleCount": len,
    "Sum": sum,
}
MISSING = {"breaching": True, "notBreaching": False}
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Div: operator.truediv,
    ast.Mult: operator.mul,
    ast.Sub: operator.sub,
}


def is_true(alarm: Mapping[str, Any], points: Iterable[DataPoint], now: float) -> bool:
    """Whether enough of the newest periods breach the threshold. `alarm` has the values of aws_cloudwatch_metric_alarm.

    Raises ValueError for an expression, a statistic or a treatment of missing data that this does not know.
    """
    known = list(points)
    breaching = [_breaches(alarm, known, now, age) for age in range(int(alarm["evaluation_periods"]))]
    return sum(breaching) >= int(alarm.get("datapoints_to_alarm") or alarm["evaluation_periods"])


def watched(alarm: Mapping[str, Any]) -> dict[str, Watched]:
    """The metrics that an alarm reads, by their id in its expression. The only metric of an alarm has an empty id."""
    if not alarm.get("metric_query"):
        statistic = alarm.get("statistic") or alarm["extended_statistic"]
        named = (alarm["namespace"], alarm["metric_name"], alarm["dimensions"])
        return {"": Watched(*named, statistic, int(alarm["period"]))}
    queries = {query["id"]: query["metric"][0] for query in alarm["metric_query"] if query.get("metric")}
    return {
        name: Watched(one["namespace"], one["metric_name"], one["dimensions"], one["stat"], int(one["period"]))
        for name, one in queries.items()
    }


def emitted(log_message: str) -> Iterator[DataPoint]:
    """The values in one line of a log in the embedded metric format. None where the line is of another kind.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    try:
        line = json.loads(log_message)
    except ValueError:
        return
    header = line.get("_aws") if isinstance(line, dict) else None
    for directive in header["CloudWatchMetrics"] if header else ():
        for names in directive["Dimensions"]:
            dimensions = {name: line[name] for name in names}
            for metric in directive["Metrics"]:
                values = line[metric["Name"]]
                for value in values if isinstance(values, list) else [values]:
                    yield DataPoint(
                        directive["Namespace"], metric["Name"], dimensions, header["Timestamp"] / 1000, value
                    )


def _breaches(alarm: Mapping[str, Any], points: Sequence[DataPoint], now: float, age: int) -> bool:
    """In the period that ended `age` periods ago."""
    values = {name: _value(metric, points, now, age) for name, metric in watched(alarm).items()}
    expressions = [query["expression"] for query in alarm.get("metric_query") or () if query.get("expression")]
    value = _calculated(ast.parse(expressions[0], mode="eval").body, values) if expressions else values[""]
    if value is None:
        return _treated(alarm["treat_missing_data"])
    return COMPARISONS[alarm["comparison_operator"]](value, alarm["threshold"])


def _treated(missing: str) -> bool:
    if missing not in MISSING:
        raise ValueError(f"missing data is treated as {missing}, which depends on the state of the alarm")
    return MISSING[missing]


def _value(metric: Watched, points: Sequence[DataPoint], now: float, age: int) -> float | None:
    end = now - age * metric.period
    found = [
        point.value
        for point in points
        if (point.namespace, point.name, point.dimensions) == (metric.namespace, metric.name, metric.dimensions)
        and end - metric.period <= point.time < end
    ]
    return _statistic(metric.statistic)(found) if found else None


def _statistic(name: str) -> Callable[[Sequence[float]], float]:
    percentile = re.fullmatch(r"p(\d+(?:\.\d+)?)", name)
    if percentile:
        return partial(_percentile, float(percentile[1]))
    if name not in STATISTICS:
        raise ValueError(f"{name} is no statistic")
    return STATISTICS[name]


def _percentile(percent: float, values: Sequence[float]) -> float:
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def _calculated(node: ast.expr, values: Mapping[str, float | None]) -> float | None:
    """Metric math. An operand without a value leaves the result without one, except in FILL."""
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(id=name) if name in values:
            return values[name]
        case ast.Call(func=ast.Name(id="FILL"), args=[series, filling], keywords=[]):
            found = _calculated(series, values)
            return _calculated(filling, {}) if found is None else found
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _combined(_OPERATORS[type(op)], _calculated(left, values), _calculated(right, values))
    raise ValueError(f"{ast.unparse(node)} is not metric math that this calculates")


def _combined(operation: Callable[[float, float], float], left: float | None, right: float | None) -> float | None:
    if left is None or right is None or (operation is operator.truediv and right == 0):
        return None
    return operation(left, right)
