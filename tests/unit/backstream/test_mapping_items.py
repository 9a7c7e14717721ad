"""Items from JSON files and the command line."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from backstream.errors import UsageError
from backstream.mapping.items import from_boto3, parse_key, read_item, read_items, to_boto3

NEW = {"id": {"S": "a"}, "n": {"N": "1.10"}}


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ('{"id": {"S": "a"}, "n": {"N": "1.10"}}', [NEW]),
        ('{"Item": {"id": {"S": "a"}, "n": {"N": "1.10"}}}', [NEW]),
        ('{"Items": [{"id": {"S": "a"}}], "Count": 1, "ScannedCount": 1}', [{"id": {"S": "a"}}]),
        ('{"Item": {"id": {"S": "a"}}}\n{"Item": {"id": {"S": "b"}}}\n', [{"id": {"S": "a"}}, {"id": {"S": "b"}}]),
        ('[{"id": "a"}, {"id": "b"}]', [{"id": {"S": "a"}}, {"id": {"S": "b"}}]),
        ('{"n": 1.10, "big": 12345678901234567890123456789012345678}', [
            {"n": {"N": "1.1"}, "big": {"N": "12345678901234567890123456789012345678"}}
        ]),
        ('{"t": true, "z": null, "m": {"l": [1, "x"]}}', [
            {"t": {"BOOL": True}, "z": {"NULL": True}, "m": {"M": {"l": {"L": [{"N": "1"}, {"S": "x"}]}}}}
        ]),
        ('{"a": {"S": 1}}', [{"a": {"M": {"S": {"N": "1"}}}}]),
        ('{"a": {"SS": ["x"]}, "b": {"B": "eHg="}}', [{"a": {"SS": ["x"]}, "b": {"B": "eHg="}}]),
    ],
)  # fmt: skip
def test_every_form_of_item_is_read(tmp_path: Path, text: str, items: list[Any]):
    """DynamoDB JSON and plain JSON, alone, in lists, in what the AWS CLI prints and in exports."""
    file = tmp_path / "items.json"
    file.write_text(text)
    assert read_items(str(file)) == items
    file.write_bytes(gzip.compress(text.encode()))
    assert read_items(str(file)) == items


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "is neither JSON nor one JSON object per line"),
        ("[]", "holds no item"),
        ("[1]", "holds a number where an item must be"),
        ('{"n": NaN}', "NaN is not a JSON number"),
        ('{"n": 1234567890123456789012345678901234567890.5}', "more than 38 digits"),
    ],
)
def test_a_file_without_items_is_refused(tmp_path: Path, text: str, message: str):
    file = tmp_path / "items.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_items(str(file))


def test_a_file_of_several_items_is_not_one_item(tmp_path: Path):
    file = tmp_path / "items.json"
    file.write_text('[{"id": "a"}, {"id": "b"}]')
    with pytest.raises(UsageError, match="holds 2 items: give a file with one"):
        read_item(str(file))


def test_a_key_is_plain_or_dynamodb_json():
    expected = {"pk": {"S": "ORDER#1"}, "n": {"N": "7"}}
    assert parse_key('{"pk": "ORDER#1", "n": 7}') == expected
    assert parse_key('{"pk": {"S": "ORDER#1"}, "n": {"N": "7"}}') == expected
    with pytest.raises(UsageError, match="--key is not JSON, such as"):
        parse_key("pk=1")


def test_binary_values_are_base64_at_every_depth():
    item = {"b": {"B": b"xx"}, "m": {"M": {"l": {"L": [{"BS": [b"xx"]}]}}}}
    assert from_boto3(item) == {"b": {"B": "eHg="}, "m": {"M": {"l": {"L": [{"BS": ["eHg="]}]}}}}
    assert to_boto3({"b": {"B": "eHg="}, "s": {"S": "x"}}) == {"b": {"B": b"xx"}, "s": {"S": "x"}}
