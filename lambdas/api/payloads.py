"""What a client may send: bodies and parameters become exact values, or a Problem that names the field."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from http import HTTPStatus
from typing import Any, NoReturn

from api import validation
from api.gateway import Request
from api.money import misfit
from api.problems import FieldError, Problem, bad_request, pointer, unprocessable

MAX_BODY_BYTES = 16_384
DEFAULT_LIMIT = 20
MAX_LIMIT = 100
JSON = ("application/json",)
MERGE_PATCH = ("application/json", "application/merge-patch+json")

check_create = validation.load("order_create.json")
check_merchant_id = validation.load("order_create.json", member="merchant_id")
check_patch = validation.load("order_patch.json")


@dataclass(frozen=True)
class NewOrder:
    merchant_id: str
    amount: Decimal
    currency: str


@dataclass(frozen=True)
class OrderPatch:
    amount: Decimal | None = None
    currency: str | None = None
    status: str | None = None


@dataclass(frozen=True)
class OrderQuery:
    merchant_id: str
    limit: int
    cursor: str | None


def new_order(request: Request) -> NewOrder:
    order = NewOrder(**_document(request, JSON, check_create))
    require_fit(order.amount, order.currency, field="/amount")
    return order


def order_patch(request: Request) -> OrderPatch:
    """Amount and currency can only be checked together with the order that is patched: see `require_fit`."""
    return OrderPatch(**_document(request, MERGE_PATCH, check_patch))


def require_fit(amount: Decimal, currency: str, *, field: str) -> None:
    message = misfit(amount, currency)
    if message:
        raise unprocessable([FieldError(field, message)])


def query(request: Request, allowed: Sequence[str]) -> dict[str, str]:
    """Query parameters by name; an unknown or repeated one is refused rather than guessed at."""
    errors = [FieldError(name, "is given more than once") for name in allowed if len(request.query.get(name, ())) > 1]
    if any(name not in allowed for name in request.query):
        known = ", ".join(allowed) or "none"
        errors.append(FieldError("query", f"holds an unknown parameter; known here: {known}"))
    if errors:
        raise Problem(HTTPStatus.BAD_REQUEST, "The query is not what is needed here.", errors)
    return {name: values[0] for name, values in request.query.items() if values}


def order_query(request: Request) -> OrderQuery:
    given = query(request, allowed=("merchant_id", "limit", "cursor"))
    if "merchant_id" not in given:
        raise bad_request("The query names no merchant.", "merchant_id", "is required")
    errors = [replace(error, field="merchant_id") for error in check_merchant_id(given["merchant_id"])]
    if errors:
        raise Problem(HTTPStatus.BAD_REQUEST, "The query names no merchant.", errors)
    return OrderQuery(given["merchant_id"], _limit(given.get("limit")), given.get("cursor"))


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not _DIGITS.fullmatch(text) or not 1 <= int(text) <= MAX_LIMIT:
        message = f"must be a whole number from 1 to {MAX_LIMIT}"
        raise bad_request("The limit is no page size.", "limit", message)
    return int(text)


def _document(request: Request, media_types: Sequence[str], check: validation.Check) -> dict[str, Any]:
    _require_media_type(request.headers.get("content-type", ""), media_types)
    text = _text(_body(request))
    try:
        document = _DECODER.decode(text)
        errors = check(document)
    except RecursionError:
        raise bad_request("The body is nested too deeply.") from None
    except ValueError:
        raise bad_request("The body is not JSON.") from None
    if errors:
        raise unprocessable(errors)
    return dict(document)


def _require_media_type(header: str, media_types: Sequence[str]) -> None:
    media_type, _, parameters = header.partition(";")
    if media_type.strip().lower() not in media_types or not _UTF8_ONLY.fullmatch(parameters.strip()):
        detail = f"The body must be {' or '.join(media_types)}, in UTF-8."
        errors = [FieldError("content-type", f"must be {' or '.join(media_types)}")]
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail, errors, {"accept": ", ".join(media_types)})


def _body(request: Request) -> bytes:
    body = request.body
    # Four base64 characters carry three bytes: too much is refused before it is decoded.
    if len(body) > MAX_BODY_BYTES * (4 / 3 if request.base64 else 1) + 4:
        raise _too_large()
    try:
        raw = base64.b64decode(body, validate=True) if request.base64 else body.encode()
    except (binascii.Error, UnicodeEncodeError):
        raise bad_request("The body is not text in UTF-8.") from None
    if len(raw) > MAX_BODY_BYTES:
        raise _too_large()
    return raw


def _text(raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise bad_request("The body is not text in UTF-8.") from None
    if not text.strip():
        raise bad_request("The body is empty.")
    return text


def _too_large() -> Problem:
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body may have {MAX_BODY_BYTES} bytes.")


def _number(text: str) -> Decimal:
    """Every number exactly; one beyond what a Decimal can be becomes one that no schema here accepts."""
    value = Decimal(text, _QUIET)
    return _BEYOND if value.is_nan() else value


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    counts = Counter(name for name, _ in pairs)
    errors = [FieldError(pointer(name), "is given more than once") for name, n in counts.items() if n > 1]
    raise Problem(HTTPStatus.BAD_REQUEST, "The body names a field twice.", errors)


_DIGITS = re.compile(r"[0-9]{1,3}")
_QUIET = Context(traps=[])
_BEYOND = Decimal("Infinity")
_UTF8_ONLY = re.compile(r'(charset\s*=\s*"?utf-?8"?)?', re.IGNORECASE)
_DECODER = json.JSONDecoder(
    parse_float=_number, parse_int=_number, parse_constant=_constant, object_pairs_hook=_members
)
