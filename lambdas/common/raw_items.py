"""Items of a DynamoDB table in the JSON that DynamoDB sends, which is the JSON of stream records.

boto3 converts each value of each item by itself, which takes several times as long as applying the item, and turns
binary values into bytes. So its parser gets the answer without the items.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

Item = dict[str, Any]  # such as {"p_key": {"S": "8f14"}}
Decoder = Callable[[bytes], dict[str, Any]]

# What these answers hold of items and keys.
_RAW_FIELDS = {"Scan": ("Items", "LastEvaluatedKey"), "BatchGetItem": ("Responses", "UnprocessedKeys")}
_MARK = "IsRaw"


def keep_items_raw(client: Any, decode_scan: Decoder = json.loads) -> Any:
    """`client`, a DynamoDB client of boto3, with the items and keys of Scan and BatchGetItem as DynamoDB sent them.

    `decode_scan` decodes the JSON text of the answer to a Scan.
    Source: https://docs.aws.amazon.com/boto3/latest/guide/events.html
    """
    decoders: dict[str, Decoder] = {"Scan": decode_scan, "BatchGetItem": json.loads}
    for operation, decode in decoders.items():
        client.meta.events.register(f"before-parse.dynamodb.{operation}", partial(_take_items, decode))
    return client


def require_raw(answer: Mapping[str, Any]) -> None:
    """Raises RuntimeError where boto3 has not called back: it knows the event since 1.35."""
    if _MARK not in answer:
        raise RuntimeError("boto3 is too old to keep items as DynamoDB sends them; use 1.36 or later")


def key_for_request(key: Mapping[str, Any]) -> Item:
    """A raw key as boto3 takes it: it encodes bytes itself."""
    return {name: {"B": b64decode(value["B"])} if "B" in value else dict(value) for name, value in key.items()}


def _take_items(
    decode: Decoder,
    operation_model: Any,
    response_dict: dict[str, Any],
    customized_response_dict: dict[str, Any],
    **_: Any,
) -> None:
    if response_dict["status_code"] != HTTPStatus.OK:
        return
    answer = decode(response_dict["body"])
    taken = {name: answer.pop(name) for name in _RAW_FIELDS[operation_model.name] if name in answer}
    customized_response_dict.update(taken, **{_MARK: True})
    response_dict["body"] = json.dumps(answer).encode()
