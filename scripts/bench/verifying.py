"""Comparing items with their rows, both sides equal: from a page's JSON text to the answer that nothing differs.

Beside it two other ways of the same work. A SELECT per key reads the row and compares it. A checksum of each page is
what pt-table-checksum does with two MySQL tables: the server computes it by SQL, and here the worker computes the same
of the items, because DynamoDB cannot. Pages have random keys, as a scan returns them.
"""

from __future__ import annotations

import json
import random
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from functools import partial
from operator import xor
from pathlib import Path
from typing import Any, cast

import pymysql

from common.database import ApplyOptions
from common.mapping import Mapping
from common.mysql.connection import CONVERSIONS
from common.mysql.database import MySQLDatabase
from common.mysql.sql import literal
from common.prefetch import Prefetch
from common.records import parse_items
from reconciler.page_items import decode_scan
from scripts.bench.consumer import database
from scripts.bench.failures_bucket import FolderBucket
from scripts.bench.mappings import BOOKING, booking, declared
from scripts.bench.orders import new_keys, records
from scripts.bench.reconciler import UNLIMITED, Worker, worker
from scripts.bench.replayer import first_state
from scripts.bench.results import Row, at_least, information
from scripts.bench.server import MAPPING, ORDER, SPLIT, UNSPLIT, Bench, Endpoint
from scripts.bench.stored_table import StoredTable
from scripts.bench.timing import LEAST_REPETITIONS, Variant, interleaved

ROWS, COUNT, PAGES, BY_SELECT, REPETITIONS = 100_000, 1_000, 5, 100, 41
RATE_GOAL, RATIO_GOAL = 25_000, 5
AT_ONCE, LANE_ROWS = 5_000, 50_000

Items = list[dict[str, Any]]
Work = Callable[[], object]


def rows(bench: Bench) -> Iterator[Row]:
    endpoint = bench.server.empty_database("verifying")
    own = database(endpoint, UNSPLIT)
    items = [record["dynamodb"]["NewImage"] for record in records(new_keys(ROWS), modify=False)]
    _fill(own, MAPPING, items)
    with endpoint.connect(conv=CONVERSIONS) as connection:
        split = database(endpoint, SPLIT)
        variants: dict[str, Variant] = {
            "verify": _of_pages(items, partial(_compare, own, MAPPING)),
            "split": _of_pages(items, partial(_compare, split, MAPPING)),
            "overlapped": lambda: partial(_overlapped, own, [_page(items, COUNT) for _ in range(PAGES)]),
            "select": _of_pages(items, partial(_select_each, connection), BY_SELECT),
            "checksum": _of_pages(items, partial(_checksum, connection)),
        }
        seconds = interleaved(variants, REPETITIONS)
    rate, by_select = COUNT / seconds["verify"], BY_SELECT / seconds["select"]
    note = f"{1e6 / rate:.1f} us a key"
    yield at_least("verify, both sides equal, per worker", rate, RATE_GOAL, " keys/s", note=note)
    yield at_least("  of the rate of a SELECT per key", rate / by_select, RATIO_GOAL, note=f"{by_select:,.0f} keys/s")
    by_checksum = COUNT / seconds["checksum"]
    yield information("  of the rate of a checksum per page", f"{rate / by_checksum:.2f} ({by_checksum:,.0f} keys/s)")
    yield information(f"  in statements of {SPLIT:,} bytes", f"{COUNT / seconds['split']:,.0f} keys/s")
    overlapped = PAGES * COUNT / seconds["overlapped"]
    yield information("  the next page decoded while the server compares", f"{overlapped:,.0f} keys/s")
    for one in (own, split):
        one.drop()
    yield _of_wide_rows(bench)
    yield from _of_a_lane(bench)


