"""One event in, one answer out, one line in the log."""

from __future__ import annotations

import time
import traceback
from typing import Any

from api import aws, problems
from api.gateway import Event, Request, reply, request
from api.problems import Problem
from api.routes import Api, Outcome
from common.telemetry import logger, metrics


def serve(api: Api, event: Event, request_id: str = "") -> dict[str, Any]:
    """Answer an event of API Gateway, whatever happens, and leave one line in the log about it."""
    started = time.perf_counter()
    asked = request(event, request_id)
    outcome, failure = _outcome(api, asked)
    _report(asked, outcome, failure, time.perf_counter() - started)
    return reply(outcome.response, asked.request_id)


def _outcome(api: Api, asked: Request) -> tuple[Outcome, Exception | None]:
    try:
        return api.answer(asked), None
    except Problem as problem:
        return Outcome(problems.response(problem, asked.request_id)), None
    except Exception as error:  # noqa: BLE001 - the last resort: the client gets an id, the log the rest
        return _failed(error, asked.request_id), error


def _failed(error: Exception, request_id: str) -> Outcome:
    if aws.unavailable(error):
        return Outcome(problems.response(problems.unavailable(), request_id), "Unavailable")
    return Outcome(problems.response(problems.internal(), request_id), "UnexpectedErrors")


def _report(asked: Request, outcome: Outcome, failure: Exception | None, seconds: float) -> None:
    fields = {
        "method": asked.method,
        "resource": asked.resource,
        "status": int(outcome.response.status),
        "order_id": outcome.order_id,
        "request_id": asked.request_id,
        "latency_ms": round(seconds * 1000, 1),
    }
    if failure is None:
        logger.info("request", extra=fields)
    else:
        logger.error("request failed", extra=fields | _failure(failure))
    if outcome.metric:
        metrics.add_metric(outcome.metric, "Count", 1)
        metrics.flush_metrics()


def _failure(error: Exception) -> dict[str, Any]:
    """Where and what. Of messages only our own, which are hints: libraries put values into theirs."""
    frames = [f"{frame.name} {frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    return {
        "error": type(error).__qualname__,
        "code": aws.code(error),
        "hint": getattr(error, "hint", ""),
        "frames": frames[-10:],
    }
