"""A batch whose connection is cut at each of its statements in turn, over any target table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from common.database import HoldError
from scripts.local_stack.waiting import poll
from tests.support.deliveries import Consumer
from tests.support.proxy import Proxy
from tests.support.records import START, record, remove
from tests.support.tables import Rows, Tables, order


def _record(key: str, sequence: int, **values: Any) -> dict[str, Any]:
    """Its created_at is its own, so that it may be unique."""
    return record(key, sequence, created_at=START + sequence, **values)


def _order(key: str, sequence: int, **values: Any) -> tuple[Any, ...]:
    return order(key, created_at=START + sequence, **values)


def _batch(poison: dict[str, Any]) -> list[dict[str, Any]]:
    """One of each: new, changed, deleted, stale, redelivered, and poison."""
    return [
        _record("changed", 12, status="PAID"),
        _record("new", 13),
        poison,
        remove("removed", 15),
        _record("same", 4),
        _record("stale", 1),
    ]


_BEFORE = [_record("changed", 2), _record("removed", 3), _record("same", 4), _record("stale", 5)]
_AFTER = (
    [_order("changed", 12, status="PAID"), _order("new", 13), _order("same", 4), _order("stale", 5)],
    [("changed", 12, 0), ("new", 13, 0), ("removed", 15, 1), ("same", 4, 0), ("stale", 5, 0)],
    [("changed", "PAID"), ("new", "NEW"), ("removed", "deleted")],
)


def assert_whole_or_not_at_all(
    side: str,
    poison: dict[str, Any],
    *,
    tables: Tables,
    log: Callable[[], Rows],
    proxy: Proxy,
    consumer: Consumer,
    user: str,
    statements: int = 20,
) -> None:
    """Cut `side` (before or after) each statement of `user`; the batch has more than `statements` of them."""
    cut, n = 0, 0
    while True:
        tables.clear()
        consumer.deliver(*_BEFORE)
        consumer.database.drop()
        tables.run("DELETE FROM writes")
        before = _state(tables, log)
        getattr(proxy, side)("", proxy.reset, skip=n)
        n += 1
        try:
            consumer.deliver(*_batch(poison))
        except HoldError:
            cut += 1
        else:
            break
        poll(lambda: tables.sessions_of(user) == [], timeout=5)  # the server has noticed, and rolled back
        assert _state(tables, log) in (before, _AFTER), f"cut {side} statement {n}"
        consumer.deliver(*_batch(poison))
        assert _state(tables, log) == _AFTER, f"cut {side} statement {n}"
    assert cut > statements


def _state(tables: Tables, log: Callable[[], Rows]) -> tuple[Rows, Rows, Rows]:
    """Keys of one batch may be written in any order. The log has each of them at most once."""
    return tables.orders(), tables.sidecar(), sorted(log())
