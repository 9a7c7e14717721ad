"""CORS: which web pages may call the API, and which of its headers they may use and see.

Source: https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from api.gateway import Request, Response

REQUEST_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match")
# A request signed with SigV4 also has these.
SIGNED_HEADERS = ("X-Amz-Content-Sha256", "X-Amz-Date", "X-Amz-Security-Token")
RESPONSE_HEADERS = ("Accept", "Allow", "ETag", "Idempotency-Replayed", "Location", "Retry-After", "X-Request-Id")
MAX_AGE_SECONDS = 600  # a browser remembers an answer for this long, and so does a page after a change of the origins
NONE: Mapping[str, str] = {}


def origins(value: str) -> tuple[str, ...]:
    """Parse the origins of CORS_ALLOWED_ORIGINS, which commas separate. Raises ValueError for a wildcard."""
    found = tuple(origin.strip() for origin in value.split(","))
    if any("*" in origin or "://" not in origin for origin in found):
        raise ValueError("must be origins such as https://shop.example.com, separated by commas")
    return found


@dataclass(frozen=True)
class Cors:
    """`allowed` are origins as a browser sends them. Without any, no page may call the API."""

    allowed: tuple[str, ...] = ()
    request_headers: tuple[str, ...] = REQUEST_HEADERS

    def is_preflight(self, request: Request) -> bool:
        """Whether a browser asks for a page what it may send. Such a request has no credentials."""
        asked = {"origin", "access-control-request-method"} <= request.headers.keys()
        return bool(self.allowed) and request.method == "OPTIONS" and asked

    def preflight(self, methods: Iterable[str]) -> Response:
        """The answer for a path that allows `methods`. `headers` adds the origin, where it is allowed."""
        return Response(
            HTTPStatus.NO_CONTENT,
            headers={
                "access-control-allow-methods": ", ".join(sorted(methods)),
                "access-control-allow-headers": ", ".join(self.request_headers),
                "access-control-max-age": str(MAX_AGE_SECONDS),
            },
        )

    def headers(self, request: Request) -> Mapping[str, str]:
        """The headers of every response, an error included: without them the page cannot read it."""
        if not self.allowed:
            return NONE
        vary = {"vary": "Origin"}
        origin = request.headers.get("origin", "")
        if origin not in self.allowed:
            return vary
        return {
            **vary,
            "access-control-allow-origin": origin,
            "access-control-expose-headers": ", ".join(RESPONSE_HEADERS),
        }
