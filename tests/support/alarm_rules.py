"""What every alarm and every widget of a dashboard must be like. Each rule names what breaks it."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.support.alarm_conditions import Watched, watched
from tests.support.metrics import unknown_metric

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.support.plans import Planned

METRIC_ALARM = "aws_cloudwatch_metric_alarm"
COMPOSITE_ALARM = "aws_cloudwatch_composite_alarm"
DASHBOARD = "aws_cloudwatch_dashboard"
SEVERITIES = ("warning", "page", "critical")
# Those for which no data means that something is wrong.
RING_WITHOUT_DATA = ("page-monitor-silent", "page-heartbeat-late")
DAY, HOUR = 86_400, 3_600
WEEK = 7 * DAY
COLUMNS = 24
_LINK = re.compile(r" Runbook: \S+#([a-z0-9-]+)$")


class Fault(NamedTuple):
    plan: str
    address: str
    error: str


def alarms(planned: Iterable[Planned]) -> list[Planned]:
    return [resource for resource in planned if resource.type in (METRIC_ALARM, COMPOSITE_ALARM)]


def short_name(alarm: Planned) -> str:
    """Without the name of the deployment: it begins with the severity."""
    return short_name_of(alarm.values["alarm_name"])


def short_name_of(name: str) -> str:
    return re.sub(rf"^.*?-(?=({'|'.join(SEVERITIES)})-)", "", name)


def alarm_faults(planned: Iterable[Planned], headings: set[str]) -> list[Fault]:
    """In the order of the plans. `headings` are the anchors of the runbook."""
    found = alarms(planned)
    names = Counter((alarm.plan, alarm.values["alarm_name"]) for alarm in found)
    faults = [
        Fault(alarm.plan, alarm.address, error) for alarm in found for error in _errors_of(alarm.values, headings)
    ]
    return faults + [
        Fault(plan, name, "two alarms have this name") for (plan, name), times in names.items() if times > 1
    ]


def _errors_of(values: Mapping[str, Any], headings: set[str]) -> Iterator[str]:
    name = values["alarm_name"]
    severity = re.search(rf"-({'|'.join(SEVERITIES)})-", name)
    if not severity or (values["tags"] or {}).get("Severity") != severity[1]:
        yield "the name has no severity, or the tag has another one"
    if not values["alarm_actions"] or values["alarm_actions"] != values["ok_actions"]:
        yield "nobody is told that it rings, or that it is over"
    if values["actions_enabled"] is False:
        yield "its actions are disabled"
    link = _LINK.search(values["alarm_description"] or "")
    if not link or link[1] not in headings:
        yield "its description links to no heading of the runbook"
    if "alarm_rule" not in values:
        yield from _metric_errors(values)


def _metric_errors(values: Mapping[str, Any]) -> Iterator[str]:
    rings_without_data = short_name_of(values["alarm_name"]) in RING_WITHOUT_DATA
    if values["treat_missing_data"] != ("breaching" if rings_without_data else "notBreaching"):
        yield f"missing data is {values['treat_missing_data']}"
    metrics = watched(values)
    yield from filter(None, (unknown_metric(one.namespace, one.name, one.dimensions) for one in metrics.values()))
    yield from _expression_errors(values, metrics)
    periods = {one.period for one in metrics.values()}
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    longest = max(periods) * values["evaluation_periods"]
    if longest > (WEEK if max(periods) >= HOUR else DAY) or len(periods) > 1 or max(periods) % 60:
        yield f"CloudWatch evaluates no {values['evaluation_periods']} periods of {sorted(periods)} s"
    if not 1 <= values["datapoints_to_alarm"] <= values["evaluation_periods"]:
        yield f"{values['datapoints_to_alarm']} of {values['evaluation_periods']} periods cannot breach"


def _expression_errors(values: Mapping[str, Any], metrics: Mapping[str, Watched]) -> Iterator[str]:
    queries = values.get("metric_query") or []
    returned = [query["id"] for query in queries if query.get("return_data")]
    expressions = [query["expression"] for query in queries if query.get("expression")]
    if queries and (len(returned) != 1 or len(expressions) != 1):
        yield "an alarm watches the result of one expression"
    for expression in expressions:
        used = set(re.findall(r"\b[a-z]\w*", expression))
        if used != set(metrics):
            yield f"the expression uses {sorted(used)} of {sorted(metrics)}"
    filled = {name for expression in expressions for name in re.findall(r"FILL\((\w+), 0\)", expression)}
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    if any(one.namespace == "AWS/DynamoDB" and name not in filled for name, one in metrics.items()):
        yield "an alarm on a metric of DynamoDB keeps its state while data is missing, unless FILL gives a value"


def composite_faults(planned: Iterable[Planned]) -> list[Fault]:
    """A rule may name 100 alarms, which must exist."""
    known = list(planned)
    names = {(one.plan, one.values["alarm_name"]) for one in known if one.type == METRIC_ALARM}
    faults = []
    for composite in (one for one in known if one.type == COMPOSITE_ALARM):
        named = re.findall(r'ALARM\("([^"]+)"\)', composite.values["alarm_rule"])
        missing = [name for name in named if (composite.plan, name) not in names]
        faults += [
            Fault(composite.plan, composite.address, f"it names {name}, which does not exist") for name in missing
        ]
        if not 1 <= len(named) <= 100:
            faults.append(Fault(composite.plan, composite.address, f"it names {len(named)} alarms"))
    return faults


def dashboard_faults(planned: Iterable[Planned], headings: set[str]) -> list[Fault]:
    """Widgets fit the grid, do not overlap, ask a question, and show metrics that exist."""
    return [
        Fault(dashboard.plan, dashboard.address, error)
        for dashboard in planned
        if dashboard.type == DASHBOARD
        for error in _dashboard_errors(json.loads(dashboard.values["dashboard_body"])["widgets"], headings)
    ]


def _dashboard_errors(widgets: list[dict[str, Any]], headings: set[str]) -> Iterator[str]:
    taken: Counter[tuple[int, int]] = Counter()
    for widget in widgets:
        title = _title(widget)
        taken.update(_cells(widget))
        if widget["x"] < 0 or widget["x"] + widget["width"] > COLUMNS:
            yield f"{title}: it is outside of the {COLUMNS} columns"
        if not title.endswith("?") and title != "What to do first":
            yield f"{title}: the title asks no question"
        yield from _widget_errors(title, widget["properties"], headings)
    if max(taken.values()) > 1:
        yield "two widgets overlap"


def _widget_errors(title: str, properties: Mapping[str, Any], headings: set[str]) -> Iterator[str]:
    for anchor in re.findall(r"\]\([^)#]+#([^)]*)\)", properties.get("markdown", "")):
        if anchor not in headings:
            yield f"{title}: the runbook has no heading {anchor}"
    for metric in properties.get("metrics", []):
        error = unknown_metric(*_named(metric))
        if error:
            yield f"{title}: {error}"
    if "metrics" in properties and not properties["metrics"]:
        yield f"{title}: it shows nothing"


def _named(metric: list[Any]) -> tuple[str, str, dict[str, str]]:
    """Namespace, name and dimensions of a line of a widget. It may end with options."""
    namespace, name, *rest = [part for part in metric if isinstance(part, str)]
    return namespace, name, dict(zip(rest[::2], rest[1::2], strict=True))


def _title(widget: Mapping[str, Any]) -> str:
    properties = widget["properties"]
    heading: str = properties.get("title") or properties["markdown"].splitlines()[0].removeprefix("## ")
    return heading


def _cells(widget: Mapping[str, int]) -> Iterator[tuple[int, int]]:
    for x in range(widget["x"], widget["x"] + widget["width"]):
        for y in range(widget["y"], widget["y"] + widget["height"]):
            yield x, y
