"""A batch whose connection is cut at each of its statements in turn, over any target table."""

from __future__ import annotations

from typing import Any

from common.database import HoldError
from scripts.local_stack.process import poll
from tests.support.deliveries import Consumer
from tests.support.proxy import Proxy
from tests.support.records import START
from tests.support.tables import Rows
from tests.support.two_mappings import Items

State = tuple[Rows, dict[str, int], Rows]

_NAMES = ("changed", "new", "removed", "same", "stale")


def _put(items: Items, name: str, sequence: int, **values: Any) -> dict[str, Any]:
    """Its created_at is its own, so that it may be unique."""
    return items.put(name, sequence, created_at=START + sequence, **values)


def _row(items: Items, name: str, sequence: int, **values: Any) -> Any:
    return items.row(name, created_at=START + sequence, **values)


def _before(items: Items) -> list[dict[str, Any]]:
    return [_put(items, "changed", 2), _put(items, "removed", 3), _put(items, "same", 4), _put(items, "stale", 5)]


def _batch(items: Items, poison: dict[str, Any]) -> list[dict[str, Any]]:
    """One of each: new, changed, deleted, stale, redelivered, and poison."""
    return [
        _put(items, "changed", 12, status="PAID"),
        _put(items, "new", 13),
        poison,
        items.remove("removed", 15),
        _put(items, "same", 4),
        _put(items, "stale", 1),
    ]


def _after(items: Items) -> State:
    rows = [
        _row(items, "changed", 12, status="PAID"),
        _row(items, "new", 13),
        *items.removed("removed", created_at=START + 3),
        _row(items, "same", 4),
        _row(items, "stale", 5),
    ]
    versions = {"changed": 12, "new": 13, "removed": 15, "same": 4, "stale": 5}
    return rows, versions, [("changed", "PAID"), ("new", "NEW"), ("removed", "deleted")]


def assert_whole_or_not_at_all(
    side: str,
    poison: dict[str, Any],
    *,
    items: Items,
    proxy: Proxy,
    consumer: Consumer,
    user: str,
    statements: int = 20,
) -> None:
    """Cut `side` (before or after) each statement of `user`; the batch has more than `statements` of them.

    The items log their writes.
    """
    cut, n, after = 0, 0, _after(items)
    while True:
        items.clear()
        consumer.deliver(*_before(items))
        consumer.database.drop()
        items.tables.run("DELETE FROM writes")
        before = _state(items)
        getattr(proxy, side)("", proxy.reset, skip=n)
        n += 1
        try:
            consumer.deliver(*_batch(items, poison))
        except HoldError:
            cut += 1
        else:
            break
        poll(lambda: items.tables.sessions_of(user) == [], timeout=5)  # the server has noticed, and rolled back
        assert _state(items) in (before, after), f"cut {side} statement {n}"
        consumer.deliver(*_batch(items, poison))
        assert _state(items) == after, f"cut {side} statement {n}"
    assert cut > statements


def _state(items: Items) -> State:
    """Keys of one batch may be written in any order. The log has each of them at most once."""
    return items.rows(), items.versions(*_NAMES), sorted(items.log())
