"""Parses request bodies and query strings into exact values; raises a Problem that names each wrong field."""

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

from api import money
from api.gateway import Request
from api.order import NewOrder, OrderPatch
from api.problems import FieldError, Problem, bad_request, pointer, unprocessable
from api.validation import DocumentCheck, document_check

MAX_BODY_BYTES = 16_384
DEFAULT_LIMIT = 20
MAX_LIMIT = 100
JSON = ("application/json",)
MERGE_PATCH = ("application/json", "application/merge-patch+json")

_check_create = document_check("OrderCreate")
_check_patch = document_check("OrderPatch")
_check_merchant_id = document_check("MerchantId")


@dataclass(frozen=True)
class OrderQuery:
    merchant_id: str
    limit: int
    cursor: str | None


def new_order(request: Request) -> NewOrder:
    order = NewOrder(**_document(request, JSON, _check_create))
    require_precision(order.amount, order.currency, field="/amount")
    return order


def order_patch(request: Request) -> OrderPatch:
    """Parse a patch; the caller checks amount and currency with `require_precision` once it has the order."""
    return OrderPatch(**_document(request, MERGE_PATCH, _check_patch))


def require_precision(amount: Decimal, currency: str, *, field: str) -> None:
    """Raise 422 for `field`, "/amount" or "/currency", if the amount has more decimal places than the currency."""
    if money.fits(amount, currency):
        return
    digits = money.MINOR_DIGITS[currency]
    allowed = f"at most {digits}" if digits else "no"
    if field == "/amount":
        message = f"must have {allowed} decimal places in this currency"
    else:
        message = f"allows {allowed} decimal places, but the amount of the order has more"
    raise unprocessable([FieldError(field, message)])


def query(request: Request, allowed: Sequence[str]) -> dict[str, str]:
    """Query parameters by name; raises 400 for an unknown or repeated one."""
    errors = [FieldError(name, "appears more than once") for name in allowed if len(request.query.get(name, ())) > 1]
    if any(name not in allowed for name in request.query):
        known = f"allows only the parameters {', '.join(allowed)}" if allowed else "must be empty for this request"
        errors.append(FieldError("query", known))
    if errors:
        raise Problem(HTTPStatus.BAD_REQUEST, "The query string is invalid.", errors)
    return {name: values[0] for name, values in request.query.items() if values}


def order_query(request: Request) -> OrderQuery:
    given = query(request, allowed=("merchant_id", "limit", "cursor"))
    if "merchant_id" not in given:
        raise bad_request("merchant_id is required.", "merchant_id", "is required")
    errors = [replace(error, field="merchant_id") for error in _check_merchant_id(given["merchant_id"])]
    if errors:
        raise Problem(HTTPStatus.BAD_REQUEST, "merchant_id is invalid.", errors)
    return OrderQuery(given["merchant_id"], _limit(given.get("limit")), given.get("cursor"))


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not _DIGITS.fullmatch(text) or not 1 <= int(text) <= MAX_LIMIT:
        message = f"must be a whole number between 1 and {MAX_LIMIT}"
        raise bad_request(f"limit must be between 1 and {MAX_LIMIT}.", "limit", message)
    return int(text)


def _document(request: Request, media_types: Sequence[str], check: DocumentCheck) -> dict[str, Any]:
    _require_media_type(request.headers.get("content-type", ""), media_types)
    text = _text(_body(request))
    try:
        document = _DECODER.decode(text)
        errors = check(document)
    except RecursionError:
        raise bad_request("The request body is nested too deeply.") from None
    except ValueError:
        raise bad_request("The request body is not valid JSON.") from None
    if errors:
        raise unprocessable(errors)
    return dict(document)


def _require_media_type(header: str, media_types: Sequence[str]) -> None:
    media_type, _, parameters = header.partition(";")
    if media_type.strip().lower() not in media_types or not _UTF8_ONLY.fullmatch(parameters.strip()):
        allowed = " or ".join(media_types)
        errors = [FieldError("content-type", f"must be {allowed}, in UTF-8")]
        detail = f"Content-Type must be {allowed}, in UTF-8."
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail, errors, {"accept": ", ".join(media_types)})


def _body(request: Request) -> bytes:
    body = request.body
    # Four base64 characters carry three bytes, so a large body is refused before it is decoded.
    if len(body) > MAX_BODY_BYTES * (4 / 3 if request.base64 else 1) + 4:
        raise _too_large()
    try:
        raw = base64.b64decode(body, validate=True) if request.base64 else body.encode()
    except (binascii.Error, UnicodeEncodeError):
        raise _not_utf8() from None
    if len(raw) > MAX_BODY_BYTES:
        raise _too_large()
    return raw


def _text(raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise _not_utf8() from None
    if not text.strip():
        raise bad_request("The request body is empty.")
    return text


def _not_utf8() -> Problem:
    return bad_request("The request body is not valid UTF-8.")


def _too_large() -> Problem:
    detail = f"The request body is larger than {MAX_BODY_BYTES} bytes."
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)


def _number(text: str) -> Decimal:
    """Parse exactly; a number outside the range of Decimal becomes infinity, which every schema refuses."""
    value = Decimal(text, _QUIET)
    return _INFINITY if value.is_nan() else value


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    counts = Counter(name for name, _ in pairs)
    errors = [FieldError(pointer(name), "appears more than once") for name, n in counts.items() if n > 1]
    raise Problem(HTTPStatus.BAD_REQUEST, "The request body repeats a field.", errors)


_DIGITS = re.compile(r"[0-9]{1,3}")
_QUIET = Context(traps=[])
_INFINITY = Decimal("Infinity")
_UTF8_ONLY = re.compile(r'(charset\s*=\s*"?utf-?8"?)?', re.IGNORECASE)
_DECODER = json.JSONDecoder(
    parse_float=_number, parse_int=_number, parse_constant=_constant, object_pairs_hook=_members
)
