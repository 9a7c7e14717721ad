"""Mappings that only the bench needs, and images of their items."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.mapping import Mapping
from common.mapping_file import read_file, read_text

Declared = dict[str, Any]
Image = dict[str, Any]

THIRTY, WIDE, WIDE_COLUMNS = 30, "wide", 300

ORDERS = Path(__file__).resolve().parents[2] / "mappings" / "orders.json"
# The usual case: an attribute is made of two others.
PREPARE = """
def prepare(item):
    item["status"] = f"{item['status']}-{item['currency']}"
    return item
"""

_draw = random.Random()  # noqa: S311 - items, no secrets


def declared(name: str, mapping: Declared) -> Mapping:
    return read_text(name, json.dumps(mapping), ORDERS.parent)


@contextmanager
def prepared() -> Iterator[Mapping]:
    """The mapping of orders with a prepare function."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "prepared.json")
        file.with_suffix(".py").write_text(PREPARE)
        file.write_text(json.dumps(json.loads(ORDERS.read_bytes()) | {"prepare": "prepared.py"}))
        yield read_file(file)


def _string(column: str, path: list[str | int], length: int = 80) -> Declared:
    return {"column": column, "from": path, "type": "string", "length": length}


# Of a record of 30 columns, the key included: nested, dates, JSON. None is binary, which TypeDeserializer does not take
# as Lambda delivers it.
BOOKING: Declared = {
    "partition_key": {"attribute": "pk", "type": "string"},
    "sort_key": {"attribute": "sk", "type": "string"},
    "ttl_attribute": "expires",
    "entities": {
        "booking": {
            "when": {"sort_key": {"equals": "BOOKING"}},
            "target": {
                "table": "bookings",
                "key": {"partition_key": "BOOKING#{booking_id}"},
                "key_columns": [{"column": "booking_id", "type": "uuid"}],
            },
            "columns": [
                _string("guest", ["guest", "name"]),
                _string("email", ["guest", "email"], 254),
                _string("street", ["guest", "address", "street"]),
                _string("city", ["guest", "address", "city"]),
                _string("postcode", ["guest", "address", "postcode"], 12),
                _string("country", ["guest", "address", "country"], 2),
                _string("first_room", ["rooms", 0, "name"]),
                {"column": "note", "from": ["note"], "type": "text", "absent": {"default": ""}},
                {"column": "net", "from": ["price", "net"], "type": "decimal", "precision": 19, "scale": 4},
                {"column": "tax", "from": ["price", "tax"], "type": "decimal", "precision": 19, "scale": 4},
                {"column": "gross", "from": ["price", "gross"], "type": "decimal", "precision": 19, "scale": 4},
                {
                    "column": "deposit",
                    "from": ["deposit"],
                    "type": "decimal",
                    "precision": 12,
                    "scale": 2,
                    "null": "null",
                },
                {"column": "nights", "from": ["nights"], "type": "smallint"},
                {"column": "guests", "from": ["guests"], "type": "tinyint", "unsigned": True},
                {"column": "rate_id", "from": ["rate_id"], "type": "int"},
                {"column": "hotel_id", "from": ["hotel_id"], "type": "bigint"},
                {"column": "paid", "from": ["paid"], "type": "boolean"},
                {"column": "breakfast", "from": ["breakfast"], "type": "boolean", "as": {"true": "Y", "false": "N"}},
                {"column": "arrival", "from": ["stay", "arrival"], "type": "date"},
                {"column": "departure", "from": ["stay", "departure"], "type": "date"},
                {"column": "check_in", "from": ["stay", "check_in"], "type": "time"},
                {"column": "booked_at", "from": ["booked_at"], "type": "datetime", "fraction": 3},
                {"column": "paid_at", "from": ["paid_at"], "type": "datetime", "as": "epoch_seconds", "absent": "null"},
                {
                    "column": "changed_at",
                    "from": ["changed_at"],
                    "type": "datetime",
                    "fraction": 3,
                    "as": "epoch_milliseconds",
                },
                {"column": "agent_id", "from": ["agent_id"], "type": "uuid", "stored": "bytes"},
                {"column": "status", "from": ["status"], "type": "enum", "values": ["NEW", "PAID", "DONE"]},
                {"column": "channel", "from": ["channel"], "type": "enum", "values": ["WEB", "PHONE", "AGENCY"]},
                {"column": "room_list", "from": ["rooms"], "type": "json"},
                {"column": "wishes", "from": ["wishes"], "type": "json", "absent": "null"},
            ],
        }
    },
}


