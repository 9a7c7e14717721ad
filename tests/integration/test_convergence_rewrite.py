"""Rewrites among live writes: any interleaving ends with the items, and no key goes back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from tests.support.convergence import PROPERTY
from tests.support.item_tables import ItemTables
from tests.support.legacy import signal
from tests.support.rewrites import Rewrites
from tests.support.shop import make_shop
from tests.support.tables import Tables


class HeedlessRewrites(Rewrites):
    heeds_pending = False


@pytest.fixture
def shops(tables: Tables, connect: Any) -> list[ItemTables]:
    levels = ("READ COMMITTED", "REPEATABLE READ")
    opened = [connect(init_command=f"SET SESSION TRANSACTION ISOLATION LEVEL {level}") for level in levels]
    made = [make_shop(tables, connection, ()) for connection in opened]
    tables.run(f"CREATE TRIGGER refuse BEFORE UPDATE ON notes FOR EACH ROW {signal('NEW.number = 0')}")
    return made


def test_rewrites_among_live_writes_end_with_the_items(shops: list[ItemTables]):
    """No key goes back on the way, and a rewrite changes no version."""
    run_state_machine_as_test(
        lambda: Rewrites(shops), settings=settings(PROPERTY, max_examples=100, stateful_step_count=40)
    )


def test_rewrites_of_pending_keys_fail_the_same_check(shops: list[ItemTables]):
    """The negative control: without the rule, the check finds a key that goes back."""
    with pytest.raises((AssertionError, Flaky)):
        run_state_machine_as_test(
            lambda: HeedlessRewrites(shops),
            settings=settings(
                PROPERTY, max_examples=200, stateful_step_count=40, phases=[Phase.generate], database=None
            ),
        )


def test_a_rewrite_with_a_pending_change_takes_its_key_back(shops: list[ItemTables]):
    """Why a rewrite asks what is pending. The item is at 3, and its second record is still to come."""
    shop = shops[0]
    shop(shop.put("customer", ("ann",), 1, "1"))
    read = shop.put("customer", ("ann",), 3, "3")._replace(version="v0001")

    shop(read, rewrite=True)
    shown = shop.rows("customers")
    shop(shop.put("customer", ("ann",), 2, "2"))

    assert (shown, shop.rows("customers")) == ([("ann", "3")], [("ann", "2")])
