"""Items in a window that are told by an attribute, and whose keys may not fit a row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from common.layout import EXPIRED
from tests.reconciler.test_verify_window import BEFORE, INSIDE, WINDOW, expired
from tests.support.item_tables import mapping_of
from tests.support.replay import Dataset
from tests.support.verify import VerifyHarness


def entity(kind: str, length: int, template: str) -> dict[str, Any]:
    return {
        "when": {"attribute": {"path": ["kind"], "equals": kind}},
        "target": {
            "table": f"club_{kind}",
            "key": {"partition_key": template},
            "key_columns": [{"column": "id", "type": "string", "length": length, "ascii": True}],
        },
        "columns": [{"column": "nickname", "from": ["nickname"], "type": "string", "length": 40}],
    }


MAPPING = mapping_of(
    "club",
    {
        "partition_key": {"attribute": "pk", "type": "string"},
        "entities": {"member": entity("member", 8, "{id}#M"), "guest": entity("guest", 4, "{id}")},
    },
)


def item(key: str, kind: str) -> dict[str, Any]:
    return {"pk": {"S": key}, "kind": {"S": kind}, "nickname": {"S": "n"}}


@pytest.fixture
def club(server: Any, tables: Any) -> Iterator[VerifyHarness]:
    harness = VerifyHarness(server, tables, dataset=Dataset(MAPPING, {}, None))
    yield harness
    harness.tables.run("DROP TABLE club_member", "DROP TABLE club_guest")
    harness.database.drop()


def found(report: dict[str, Any]) -> list[tuple[Any, ...]]:
    return sorted((one["item_key"]["pk"]["S"], one["key"], one["kind"], one["outcome"]) for one in report["findings"])


@pytest.mark.parametrize(
    ("key", "kind", "text"),
    [
        ("123456789#M", "member", "member/123456789#M"),  # fits no entity
        ("1234#M", "guest", "guest/1234#M"),  # fits the other entity
        ("h\u00e9", "guest", "guest/h%C3%A9"),
    ],
)
def test_an_item_whose_key_does_not_fit_is_refused(club: VerifyHarness, key: str, kind: str, text: str) -> None:
    """As in a verification of the whole table, and its range is not settled."""
    club.exports.put(item(key, kind), INSIDE)
    range_key = expired(club, "lost", INSIDE, INSIDE)
    club.clock.advance(60)
    reports = [club.verify(repair=True), club.verify(repair=True, **WINDOW)]
    assert [found(report) for report in reports] == [[(key, text, "item_refused", "found")]] * 2
    assert [report["counts"]["item_refused"] for report in reports] == [1, 1]
    assert club.keys(EXPIRED) == [range_key]


def test_an_item_that_is_gone_is_not_refused(club: VerifyHarness) -> None:
    """Nor is one that no entity takes. Their keys alone tell nothing."""
    club.exports.put(item("123456789#M", "member"), BEFORE)
    club.exports.delete(item("123456789#M", "member"), INSIDE)
    club.exports.put(item("123456789", "other"), INSIDE)
    report = club.verify(repair=True, **WINDOW)
    assert (report["findings"], report["counts"]["exported"], report["counts"]["agreed"]) == ([], 2, 2)


def test_keys_of_one_text_are_both_read(club: VerifyHarness) -> None:
    """A key that does not fit is named by what it is, which may be the text of another item's row."""
    club.exports.put(item("12345678#M", "member"), INSIDE)
    club.exports.put(item("12345678", "member"), INSIDE)
    report = club.verify(repair=True, **WINDOW)
    assert found(report) == [
        ("12345678", "member/12345678", "item_refused", "found"),
        ("12345678#M", "member/12345678", "row_missing", "repaired"),
    ]
    assert club.tables.run("SELECT id FROM club_member") == [("12345678",)]


def test_an_unfit_key_hides_no_row_of_the_same_text(club: VerifyHarness) -> None:
    """The row of an item that is gone is found, though the text of its key also names a refused item."""
    club.exports.put(item("12345678#M", "member"), BEFORE)
    club.load()
    club.exports.delete(item("12345678#M", "member"), INSIDE)
    club.exports.put(item("12345678", "member"), INSIDE)
    report = club.verify(repair=True)
    assert found(report) == [
        ("12345678", "member/12345678", "item_refused", "found"),
        ("12345678#M", "member/12345678", "removal_lost", "repaired"),
    ]
    assert club.tables.run("SELECT id FROM club_member") == []