def _of_wide_rows(bench: Bench) -> Row:
    """30 columns of every type."""
    mapping = declared("booking", BOOKING)
    endpoint: Endpoint = bench.server.empty_database("verifying_wide", mapping)
    own = database(endpoint, UNSPLIT, mapping)
    items = [booking(booking_id) for booking_id in new_keys(ROWS // 10)]
    _fill(own, mapping, items)
    seconds = interleaved({"wide": _of_pages(items, partial(_compare, own, mapping))}, REPETITIONS)
    own.drop()
    return information("  of rows with 30 columns", f"{COUNT / seconds['wide']:,.0f} keys/s")


def _of_a_lane(bench: Bench) -> Iterator[Row]:
    """The handler itself: the scan with its spilled keys and its progress, then an execution with all stages."""
    endpoint = bench.server.empty_database("verifying_lane")
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as cleanup:
        folder = Path(scratch)
        table = StoredTable(folder / "table").fill(new_keys(LANE_ROWS))
        worker("load", table, FolderBucket(folder / "load"), endpoint).output()

        def prepared() -> Worker:
            own = Path(cleanup.enter_context(tempfile.TemporaryDirectory(dir=folder)))
            return worker("verify", table, FolderBucket(own), endpoint)

        def scanning() -> Work:
            own = prepared()
            started = own("start", first_state(concurrency=1, read_units_per_second=UNLIMITED))
            return partial(own, "walk", own("check", started)["lanes"][0])

        def executing() -> Work:
            own = prepared()
            own.database.ping()
            return partial(_execute, own)

        seconds = interleaved({"scan": scanning, "all": executing}, LEAST_REPETITIONS)
    for name, what in (("scan", "the scan by a lane of the handler"), ("all", "all stages by one worker")):
        yield information(f"  {what}", f"{LANE_ROWS / seconds[name]:,.0f} keys/s")


def _execute(own: Worker) -> None:
    counts = own.output(concurrency=1)["counts"]
    _require_equal(counts["rows"] == LANE_ROWS and not counts["suspects"] and not counts["keys_without_item"])


def _of_pages(items: Items, work: Callable[[bytes], object], count: int = COUNT) -> Variant:
    """`work` on the JSON text of a page of random items."""
    return lambda: partial(work, _page(items, count))


def _page(items: Items, count: int) -> bytes:
    return json.dumps({"Items": random.sample(items, count)}).encode()


def _fill(own: MySQLDatabase, mapping: Mapping, items: Items) -> None:
    for start in range(0, len(items), AT_ONCE):
        own.apply(parse_items(items[start : start + AT_ONCE], mapping).changes, ApplyOptions())


def _compare(own: MySQLDatabase, mapping: Mapping, page: bytes) -> None:
    changes = parse_items(decode_scan(page)["Items"], mapping).changes
    _require_equal(not own.compare(changes) and len(changes) == COUNT)


def _overlapped(own: MySQLDatabase, pages: list[bytes]) -> None:
    decoded = (parse_items(decode_scan(page)["Items"], MAPPING).changes for page in pages)
    for changes, found in Prefetch(own.compare, decoded, threads=1, room=1):
        _require_equal(not found.result() and len(changes) == COUNT)


def _select_each(connection: pymysql.Connection[Any], page: bytes) -> None:
    names = ", ".join(column.name for column in ORDER.columns)
    with connection.cursor() as cursor:
        for change in parse_items(decode_scan(page)["Items"], MAPPING).changes:
            cursor.execute(f"SELECT {names} FROM tbl_orders WHERE order_id = {literal(change.key_values[0])}")
            _require_equal(cursor.fetchone() == change.row)
    connection.rollback()


_TEXT = "CONCAT_WS('#', order_id, merchant_id, amount, currency, status, created_at, updated_at)"


def _checksum(connection: pymysql.Connection[Any], page: bytes) -> None:
    """With the function that pt-table-checksum takes by default. It does not see the sidecar."""
    changes = parse_items(decode_scan(page)["Items"], MAPPING).changes
    keys = ",".join([literal(change.key_values[0]) for change in changes])
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*), BIT_XOR(CRC32({_TEXT})) FROM tbl_orders WHERE order_id IN ({keys})")
        answer = cursor.fetchone()
    connection.rollback()
    expected = 0
    for change in changes:
        order_id, merchant, amount, *others = change.row or ()
        text = "#".join([str(order_id), str(merchant), format(cast(Decimal, amount), ".4f"), *map(str, others)])
        expected = xor(expected, zlib.crc32(text.encode()))
    _require_equal(answer == (len(changes), expected))


def _require_equal(equal: bool) -> None:
    if not equal:
        raise RuntimeError("the sides differ, or the page was not decoded")
