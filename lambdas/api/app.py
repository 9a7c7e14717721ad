"""Handles one event: calls the API, turns errors into responses, writes the log line and the metric."""

from __future__ import annotations

import time
import traceback
from typing import Any

from api import aws, problems
from api.gateway import Event, Request, parse_event, to_result
from api.problems import Problem
from api.routes import Handled, OrdersApi
from common.telemetry import ORDER_ID, annotate, logger, metrics


def serve(api: OrdersApi, event: Event, request_id: str = "") -> dict[str, Any]:
    """Return API Gateway's result for `event`; every error becomes a response, and every request one log line."""
    started = time.perf_counter()
    request = parse_event(event, request_id)
    handled, failure = _handle(api, request)
    _report(request, handled, failure, time.perf_counter() - started)
    return to_result(handled.response, request.request_id, api.cors.headers(request))


def _handle(api: OrdersApi, request: Request) -> tuple[Handled, Exception | None]:
    try:
        return api.handle(request), None
    except Problem as problem:
        return Handled(problems.response(problem, request.request_id)), None
    except Exception as error:  # noqa: BLE001 - the client gets the request id, the log gets the error
        return _failed(error, request.request_id), error


def _failed(error: Exception, request_id: str) -> Handled:
    if aws.unavailable(error):
        return Handled(problems.response(problems.unavailable(), request_id), "Unavailable")
    return Handled(problems.response(problems.internal(), request_id), "UnexpectedErrors")


def _report(request: Request, handled: Handled, failure: Exception | None, seconds: float) -> None:
    fields = {
        "method": request.method,
        "resource": request.resource,
        "status": int(handled.response.status),
        "order_id": handled.order_id,
        "request_id": request.request_id,
        "latency_ms": round(seconds * 1000, 1),
    }
    if failure is None:
        logger.info("request", extra=fields)
    else:
        logger.error("request failed", extra=fields | _failure(failure))
    if handled.order_id:
        annotate(lambda: {ORDER_ID: [handled.order_id]})
    if handled.metric:
        metrics.add_metric(handled.metric, "Count", 1)
        metrics.flush_metrics()


def _failure(error: Exception) -> dict[str, Any]:
    """Type, code, hint and stack of an error, but not its message: libraries put values into theirs."""
    frames = [f"{frame.name} {frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    return {
        "error": type(error).__qualname__,
        "code": aws.code(error),
        "hint": getattr(error, "hint", ""),
        "frames": frames[-10:],
    }
