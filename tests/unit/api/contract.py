"""The schemathesis checks of a running API, local or deployed."""

from __future__ import annotations

import json
import re
import uuid
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis.config import SchemathesisConfig

import api
from api.money import MINOR_DIGITS

# Without a registered format, schemathesis sends letters and digits as the value of every header.
schemathesis.openapi.format("entity-tags", st.sampled_from(["*", '"a"', '"a", W/"b"']))

DOCUMENT = Path(api.__file__).with_name("openapi.json")
KEY = json.loads(DOCUMENT.read_bytes())["components"]["parameters"]["IdempotencyKey"]["schema"]["pattern"]
CREDENTIALS = ("foo", "bar")

ACCEPTED = ["2xx", "304", "404", "409", "412"]
REJECTED = ["400", "401", "404", "405", "412", "413", "415", "422"]


def contract(examples: int, *, probe_auth: bool = True) -> Any:
    """Load the document. The cases are deterministic, so a failed run can be repeated.

    With `probe_auth`, every request is repeated with wrong credentials and with none.
    """
    config = SchemathesisConfig.from_dict(
        {
            "generation": {"max-examples": examples, "deterministic": True},
            "checks": {
                "ignored_auth": {"enabled": probe_auth},
                "positive_data_acceptance": {"expected-statuses": ACCEPTED},
                "negative_data_rejection": {"expected-statuses": REJECTED},
            },
            # The schema allows any cursor, but the API accepts only cursors that it has issued.
            "operations": [
                {
                    "include-operation-id": "listOrders",
                    "checks": {"positive_data_acceptance": {"expected-statuses": [*ACCEPTED, "400"]}},
                }
            ],
        }
    )
    return schemathesis.openapi.from_path(DOCUMENT, config=config)


def ask(case: Any, api_url: str) -> None:
    """Send the case and check the response against the document.

    Two rules that no schema can express are kept here: an amount fits its currency, and a key is used once.
    """
    key = (case.headers or {}).get("Idempotency-Key", "")
    if re.fullmatch(KEY, key):
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    case.body = rounded(case.body)
    case.call_and_validate(base_url=api_url, auth=CREDENTIALS)


def rounded(body: Any) -> Any:
    """Round a valid amount to the decimal places of its currency."""
    if not isinstance(body, dict) or not isinstance(body.get("amount"), int | float):
        return body
    digits = MINOR_DIGITS.get(str(body.get("currency", "INR")))
    if digits is None or isinstance(body["amount"], bool) or not 0 < body["amount"] < 10**15:
        return body
    least = Decimal(1).scaleb(-digits)
    amount = max(least, Decimal(str(body["amount"])).quantize(least, ROUND_DOWN))
    return body | {"amount": float(amount)}
