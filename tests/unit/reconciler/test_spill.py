"""The keys that a verification spills come back as they were, without those that are known."""

from __future__ import annotations

from common.bucket import Bucket
from common.keys import key_texts
from common.layout import RunKeys
from reconciler.verify.spill import Spill, digests, item_digests, row_keys, row_line
from tests.support.aws import S3
from tests.support.stock import KEYS, STOCK, stock_keys

SALE = STOCK.entities[0].name
RUN = RunKeys("verify", "run")


def test_keys_of_rows_come_back_exactly() -> None:
    """Bytes and any text are the same after the spill. A key that an item has is left out."""
    bucket = Bucket(S3(), "failures")
    made = digests(key_texts(SALE, list(zip(*KEYS, strict=True))))
    item_keys = list(map(stock_keys, KEYS))
    items, rows = (Spill(bucket, RUN, kind, 0, 1) for kind in ("items", "rows"))
    items.add(made[0], made[0])
    for digest, item_key in zip(made, item_keys, strict=True):
        rows.add(digest, row_line(digest, item_key))
    items.flush(0)
    rows.flush(0)
    found = list(row_keys(bucket, RUN, 0, item_digests(bucket, RUN, 0)))
    assert found == list(zip(made[1:], item_keys[1:], strict=True))
