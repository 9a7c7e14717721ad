"""Reads items by their keys, consistently."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from common.raw_items import Item, key_for_request, require_raw

# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
_MOST_KEYS = 100
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0


@dataclass(frozen=True)
class ItemReader:
    """`client` is a boto3 client whose items are raw, see `common.raw_items`."""

    client: Any
    table: str
    sleep: Callable[[float], None] = time.sleep

    def __call__(self, keys: Sequence[Item]) -> list[Item]:
        """The items of those of the distinct raw `keys` that have one. Raises botocore's errors.

        What DynamoDB leaves unprocessed is asked for again.
        """
        found: list[Item] = []
        asked, pause = list(keys), _FIRST_PAUSE
        while asked:
            part, asked = asked[:_MOST_KEYS], asked[_MOST_KEYS:]
            request = {self.table: {"Keys": [key_for_request(key) for key in part], "ConsistentRead": True}}
            answer = self.client.batch_get_item(RequestItems=request)
            require_raw(answer)
            items = answer["Responses"].get(self.table, [])
            left = answer.get("UnprocessedKeys", {}).get(self.table, {}).get("Keys", [])
            found += items
            asked = left + asked
            if len(left) == len(part):  # DynamoDB's capacity is used up
                self.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        return found
