"""What happens between the second reading of a key and its repair."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reconciler.verify.pending import Pending
from tests.support.replay import applied, change
from tests.support.verify import VerifyHarness

ROW_CHANGED, ITEM_GONE = "row changed", "item gone"


@pytest.fixture
def harness(server: Any, tables: Any) -> Iterator[VerifyHarness]:
    made = VerifyHarness(server, tables)
    yield made
    made.database.drop()


@pytest.fixture
def while_asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Sets what happens once, while the repair asks for parked records."""

    def install(happens: Callable[[], Any]) -> None:
        ask, left = Pending.newest, [happens]

        def newest(self: Pending, keys: Any) -> Any:
            found = ask(self, keys)
            if left:
                left.pop()()
            return found

        monkeypatch.setattr(Pending, "newest", newest)

    return install


def write(harness: VerifyHarness, key: str, sequence: int) -> None:
    """A change that the consumer applies at once."""
    made = change(key, sequence)
    harness.table.put(made["dynamodb"]["NewImage"])
    harness.deliver(made)


@pytest.mark.parametrize("is_parked", [True, False], ids=["stale record parked", "nothing parked"])
@pytest.mark.parametrize("drift", [ROW_CHANGED, ITEM_GONE])
def test_a_repair_never_undoes_a_change_that_came_meanwhile(
    harness: VerifyHarness, while_asked: Any, drift: str, is_parked: bool
) -> None:
    """It writes the item of a reading under the version of that reading only, so the newer change wins."""
    write(harness, "a", 2)
    if is_parked:
        harness.put_quarantined(change("a", 1))
    if drift == ROW_CHANGED:
        harness.tables.run("UPDATE tbl_orders SET status = 'X'")
    else:
        harness.table.delete(change("a", 2)["dynamodb"]["NewImage"])  # the delete is lost
    while_asked(lambda: write(harness, "a", 3))
    harness.verify(repair=True, delete_removed=True)
    assert harness.tables.orders() == [applied("a", 3)]
