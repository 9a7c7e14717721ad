"""Errors as `application/problem+json` (RFC 9457); no text repeats a value that the client sent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus

from api.gateway import Response

SHOWN_ERRORS = 10
SHOWN_NAME = 64


@dataclass(frozen=True)
class FieldError:
    """`field` is a JSON pointer into the body, or the name of a parameter or header."""

    field: str
    message: str


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """Ends a request with an error status; the request has written nothing, except perhaps with 500 and 503."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = headers or {}


def bad_request(detail: str, field: str = "", message: str = "") -> Problem:
    errors = [FieldError(field, message or detail)] if field else []
    return Problem(HTTPStatus.BAD_REQUEST, detail, errors)


def unprocessable(errors: Sequence[FieldError], detail: str = "The request body is invalid.") -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors)


def not_found(detail: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, detail)


def conflict(detail: str) -> Problem:
    return Problem(HTTPStatus.CONFLICT, detail)


def unavailable() -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The service is temporarily unavailable. Retry later; retry a POST with the same Idempotency-Key.",
        headers={"retry-after": "1"},
    )


def internal() -> Problem:
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "The server could not process the request. Include the request_id when you report this error.",
    )


def pointer(*names: object) -> str:
    """A JSON pointer (RFC 6901) in valid Unicode, with each name cut to SHOWN_NAME characters."""
    return "".join(f"/{_shown(name)}" for name in names)


def _shown(name: object) -> str:
    text = str(name)[:SHOWN_NAME].encode("utf-8", "replace").decode()
    return text.replace("~", "~0").replace("/", "~1")


def response(problem: Problem, request_id: str) -> Response:
    document = {
        "type": "about:blank",
        # Not `phrase`: Python versions differ in those of 413 and 422.
        "title": TITLES[problem.status],
        "status": int(problem.status),
        "detail": problem.detail,
        "request_id": request_id,
    }
    if problem.errors:
        document["errors"] = [asdict(error) for error in problem.errors[:SHOWN_ERRORS]]
    headers = {"content-type": "application/problem+json", **problem.headers}
    return Response(int(problem.status), json.dumps(document), headers)


TITLES = {
    HTTPStatus.BAD_REQUEST: "Bad Request",
    HTTPStatus.UNAUTHORIZED: "Unauthorized",
    HTTPStatus.NOT_FOUND: "Not Found",
    HTTPStatus.METHOD_NOT_ALLOWED: "Method Not Allowed",
    HTTPStatus.CONFLICT: "Conflict",
    HTTPStatus.PRECONDITION_FAILED: "Precondition Failed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Content Too Large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "Unsupported Media Type",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Unprocessable Content",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Internal Server Error",
    HTTPStatus.SERVICE_UNAVAILABLE: "Service Unavailable",
}
