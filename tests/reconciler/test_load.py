"""What a load does: to an empty table, beside live changes, to items that cannot be written."""

from __future__ import annotations

from typing import Any

from common.layout import open_run_key
from tests.support.load import LoadExecution, LoadHarness
from tests.support.records import item, remove
from tests.support.replay import applied, change
from tests.support.tables import order

KEYS = [f"k{number:02d}" for number in range(40)]


def fill(harness: LoadHarness) -> None:
    harness.table.put(*(item(key) for key in KEYS))


def test_every_item_becomes_its_row(harness: LoadHarness) -> None:
    """A load of a table writes the row of each item, and its report counts them."""
    fill(harness)
    report = harness.load()
    assert harness.tables.orders() == [order(key) for key in KEYS]
    assert harness.versions() == dict.fromkeys(KEYS, "")
    assert report["outcome"] == "complete"
    assert report["counts"] == {
        "items": 40, "loaded": 40, "seeded": 0, "live": 0, "known": 0, "unmapped_item": 0, "waiting": 0,
        "refused": 0,
    }  # fmt: skip
    assert report["read_units"] == harness.table.units
    assert report["next"] == report["problems"] == []
    assert harness.load_lock.holder is None
    assert harness.bucket.read_json(open_run_key("load")) == {"run": ""}


def test_a_second_load_writes_nothing(harness: LoadHarness) -> None:
    """Items that were loaded are known, and their rows stay as they are."""
    fill(harness)
    harness.load()
    written = harness.tables.run("SELECT COUNT(*) FROM target_log")
    report = harness.load()
    assert harness.tables.run("SELECT COUNT(*) FROM target_log") == written
    assert (report["counts"]["loaded"], report["counts"]["known"]) == (0, 40)


def test_a_live_change_before_the_load_wins(harness: LoadHarness) -> None:
    """What the stream brought is newer than anything that a load reads: rows and tombstones stay."""
    harness.deliver(change("k00", 1), change("k01", 2))
    harness.deliver(remove("k01", 3))
    fill(harness)  # the items as they were before these changes
    report = harness.load()
    expected = [applied("k00", 1), *(order(key) for key in KEYS[2:])]
    assert harness.tables.orders() == expected
    assert (report["counts"]["loaded"], report["counts"]["live"]) == (38, 2)


def test_a_live_change_after_the_load_wins(harness: LoadHarness) -> None:
    """A change that was made before the load and arrives after it is written: the stream decides."""
    fill(harness)
    harness.load()
    harness.deliver(change("k00", 1), remove("k01", 2))
    assert harness.tables.orders() == [applied("k00", 1), *(order(key) for key in KEYS[2:])]


def test_a_change_during_the_load_wins(harness: LoadHarness) -> None:
    """An item that changes after its page was read ends as the stream says."""
    fill(harness)
    number = iter(range(1, 1_000))
    harness.table.before_page = lambda _: harness.deliver(*(change(key, next(number)) for key in KEYS[:5]))
    harness.load()
    rows = harness.tables.orders()
    assert [row[0] for row in rows] == KEYS
    assert [row for row in rows if row[0] not in KEYS[:5]] == [order(key) for key in KEYS[5:]]
    assert all(harness.versions()[key] for key in KEYS[:5])


def test_a_legacy_row_becomes_the_items(harness: LoadHarness) -> None:
    """A row that was in MySQL before, and that no live change has touched, becomes what the item is."""
    fill(harness)
    harness.tables.run("INSERT INTO tbl_orders VALUES ('k00', 'other', 1, 'EUR', 'OLD', 1, 1)")
    report = harness.load()
    assert harness.tables.orders() == [order(key) for key in KEYS]
    assert report["counts"]["loaded"] == 40


def test_an_item_that_does_not_fit_is_reported(harness: LoadHarness) -> None:
    """It is listed with its key, the reason and what to do, without values. All others are loaded."""
    fill(harness)
    harness.table.put(item("k00", amount="12345678901234567890"), item("k01", currency=None))
    harness.table.put({"p_key": {"S": "x"}, "s_key": {"S": "INVOICE"}})
    report = harness.load()
    assert harness.tables.orders() == [order(key) for key in KEYS[2:]]
    assert report["counts"] == {
        "items": 41, "loaded": 38, "seeded": 0, "live": 0, "known": 0, "unmapped_item": 1, "waiting": 0,
        "refused": 2,
    }  # fmt: skip
    problems = sorted(report["problems"], key=lambda one: one["key"])
    assert [(one["key"], one["item_key"]["p_key"], one["reason"]) for one in problems] == [
        ("order/k00", {"S": "k00"}, "attribute amount does not fit DECIMAL(19,4)"),
        ("order/k01", {"S": "k01"}, "attribute currency is missing"),
    ]
    assert "12345678901234567890" not in str(harness.bucket.read_json(f"load/{report['run']}/report.json"))
    assert [advice[:10] for advice in report["next"]] == ["Some items"]


