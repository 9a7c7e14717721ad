"""Logger and metrics of every function, and tracing that costs nothing until a trace is on."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, wraps
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics

if TYPE_CHECKING:
    from aws_lambda_powertools import Tracer

Handler = Callable[[Any, Any], Any]

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


def traced(handler: Handler) -> Handler:
    """Run `handler` under X-Ray when this invocation is sampled.

    Lambda puts the decision into `_X_AMZN_TRACE_ID` of each invocation. The X-Ray SDK takes some 200 ms to
    import, so an execution environment pays for it at its first sampled invocation, if there ever is one.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """

    @wraps(handler)
    def run(event: Any, context: Any) -> Any:
        if "Sampled=1" not in os.environ.get("_X_AMZN_TRACE_ID", ""):
            return handler(event, context)
        capture = _tracer().capture_lambda_handler(capture_response=False, capture_error=False)
        return capture(handler)(event, context)

    return run
