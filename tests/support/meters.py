"""A hostile mapping: keys of bytes and numbers, a column of every type, a filter outside the key, flags for deletes."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from common.mapping_file import read_text
from tests.support.records import ARN, START, TTL_IDENTITY, record
from tests.support.reference_mapping import Live, outcomes
from tests.support.reference_types import Json

_FLAG = {"flag": "is_deleted", "time": "deleted_at"}
_OPTIONAL = {"null": "null", "absent": "null"}
# Columns by name: their types, and a value of each that a careless writer would change.
_TYPED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "label": ({"type": "string", "length": 40}, {"S": "'\\\"%_\u0000é😀 "}),
    "short": ({"type": "string", "length": 20, "ascii": True}, {"S": "a\\b'c"}),
    "numbered": ({"type": "string", "length": 40, "as": "number"}, {"N": "1E+3"}),
    "body": ({"type": "text"}, {"S": "line\r\n\tline 😀"}),
    "exact": ({"type": "decimal", "precision": 38, "scale": 10}, {"N": "-1234567890123456789012345678.0123456789"}),
    "spelt": ({"type": "decimal", "precision": 6, "scale": 2, "as": "string"}, {"S": "-0.10"}),
    "tiny": ({"type": "tinyint"}, {"N": "-128"}),
    "small": ({"type": "smallint", "unsigned": True}, {"N": "65535"}),
    "middle": ({"type": "int", "as": "string"}, {"S": "-2147483648"}),
    "whole": ({"type": "bigint", "unsigned": True}, {"N": "18446744073709551615"}),
    "good": ({"type": "boolean"}, {"BOOL": True}),
    "paid": ({"type": "boolean", "as": {"true": "Y", "false": "N"}}, {"S": "N"}),
    "taken_on": ({"type": "date"}, {"S": "9999-12-31"}),
    "due_on": ({"type": "date", "as": "epoch_seconds"}, {"N": "0"}),
    "taken_at": ({"type": "datetime", "fraction": 3}, {"S": "2026-01-31T23:59:59.999-12:00"}),
    "due_at": ({"type": "datetime", "fraction": 6, "as": "epoch_milliseconds"}, {"N": "-1"}),
    "opens": ({"type": "time", "fraction": 6}, {"S": "23:59:59.000001"}),
    "raw": ({"type": "binary", "length": 300}, {"B": base64.b64encode(bytes(range(256))).decode()}),
    "seal": ({"type": "binary", "length": 8, "as": "base64"}, {"S": "/wAn"}),
    "batch": ({"type": "uuid", "stored": "bytes"}, {"S": "00000000-0000-4000-8000-00000000005c"}),
    "owner": ({"type": "uuid"}, {"S": "0e8dd4a6-6b9a-4d36-8f0b-6f0ff2a3a001"}),
    "extra": ({"type": "json"}, {"M": {"é.\"'": {"L": [{"N": "1.10"}, {"NULL": True}, {"SS": ["b", "a"]}]}}}),
    "phase": ({"type": "enum", "values": ["on", "off", "1"]}, {"S": "1"}),
}
DECLARED: dict[str, Any] = {
    "partition_key": {"attribute": "device", "type": "binary"},
    "sort_key": {"attribute": "taken", "type": "number"},
    "ttl_attribute": "expires",
    "entities": {
        "reading": {
            "when": {"attribute": {"path": ["detail", "kind.of"], "equals": "reading"}},
            "target": {
                "table": "meter_readings",
                "key": {"partition_key": "{device}", "sort_key": "{taken}"},
                "key_columns": [
                    {"column": "taken", "type": "decimal", "precision": 38, "scale": 10},
                    {"column": "device", "type": "binary", "length": 40},
                ],
            },
            "columns": [
                {"column": "amount", "from": ["amount"], "type": "decimal", "precision": 19, "scale": 4},
                {"column": "currency", "from": ["detail", "currency"], "type": "string", "length": 3},
                {"column": "status", "from": ["status"], "type": "string", "length": 32},
                {"column": "created_at", "from": ["created_at"], "type": "bigint"},
                {"column": "updated_at", "from": ["updated_at"], "type": "bigint"},
                *({"column": name, "from": [name], **_OPTIONAL, **kind} for name, (kind, _) in _TYPED.items()),
            ],
            "unmapped": {"column": "others"},
            "deletes": _FLAG,
            "ttl": _FLAG,
        }
    },
}
METERS = read_text("meters", json.dumps(DECLARED), Path())
TABLE = "meter_readings"
SECRET = ("exact", "body", "owner")  # attributes whose values no other text has
# The numbers of two items differ in their last digits only; the bytes have what a text must escape.
_TAKEN = ("-1234567890123456789012345678.0000000001", "-1234567890123456789012345678.0000000002", "0", "1E-10")
_PREFIX = b"\xff\x00'/"


def keys(name: str) -> dict[str, Any]:
    """The keys of the item that a test calls `name`."""
    device = base64.b64encode(_PREFIX + name.encode()).decode()
    return {"device": {"B": device}, "taken": {"N": _taken(name)}}


def _taken(name: str) -> str:
    return _TAKEN[len(name) % len(_TAKEN)]


def key_values(name: str) -> tuple[Decimal, bytes]:
    """The values of the key columns."""
    return Decimal(_taken(name)), _PREFIX + name.encode()


# The name of an item, from the key of its row.
NAME = f"CONVERT(SUBSTRING({{row}}.device, {len(_PREFIX) + 1}) USING utf8mb4)"


def image(name: str, *, kind: str = "reading", **values: Any) -> dict[str, Any]:
    """`values` replace what an order has: amount, currency, status, created_at, updated_at."""
    plain = {"amount": "200", "currency": "INR", "status": "NEW", "created_at": START, "updated_at": START} | values
    numbers = {one: {"N": str(plain[one])} for one in ("amount", "created_at", "updated_at")}
    return {
        **keys(name),
        **numbers,
        "status": {"S": plain["status"]},
        "detail": {"M": {"kind.of": {"S": kind}, "currency": {"S": plain["currency"]}}},
        "expires": {"N": str(START + 259_200)},
        "unknown": {"BOOL": False},
        **{one: value for one, (_, value) in _TYPED.items()},
    }


def put(
    name: str, sequence: int, *, time: int = START, arn: str = ARN, kind: str = "reading", **values: Any
) -> dict[str, Any]:
    """A stream record of an item."""
    made = record("", sequence, time=time, arn=arn)
    made["dynamodb"] |= {"Keys": keys(name), "NewImage": image(name, kind=kind, **values)}
    return made


def remove(name: str, sequence: int, *, time: int = START, arn: str = ARN) -> dict[str, Any]:
    """It is deleted, expires, or stops matching the entity: all three set the flag."""
    if sequence % 3 == 0:
        return put(name, sequence, time=time, arn=arn, kind="another")
    made = record("", sequence, "REMOVE", time=time, arn=arn, identity=TTL_IDENTITY if sequence % 3 == 1 else None)
    made["dynamodb"] |= {"Keys": keys(name)}
    made["dynamodb"].pop("OldImage")
    return made


def row(name: str, **values: Any) -> dict[str, Any]:
    """The row of `put(name, ..., **values)`, as the reference has it."""
    (outcome,) = outcomes(DECLARED, put(name, 1, **values))
    assert isinstance(outcome, Live)
    return dict(outcome.row)


def flagged(name: str, *, removed_at: int = START, **values: Any) -> dict[str, Any]:
    """The row of an item that had these values when it was removed."""
    return row(name, **values) | {"is_deleted": 1, "deleted_at": f"{datetime.fromtimestamp(removed_at, UTC):%F %T}"}


def readable(stored: dict[str, Any]) -> dict[str, Any]:
    """A row as the server gives it, with its documents as the reference has them."""
    documents = {name: stored[name] for name in ("extra", "others") if stored[name] is not None}
    return stored | {
        name: Json(json.loads(document, parse_int=Decimal, parse_float=Decimal)) for name, document in documents.items()
    }