def test_a_row_that_mysql_refuses_is_reported(harness: LoadHarness) -> None:
    """A refused row leaves no trace, so that a later live change of its item is written."""
    fill(harness)
    harness.tables.run("ALTER TABLE tbl_orders ADD CONSTRAINT three CHECK (CHAR_LENGTH(currency) = 3)")
    try:
        harness.table.put(item("k00", currency="EU"))
        report = harness.load()
        assert harness.tables.orders() == [order(key) for key in KEYS[1:]]
        assert harness.versions() == dict.fromkeys(KEYS[1:], "")
        assert [one["key"] for one in report["problems"]] == ["order/k00"]
        harness.deliver(change("k00", 1))
        assert harness.tables.orders()[0] == applied("k00", 1)
    finally:
        harness.tables.run("ALTER TABLE tbl_orders DROP CONSTRAINT three")


def test_a_dry_run_only_estimates(harness: LoadHarness) -> None:
    """It says what a load would take, and changes nothing: no row, no file, no lock."""
    fill(harness)
    harness.table.read_units = 400
    report = harness.load({"dry_run": True})
    size = harness.table.describe_table(TableName="orders")["Table"]["TableSizeBytes"]
    units = -(-size // 4096)
    assert report["outcome"] == "planned"
    assert report["estimate"] == {
        "items": 40, "bytes": size, "scans": 1, "read_units": units, "rate": 100.0,
        "minutes": round(units / 6000, 1), "dollars": 0.0,
    }  # fmt: skip
    assert (harness.tables.orders(), harness.s3.objects, harness.load_lock.holder) == ([], {}, None)


def test_a_table_on_demand_has_a_price(harness: LoadHarness) -> None:
    """On demand, the rate is the deployment's, and each read unit has a price."""
    harness.options["on_demand_rate"] = 500
    harness.table.describe_table = lambda **_: {  # type: ignore[method-assign]
        "Table": {
            "ItemCount": 10**8,
            "TableSizeBytes": 10**11,
            "StreamSpecification": {"StreamEnabled": True},
            "LatestStreamArn": harness.table.stream_arn,
        }
    }
    planned = harness.load({"dry_run": True})["estimate"]
    assert (planned["read_units"], planned["rate"], planned["dollars"]) == (24_414_063, 500, 3.05)
    assert planned["minutes"] == round(24_414_063 / 500 / 60, 1)


def test_wrong_input_changes_nothing(harness: LoadHarness) -> None:
    """The message names every invalid field."""
    fill(harness)
    result = harness.load({"concurrency": 0, "rate": 3})
    assert result["outcome"] == "wrong_input"
    assert "concurrency: 0 is less than the minimum" in result["message"]
    assert "'rate' was unexpected" in result["message"]
    assert (harness.tables.orders(), harness.s3.objects) == ([], {})


def test_a_load_needs_a_live_consumer(harness: LoadHarness) -> None:
    """Without stream and consumer a change during the load would be lost: nothing is begun."""
    fill(harness)
    harness.consumer_state = "Disabled"
    assert harness.load()["message"].startswith("the event source mapping of the consumer is Disabled: enable it")
    harness.consumer_state = "Enabled"
    harness.table.stream_arn = ""
    assert "its stream is off" in harness.load()["message"]
    harness.table.stream_arn = "arn:another"
    assert "its stream is arn:another" in harness.load()["message"]
    assert (harness.tables.orders(), harness.s3.objects, harness.load_lock.holder) == ([], {}, None)


def test_a_second_start_finds_the_first(harness: LoadHarness) -> None:
    """While a load runs, another one ends at once, names it, and changes nothing."""
    fill(harness)
    first = LoadExecution(harness).until("walk")
    files = dict(harness.s3.objects)
    second = LoadExecution(harness).resume()
    assert (second["outcome"], second["running"]) == ("already_running", first.arn)
    assert harness.s3.objects == files
    assert first.resume()["outcome"] == "complete"


def test_many_pages_of_many_segments_are_read_once(harness: LoadHarness) -> None:
    """Each segment is read to its end, in rotation with the others of its lane."""
    harness.table.put(*(item(f"n{number:04d}") for number in range(600)))
    harness.options["concurrency"] = 3
    harness.options["on_demand_rate"] = 3  # small pages
    report = harness.load()
    assert report["counts"]["items"] == report["counts"]["loaded"] == 600
    scans: list[Any] = [asked["segment"] for asked in harness.table.asked if asked["what"] == "scan"]
    assert set(scans) == set(range(24))
    assert len(scans) > 48
    for lane in range(3):
        mine = [segment for segment in scans if segment % 3 == lane]
        assert sorted(mine[:8]) == sorted(mine[8:16]) == list(range(lane, 24, 3))
