"""`If-Match` and `If-None-Match` (RFC 9110, 13.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus

from api.problems import Problem, bad_request

# One list member up to its comma: [ "W/" ] DQUOTE *etagc DQUOTE, or nothing. An etagc may be a comma.
_MEMBER = re.compile(r'[ \t]*(?:(W/)?("[\x21\x23-\x7e\x80-\xff]*")[ \t]*)?(?:,|\Z)')


def require_match(headers: Mapping[str, str], etag: str) -> None:
    """Raise 412 unless `If-Match` is absent, is `*`, or lists `etag`; weak tags never match."""
    tags = _tags(headers, "if-match")
    if tags is not None and "*" not in tags and etag not in tags:
        detail = "If-Match does not list the current ETag of the order. Read the order again before you retry."
        raise Problem(HTTPStatus.PRECONDITION_FAILED, detail)


def not_modified(headers: Mapping[str, str], etag: str) -> bool:
    """Tell whether `If-None-Match` is `*` or lists `etag` (weak comparison)."""
    tags = _tags(headers, "if-none-match")
    return tags is not None and ("*" in tags or etag in {tag.removeprefix("W/") for tag in tags})


def check_syntax(headers: Mapping[str, str]) -> None:
    """Raise 400 if a precondition is malformed, whether or not the order exists."""
    _tags(headers, "if-match")
    _tags(headers, "if-none-match")


def _tags(headers: Mapping[str, str], name: str) -> set[str] | None:
    value = headers.get(name)
    if value is None:
        return None
    if value.strip() == "*":
        return {"*"}
    return _parse_list(value, name)


def _parse_list(value: str, name: str) -> set[str]:
    tags: set[str] = set()
    position = 0
    while position < len(value):
        member = _MEMBER.match(value, position)
        if member is None:
            break
        if member[2]:
            tags.add((member[1] or "") + member[2])
        position = member.end()
    if not tags or position < len(value):
        raise bad_request(f"{name.title()} is invalid.", name, "must be * or a list of quoted entity tags")
    return tags
