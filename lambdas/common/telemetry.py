"""Logger and metrics of every function, and tracing that costs nothing until a trace is on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from functools import cache, wraps
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics

from common.spans import OFF

if TYPE_CHECKING:
    from aws_lambda_powertools import Tracer

Handler = Callable[[Any, Any], Any]

# The annotation that the traces of the API and of the consumer share.
ORDER_ID = "order_id"
# X-Ray indexes 50 annotations of a trace, and Powertools sets some. A value has at most 1,000 characters, so all take
# half of the 100 KB that a trace may have whose parts are sent one by one.
# https://docs.aws.amazon.com/xray/latest/devguide/xray-sdk-python-segment.html
# https://repost.aws/knowledge-center/x-ray-trace-quota-error
MOST_ANNOTATIONS, LONGEST_ANNOTATION = 40, 1_000

logger = Logger()
# The message about attributes that items have and no column takes, with their names.
UNMAPPED_ATTRIBUTES = "attributes are not mapped"
# Without a namespace a flush raises, after the work it counts was done.
metrics = Metrics(namespace=os.environ.get("POWERTOOLS_METRICS_NAMESPACE") or "Backstream")


@cache
def _tracer() -> Tracer:
    from aws_lambda_powertools import Tracer  # noqa: PLC0415

    # Only botocore: the SQL driver's patch would put statements, and with them row values, into traces.
    return Tracer(patch_modules=("botocore",))


def _is_sampled() -> bool:
    return "Sampled=1" in os.environ.get("_X_AMZN_TRACE_ID", "")


def traced(handler: Handler) -> Handler:
    """Run `handler` under X-Ray when this invocation is sampled.

    Lambda puts the decision into `_X_AMZN_TRACE_ID` of each invocation. The X-Ray SDK takes some 200 ms to
    import, so an execution environment pays for it at its first sampled invocation, if there ever is one.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """

    @wraps(handler)
    def run(event: Any, context: Any) -> Any:
        if not _is_sampled():
            return handler(event, context)
        capture = _tracer().capture_lambda_handler(capture_response=False, capture_error=False)
        return capture(handler)(event, context)

    return run


def span(name: str) -> AbstractContextManager[None]:
    """A subsegment of the trace, where this invocation is sampled. It holds nothing but its name and times."""
    return _Subsegment(name) if _is_sampled() else OFF


class _Subsegment(AbstractContextManager[None]):
    """A subsegment that notes no error: the message of one may hold row values. It is marked as a fault instead."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._recorder: Any = _tracer().provider  # the SDK has no types

    def __enter__(self) -> None:
        self._entered = self._recorder.begin_subsegment(self._name)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind and self._entered:
            self._entered.add_fault_flag()
        self._recorder.end_subsegment()


def annotate(make_ids: Callable[[], Mapping[str, Iterable[str]]]) -> None:
    """Note ids in the trace of a sampled invocation. `make_ids` gives texts without spaces by name of the annotation.

    The filter expression `annotation.order_id CONTAINS "8f14"` then finds the trace. A subsegment has one value of each
    annotation, so each value has as many ids as fit, and a subsegment of its own. Ids that need more than 40 of them
    are left out.
    """
    if not _is_sampled():
        return
    for name, value in annotation_values(make_ids()):
        with span(name):
            _tracer().put_annotation(name, value)


def annotation_values(ids: Mapping[str, Iterable[str]]) -> list[tuple[str, str]]:
    """Name and value of each annotation."""
    found: list[tuple[str, str]] = []
    for name, texts in ids.items():
        value = ""
        for text in texts:
            if value and len(value) + 1 + len(text) > LONGEST_ANNOTATION:
                found.append((name, value))
                value = ""
            if len(found) == MOST_ANNOTATIONS:
                return found
            value = f"{value} {text}" if value else text
        if value:
            found.append((name, value))
    return found
