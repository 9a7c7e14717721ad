"""The report: an output within the limit of Step Functions, an object, and a self-contained page."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from common.layout import EXPIRED, FAILED
from tests.support.records import ARN, TTL_IDENTITY, remove
from tests.support.replay import CHILD, ReplayExecution, ReplayHarness, change

HOSTILE = "<script>alert('x')</script>&\"$x"
VOID = {"meta", "rect", "line", "link", "br", "img"}


class Page(HTMLParser):
    """Refuses wrongly nested tags and external resources."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert tag not in ("script", "iframe", "link", "img", "object")
        assert not [name for name, _ in attrs if name in ("src", "href", "srcset", "action") or name.startswith("on")]
        assert not any("url(" in (value or "") or "//" in (value or "") for _, value in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        assert "@import" not in data
        assert "url(" not in data
        self.text += data


def page_of(harness: ReplayHarness, report: dict[str, Any]) -> Page:
    return Page(harness.s3.body(f"replay/{report['execution']}/report.html").decode())


def test_numbers_output_and_page_agree(harness: ReplayHarness):
    harness.put_batch([change("a", 1), change("a", 2), change("b", 3, merchant_id=None)])
    harness.put_batch([change("c", 4)], batchSize=9)
    harness.send_pointer([change("d", 5)])
    harness.send_pointer([change("e", 6)], shardId=CHILD)
    harness.streams.shard(ARN, CHILD).trimmed = 1
    output = harness.replay()
    stored = harness.bucket.read_json(f"replay/{output['execution']}/report.json")
    assert stored == output
    shown = {n: output["counts"][n] for n in ("batches", "keys", "applied", "superseded", "parked", "expired", "left")}
    assert shown == {"batches": 3, "keys": 3, "applied": 3, "superseded": 1, "parked": 1, "expired": 1, "left": 1}
    page = page_of(harness, output)
    assert {"svg", "table", "style"} <= set(page.tags)
    for text in ("attribute merchant_id is missing", "correct the item", CHILD, "stands for 9", "quarantine/order/b/"):
        assert text in page.text
    assert len(output["next"]) == 4


def test_a_page_shows_the_input_and_what_to_do_next(harness: ReplayHarness):
    harness.put_batch([change("a", 1)])
    planned = harness.replay({"dry_run": True, "keys": ["order/a", "order/b"]})
    page = page_of(harness, planned).text
    assert planned["input"] == {"dry_run": True, "keys": 2}
    assert "dry_run: True, keys: 2" in page
    assert planned["execution_arn"] in page
    assert "Nothing to do." not in page
    assert "Nothing was changed. Start a replay without dry_run" in page
    assert "Nothing to do." in page_of(harness, harness.replay()).text


def test_a_page_says_why_the_database_was_given_up(harness: ReplayHarness):
    harness.put_batch([change("a", 1)])
    harness.server.down = True
    report = harness.replay()
    page = page_of(harness, report).text
    assert report["outcome"] == "database_down"
    assert report["reason"] in page
    assert "2003" in report["reason"]
    assert "Nothing was read" in page


def test_the_cards_of_a_page_add_up(harness: ReplayHarness):
    """Each record is counted in one card; a record that was parked again is not counted as left."""
    harness.put_batch([change("a", n) for n in range(1, 6)] + [change("b", 7), change("a", 4)])
    harness.replay()
    harness.put_quarantined(change("c", 9, merchant_id=None))
    harness.put_quarantined(change("a", 2, merchant_id=None))
    expired = remove("e", 12, identity=TTL_IDENTITY)
    harness.put_batch([change("a", 5), change("a", 3), change("d", 11), change("b", 6), expired])
    report = harness.replay({"include_quarantine": True})
    body = harness.s3.body(f"replay/{report['execution']}/report.html").decode()
    cards = {name: int(count) for count, name in re.findall(r"<b>(\d+)</b><span>(\w+)</span>", body)}
    ends = {"applied": 1, "superseded": 1, "stale": 2, "redelivered": 1, "skipped": 1, "quarantined": 1}
    none = dict.fromkeys(("deferred", "unknown", "expired", "problems", "left"), 0)
    assert cards == ends | none | {"batches": 3, "records": sum(ends.values())}


def test_hostile_names_stay_text(harness: ReplayHarness):
    """Anybody may choose the key of an item or of an object."""
    harness.put_batch([change(HOSTILE.replace(" ", ""), 1, merchant_id=None)])
    harness.s3.put_object(Bucket="", Key=f"{FAILED}{HOSTILE}", Body="x")
    report = harness.replay()
    assert HOSTILE in page_of(harness, report).text


@pytest.mark.parametrize("times", ["0001-01-01T00:00:00", "9999-12-31T23:59:59Z", "never", "1:1"])
def test_a_batch_may_state_any_time(harness: ReplayHarness, times: str):
    harness.put_batch([change("a", 1)], approximateArrivalOfFirstRecord=times)
    report = harness.replay()
    assert report["outcome"] == "complete"
    page_of(harness, report)


def test_the_output_fits_whatever_has_gone_wrong(harness: ReplayHarness):
    """Thousands of problems, expired ranges and parked records with the longest names."""
    for number in range(1200):
        name = f"{FAILED}{number:05d}{'語' * 330}"
        harness.s3.put_object(Bucket="", Key=name, Body="x")
        expired = {"shard": "s" * 100, "records": 1, "records_saved": 0, "execution": "e" * 80, "message": "x" * 1000}
        harness.s3.put_object(Bucket="", Key=f"{EXPIRED}{number:05d}", Body=json.dumps(expired))
    for number in range(12):
        harness.put_batch([change(f"{n:05d}{'%' * 250}", n, merchant_id=None) for n in range(number, 1200, 12)])
    execution = ReplayExecution(harness)
    report = execution.resume()  # the driver refuses more than 256 KiB
    assert [len(report[name]) for name in ("problems", "expired", "parked_records")] == [50, 50, 50]
    assert [report["counts"][name] for name in ("problems", "expired", "parked")] == [1200, 1200, 1200]
    stored = harness.bucket.read_json(f"replay/{report['execution']}/report.json")
    assert len(stored["parked_records"]) == 1200
    page = page_of(harness, report)
    assert page.text.count("and 1,000 more") == 3


def test_nothing_in_a_report_is_a_row_value(harness: ReplayHarness):
    harness.put_batch(
        [change("a", 1, merchant_id="secret-merchant", currency="X" * 500), change("b", 2, amount="x1234")]
    )
    report = harness.replay()
    everything = json.dumps(report) + page_of(harness, report).text
    assert not [value for value in ("secret-merchant", "XXXX", "x1234") if value in everything]


def test_a_repeated_report_is_the_same(harness: ReplayHarness):
    """A problem that a retried step finds again is listed once."""
    harness.put_batch([change("a", 1)], batchSize=9)
    harness.send_pointer([change("b", 2)], batchSize=9)
    execution = ReplayExecution(harness).until("report")
    state = execution.state
    assert harness.steps().report(state) == harness.steps().report(state)
    assert len(execution.resume()["problems"]) == 2