def booking(booking_id: str) -> Image:
    net, tax = _draw.randrange(10**7), _draw.randrange(10**6)
    return {
        "pk": {"S": f"BOOKING#{booking_id}"},
        "sk": {"S": "BOOKING"},
        "guest": {
            "M": {
                "name": {"S": f"Guest {_draw.randrange(1000)}"},
                "email": {"S": f"guest{_draw.randrange(1000)}@example.com"},
                "address": {
                    "M": {
                        "street": {"S": f"Hauptstraße {_draw.randrange(200)}"},
                        "city": {"S": "Köln"},
                        "postcode": {"S": f"{_draw.randrange(10_000, 99_999)}"},
                        "country": {"S": "DE"},
                    }
                },
            }
        },
        "rooms": {"L": [_room(), _room()]},
        "note": {"S": "late arrival"},
        "price": {
            "M": {"net": _cents(net), "tax": _cents(tax), "gross": _cents(net + tax)},
        },
        "deposit": {"NULL": True},
        "nights": {"N": str(_draw.randrange(1, 20))},
        "guests": {"N": "2"},
        "rate_id": {"N": str(_draw.randrange(10**6))},
        "hotel_id": {"N": str(_draw.randrange(10**12))},
        "paid": {"BOOL": _draw.random() < 0.5},  # noqa: PLR2004
        "breakfast": {"S": _draw.choice("YN")},
        "stay": {
            "M": {"arrival": {"S": _day()}, "departure": {"S": _day()}, "check_in": {"S": "15:00:00"}},
        },
        "booked_at": {"S": f"{_day()}T10:11:12.{_draw.randrange(1000):03d}Z"},
        "paid_at": {"N": str(1_770_000_000 + _draw.randrange(10**6))},
        "changed_at": {"N": str(1_770_000_000_000 + _draw.randrange(10**9))},
        "agent_id": {"S": "c0ffee00-0000-4000-8000-000000000001"},
        "status": {"S": _draw.choice(("NEW", "PAID", "DONE"))},
        "channel": {"S": _draw.choice(("WEB", "PHONE", "AGENCY"))},
        "wishes": {"M": {"smoking": {"BOOL": False}, "floor": {"N": "3"}, "tags": {"SS": ["quiet", "view"]}}},
        "expires": {"N": "1780000000"},
    }


def _room() -> dict[str, Any]:
    return {"M": {"name": {"S": f"room {_draw.randrange(100)}"}, "beds": {"N": "2"}, "sea": {"BOOL": True}}}


def _cents(amount: int) -> dict[str, str]:
    return {"N": f"{amount // 100}.{amount % 100:02d}"}


def _day() -> str:
    return f"2026-{_draw.randrange(1, 13):02d}-{_draw.randrange(1, 29):02d}"


def wide() -> Declared:
    """The mapping of orders with as many columns as a wide legacy table, of every type in turn."""
    types: list[Declared] = [
        {"type": "string", "length": 80},
        {"type": "decimal", "precision": 19, "scale": 4},
        {"type": "int"},
        {"type": "boolean"},
        {"type": "date"},
        {"type": "datetime", "fraction": 3},
        {"type": "json"},
        {"type": "enum", "values": ["A", "B", "C"]},
        {"type": "uuid"},
        {"type": "text"},
    ]
    columns = [
        {
            "column": f"column_{number}",
            "from": ["facts", f"fact_{number}"],
            **types[number % len(types)],
            "absent": "null",
        }
        for number in range(WIDE_COLUMNS - 1)
    ]
    return {
        "partition_key": {"attribute": "p_key", "type": "string"},
        "sort_key": {"attribute": "s_key", "type": "string"},
        "ttl_attribute": "record_ttl",
        "entities": {
            "order": {
                "when": {"sort_key": {"equals": "ORDER"}},
                "target": {
                    "table": "wide_orders",
                    "key": {"partition_key": "{order_id}"},
                    "key_columns": [{"column": "order_id", "type": "string", "length": 64, "ascii": True}],
                },
                "columns": columns,
            }
        },
    }


KINDS = ("PART", "TOOL", "CASE")


def three_kinds() -> Declared:
    """Three entities of the same columns, each with its own table, by the prefix of their key."""
    return {
        "partition_key": {"attribute": "p_key", "type": "string"},
        "sort_key": {"attribute": "s_key", "type": "string"},
        "ttl_attribute": "record_ttl",
        "entities": {kind.lower(): _kind(kind) for kind in KINDS},
    }


def _kind(kind: str) -> Declared:
    return {
        "when": {"sort_key": {"equals": "ORDER"}},
        "target": {
            "table": f"{kind.lower()}s",
            "key": {"partition_key": kind + "#{item_id}"},
            "key_columns": [{"column": "item_id", "type": "string", "length": 64, "ascii": True}],
        },
        "columns": [
            _string("merchant_id", ["merchant_id"], 64),
            {"column": "amount", "from": ["amount"], "type": "decimal", "precision": 19, "scale": 4},
            _string("currency", ["currency"], 3),
            _string("status", ["status"], 32),
            {"column": "created_at", "from": ["created_at"], "type": "bigint"},
            {"column": "updated_at", "from": ["updated_at"], "type": "bigint"},
        ],
    }
