"""The sales and lots of shops as stream records: composite keys, bytes in keys, a filter on an attribute, flags."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from common.mapping_file import read_text
from tests.support.records import START, TTL_IDENTITY, record

# `seq` tells which change wrote a row.
_SEQ = {"column": "seq", "from": ["seq"], "type": "bigint"}
DECLARED: dict[str, Any] = {
    "partition_key": {"attribute": "pk", "type": "string"},
    "sort_key": {"attribute": "sk", "type": "binary"},
    "ttl_attribute": "expires",
    "entities": {
        "sale": {
            "when": {"partition_key": {"starts_with": "ITEM#"}, "attribute": {"path": ["kind"], "equals": "sale"}},
            "target": {
                "table": "stock_sales",
                "key": {"partition_key": "ITEM#{shop}#{line}", "sort_key": "{token}"},
                "key_columns": [
                    {"column": "shop", "type": "string", "length": 20},
                    {"column": "line", "type": "int"},
                    {"column": "token", "type": "binary", "length": 16},
                ],
            },
            "columns": [
                _SEQ,
                {"column": "price", "from": ["detail", "price"], "type": "decimal", "precision": 12, "scale": 3},
                {"column": "note", "from": ["note"], "type": "text", "absent": "null"},
                {"column": "seal", "from": ["seal"], "type": "binary", "length": 40},
            ],
            "deletes": {"flag": "is_deleted", "time": "deleted_at"},
            "ttl": {"flag": "is_deleted", "time": "deleted_at"},
        },
        "lot": {
            "when": {"partition_key": {"starts_with": "ITEM#"}, "attribute": {"path": ["kind"], "equals": "lot"}},
            "target": {
                "table": "stock_lots",
                "key": {"partition_key": "ITEM#{shop}#{line}", "sort_key": "{token}"},
                "key_columns": [
                    {"column": "token", "type": "binary", "length": 16},
                    {"column": "shop", "type": "string", "length": 20},
                    {"column": "line", "type": "int"},
                ],
            },
            "columns": [
                _SEQ,
                {"column": "parts", "from": ["parts"], "type": "json", "absent": {"default": "[]"}},
            ],
        },
    },
}
STOCK = read_text("stock", json.dumps(DECLARED), Path())
KINDS = ("sale", "lot", "neither")

# Keys are equal but for one part of the SQL key, and have what a text must escape.
KEYS = (("a", 1, b"\x00"), ("a", 1, b"\x00\x00"), ("a", 10, b"\x00"), ("A b/%", 1, b"\xff"), ("é", -5, b"/"))


def stock_keys(key: tuple[str, int, bytes]) -> dict[str, Any]:
    shop, line, token = key
    return {"pk": {"S": f"ITEM#{shop}#{line}"}, "sk": {"B": base64.b64encode(token).decode()}}


def stock_item(key: tuple[str, int, bytes], seq: int, kind: str) -> dict[str, Any]:
    """The image of an item; it becomes a row of the entity `kind`, or of none."""
    return stock_keys(key) | {
        "kind": {"S": kind},
        "seq": {"N": str(seq)},
        "detail": {"M": {"price": {"N": f"{seq}.125"}}},
        "seal": {"B": base64.b64encode(bytes([seq % 256, 0, 255])).decode()},
        "parts": {"L": [{"N": str(seq)}, {"NULL": True}]},
        "expires": {"N": str(START + 259_200)},
    }


def stock_record(key: tuple[str, int, bytes], sequence: int, event: str, kind: str, **options: Any) -> dict[str, Any]:
    """A stream record without an old image; `options` are those of `tests.support.records.record`.

    The row tells `options["time"]`, in seconds from START.
    """
    made = record("", sequence, event, **options)
    body = made["dynamodb"]
    body["Keys"] = stock_keys(key)
    body.pop("OldImage", None)
    if event != "REMOVE":
        body["NewImage"] = stock_item(key, options["time"] - START, kind)
    return made


def stock_change(key: tuple[str, int, bytes], sequence: int, kind: str = "sale", **options: Any) -> dict[str, Any]:
    """A change of the item with `key`, later than all of a lower sequence."""
    return stock_record(key, sequence, "MODIFY", kind, **{"time": START + sequence} | options)


def stock_expiry(key: tuple[str, int, bytes], sequence: int, kind: str = "sale") -> dict[str, Any]:
    return stock_record(key, sequence, "REMOVE", kind, time=START + sequence, identity=TTL_IDENTITY)


def stock_remove(key: tuple[str, int, bytes], sequence: int, kind: str = "sale") -> dict[str, Any]:
    return stock_record(key, sequence, "REMOVE", kind, time=START + sequence)
