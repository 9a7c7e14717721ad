"""The report: an output that Step Functions takes, an object in the bucket, and a page that needs nothing else."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from common.layout import EXPIRED, FAILED
from tests.support.records import ARN, TTL_IDENTITY, remove
from tests.support.replay import CHILD, Execution, World, change

HOSTILE = "<script>alert('x')</script>&\"$x"
VOID = {"meta", "rect", "line", "link", "br", "img"}


class Page(HTMLParser):
    """Refuses what is not nested, and whatever comes from elsewhere."""

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


def page_of(world: World, report: dict[str, Any]) -> Page:
    return Page(world.s3.body(f"replay/{report['execution']}/report.html").decode())


def test_numbers_output_and_page_agree(world: World):
    world.put_batch([change("a", 1), change("a", 2), change("b", 3, merchant_id=None)])
    world.put_batch([change("c", 4)], batchSize=9)
    world.send_pointer([change("d", 5)])
    world.send_pointer([change("e", 6)], shardId=CHILD)
    world.streams.shard(ARN, CHILD).trimmed = 1
    output = world.replay()
    stored = world.bucket.read_json(f"replay/{output['execution']}/report.json")
    assert stored == output
    shown = {n: output["counts"][n] for n in ("batches", "keys", "applied", "superseded", "parked", "expired", "left")}
    assert shown == {"batches": 3, "keys": 3, "applied": 3, "superseded": 1, "parked": 1, "expired": 1, "left": 1}
    page = page_of(world, output)
    assert {"svg", "table", "style"} <= set(page.tags)
    for text in ("attribute merchant_id is missing", "correct the item", CHILD, "stands for 9", "quarantine/b/"):
        assert text in page.text
    assert len(output["next"]) == 4


def test_a_page_names_what_was_asked_for_and_never_says_that_all_is_well_when_it_is_not(world: World):
    world.put_batch([change("a", 1)])
    planned = world.replay({"dry_run": True, "keys": ["a", "b"]})
    page = page_of(world, planned).text
    assert planned["input"] == {"dry_run": True, "keys": 2}
    assert "dry_run: True, keys: 2" in page
    assert planned["execution_arn"] in page
    assert "All is well" not in page
    assert "Nothing was changed. Start the replay without dry_run" in page
    assert "All is well" in page_of(world, world.replay()).text


def test_a_page_says_why_the_database_was_given_up(world: World):
    world.put_batch([change("a", 1)])
    world.server.down = True
    report = world.replay()
    page = page_of(world, report).text
    assert report["outcome"] == "database_down"
    assert report["reason"] in page
    assert "2003" in report["reason"]
    assert "Nothing was looked at" in page


def test_the_cards_of_a_page_add_up(world: World):
    """What became of the records, each in one place; what was parked again is not also left."""
    world.put_batch([change("a", n) for n in range(1, 6)] + [change("b", 7), change("a", 4)])
    world.replay()
    world.put_quarantined(change("c", 9, merchant_id=None))
    world.put_quarantined(change("a", 2, merchant_id=None))
    expired = remove("e", 12, identity=TTL_IDENTITY)
    world.put_batch([change("a", 5), change("a", 3), change("d", 11), change("b", 6), expired])
    report = world.replay({"include_quarantine": True})
    body = world.s3.body(f"replay/{report['execution']}/report.html").decode()
    cards = {name: int(count) for count, name in re.findall(r"<b>(\d+)</b><span>(\w+)</span>", body)}
    ends = {"applied": 1, "superseded": 1, "stale": 2, "redelivered": 1, "skipped": 1, "quarantined": 1}
    none = dict.fromkeys(("deferred", "unknown", "expired", "problems", "left"), 0)
    assert cards == ends | none | {"batches": 3, "records": sum(ends.values())}


def test_hostile_names_stay_text(world: World):
    """A key of an item and the key of a foreign object are anybody's text."""
    world.put_batch([change(HOSTILE.replace(" ", ""), 1, merchant_id=None)])
    world.s3.put_object(Bucket="", Key=f"{FAILED}{HOSTILE}", Body="x")
    report = world.replay()
    assert HOSTILE in page_of(world, report).text


@pytest.mark.parametrize("times", ["0001-01-01T00:00:00", "9999-12-31T23:59:59Z", "never", "1:1"])
def test_a_batch_may_claim_any_time(world: World, times: str):
    world.put_batch([change("a", 1)], approximateArrivalOfFirstRecord=times)
    report = world.replay()
    assert report["outcome"] == "complete"
    page_of(world, report)


def test_the_output_fits_whatever_has_gone_wrong(world: World):
    """Thousands of problems, expired ranges and parked records, their names as long as they can be."""
    for number in range(1200):
        name = f"{FAILED}{number:05d}{'語' * 330}"
        world.s3.put_object(Bucket="", Key=name, Body="x")
        expired = {"shard": "s" * 100, "records": 1, "records_saved": 0, "execution": "e" * 80, "message": "x" * 1000}
        world.s3.put_object(Bucket="", Key=f"{EXPIRED}{number:05d}", Body=json.dumps(expired))
    for number in range(12):
        world.put_batch([change(f"{n:05d}{'%' * 250}", n, merchant_id=None) for n in range(number, 1200, 12)])
    execution = Execution(world)
    report = execution.resume()  # the driver refuses more than 256 KiB
    assert [len(report[name]) for name in ("problems", "expired", "parked_records")] == [50, 50, 50]
    assert [report["counts"][name] for name in ("problems", "expired", "parked")] == [1200, 1200, 1200]
    stored = world.bucket.read_json(f"replay/{report['execution']}/report.json")
    assert len(stored["parked_records"]) == 1200
    page = page_of(world, report)
    assert page.text.count("and 1,000 more") == 3


def test_nothing_in_a_report_is_a_row_value(world: World):
    world.put_batch([change("a", 1, merchant_id="secret-merchant", currency="X" * 500), change("b", 2, amount="x1234")])
    report = world.replay()
    everything = json.dumps(report) + page_of(world, report).text
    assert not [value for value in ("secret-merchant", "XXXX", "x1234") if value in everything]


def test_reported_again_it_is_the_same(world: World):
    """A step tried again names what it finds again, once."""
    world.put_batch([change("a", 1)], batchSize=9)
    world.send_pointer([change("b", 2)], batchSize=9)
    execution = Execution(world).until("report")
    state = execution.state
    assert world.steps().report(state) == world.steps().report(state)
    assert len(execution.resume()["problems"]) == 2
