"""Translates API Gateway's REST proxy events (format 1.0) into a Request, and a Response into its result."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Event = Mapping[str, Any]

# {order_id} and {proxy+} in the path of a resource
_PARAMETER = re.compile(r"\{([^{}+]+)\+?\}")


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    resource: str
    headers: Mapping[str, str]
    query: Mapping[str, Sequence[str]]
    body: str
    base64: bool
    request_id: str
    caller: str


@dataclass(frozen=True)
class Response:
    status: int
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def parse_event(event: Event, fallback_id: str = "") -> Request:
    """`fallback_id` is the request id of an event that has none."""
    context = event.get("requestContext") or {}
    return Request(
        method=str(event.get("httpMethod") or ""),
        path=_path(event),
        resource=str(event.get("resource") or ""),
        headers=_headers(event),
        query=_query(event),
        body=event.get("body") or "",
        base64=bool(event.get("isBase64Encoded")),
        request_id=str(context.get("requestId") or fallback_id),
        caller=_caller(context.get("identity") or {}),
    )


def to_result(response: Response, request_id: str, more: Mapping[str, str]) -> dict[str, Any]:
    """`more` are headers that every response has."""
    # Orders are private: no cache may store a response, an error included.
    headers = {"cache-control": "no-store", "x-request-id": request_id, **more, **response.headers}
    return {"statusCode": int(response.status), "headers": headers, "body": response.body}


def _path(event: Event) -> str:
    """Path inside the API: `path` without the base path of a custom domain."""
    path, template = str(event.get("path") or "/"), event.get("resource")
    parameters = event.get("pathParameters") or {}
    names = _PARAMETER.findall(template) if template else []
    if not template or path.endswith("/") or not all(parameters.get(name) for name in names):
        return path
    return _PARAMETER.sub(lambda name: str(parameters[name[1]]), template)


def _headers(event: Event) -> dict[str, str]:
    """Names in lower case; repeated headers are joined into one list (RFC 9110, 5.3)."""
    lines = event.get("multiValueHeaders")
    if lines:
        return {name.lower(): ", ".join(values) for name, values in lines.items()}
    return {name.lower(): value for name, value in (event.get("headers") or {}).items()}


def _query(event: Event) -> Mapping[str, Sequence[str]]:
    lists = event.get("multiValueQueryStringParameters")
    if lists:
        return {name: list(values) for name, values in lists.items()}
    return {name: [value] for name, value in (event.get("queryStringParameters") or {}).items()}


def _caller(identity: Mapping[str, Any]) -> str:
    """ARN of the caller, without the session name: a retry may come from another session of the same role."""
    arn = str(identity.get("userArn") or identity.get("caller") or "")
    return arn.rpartition("/")[0] if ":assumed-role/" in arn else arn
