"""A table of items with a stream, and everybody who writes its rows, as a state machine.

The consumer, a load, rewrites by their protocol, and strangers. Records can be lost, as when the stream forgets them.
Only a rewrite brings their rows in step again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from common.changes import Change, Row
from common.database import Outcome, StoredVersion
from common.versions import LOWEST_VERSION
from tests.support.convergence import until_unlocked
from tests.support.item_tables import ItemTables
from tests.support.shop import total

# The row of a customer is deleted with its item; that of a bill is flagged.
KEYS: list[tuple[str, Row]] = [("customer", ("ann",)), ("bill", ("ann", "2026-01-31", 1))]
REFUSED = ("ann", 0)
PUT, DELETE = "put", "delete"
AT = st.integers(0, len(KEYS) - 1)
KINDS = st.lists(st.sampled_from([PUT, PUT, DELETE]), min_size=1, max_size=3)
# Which of the two connections, and whether a row that the server refuses is in the batch.
HOW = st.tuples(st.booleans(), st.booleans())
# What happens between two steps of a rewrite: changes of an item, or how many of its records are delivered.
BETWEEN = st.lists(st.tuples(AT, KINDS | st.integers(1, 3)), max_size=2)
GONE, STRANGER = "gone", "stranger"  # what a row shows that is no state of its item


@dataclass
class Item:
    """An item and its records. Its `n`th record makes it what it is at `n`; at 0 it is what it was before the stream.

    `delivered` is the number of the last record that was delivered or lost. `shown` is the last state that the row may
    not fall behind.
    """

    name: str
    key: Row
    existed: bool
    kinds: list[str] = field(default_factory=list)
    delivered: int = 0
    lost: set[int] = field(default_factory=set)
    reached: int = 0

    @property
    def now(self) -> int:
        return len(self.kinds)

    @property
    def is_pending(self) -> bool:
        return self.delivered < self.now

    def exists(self, n: int) -> bool:
        return self.kinds[n - 1] == PUT if n else self.existed

    def deleted_since(self, n: int) -> int | None:
        """The first deletion from state `n` on."""
        return next((at for at in range(max(n, 1), self.now + 1) if self.kinds[at - 1] == DELETE), None)


class Rewrites(RuleBasedStateMachine):
    """`heeds_pending`: a rewrite is given up where a record of the key is pending."""

    heeds_pending = True

    def __init__(self, shops: Sequence[ItemTables]) -> None:
        super().__init__()
        self.shops, self.shop = shops, shops[0]
        self.loads: dict[int, int] = {}  # what a load has read of an item

    @initialize(
        existed=st.tuples(*[st.booleans()] * len(KEYS)), last=st.tuples(*[st.none() | st.integers(0, 2)] * len(KEYS))
    )
    def begin(self, existed: tuple[bool, ...], last: tuple[int | None, ...]) -> None:
        """`last`: in the end, so many of the pending records of each item are delivered, and the others are lost."""
        self.last = last
        tables = ("bills", "customers", "notes", "replication_versions")
        self.shop.tables.run(*(f"DELETE FROM {table}" for table in tables))
        self.items = [Item(name, key, there) for (name, key), there in zip(KEYS, existed, strict=True)]
        self.shop(self.shop.put("note", REFUSED, 1, "x"))

    # The table

    @rule(at=AT, kinds=KINDS)
    def change(self, at: int, kinds: list[str]) -> None:
        item = self.items[at]
        for kind in kinds:
            item.kinds.append(kind if item.exists(item.now) else PUT)

    # The consumer

    @rule(
        many=st.dictionaries(AT, st.integers(1, 3), min_size=1), again=st.integers(0, 3), every=st.booleans(), how=HOW
    )
    def deliver(self, many: dict[int, int], again: int, how: tuple[bool, bool], *, every: bool) -> None:
        """The next records of some items, in order, and some that were delivered before."""
        changes = []
        for at, count in many.items():
            item = self.items[at]
            end = min(item.delivered + count, item.now)
            start = max(item.delivered - again, 0)
            changes += [self._record(item, n) for n in range(start + 1, end + 1) if n not in item.lost]
            item.delivered = end
        self._write([self.items[at] for at in many], changes, how, every_change=every)

    @rule(at=AT)
    def lose(self, at: int) -> None:
        item = self.items[at]
        item.lost |= set(range(item.delivered + 1, item.now + 1))
        item.delivered = item.now

    # The load

    @rule(at=AT)
    def load_read(self, at: int) -> None:
        if self.items[at].exists(self.items[at].now):
            self.loads[at] = self.items[at].now

    @rule(how=HOW)
    def load_write(self, how: tuple[bool, bool]) -> None:
        """It may show a newer state before an older one, so it is not held to what it shows."""
        changes = [self._loaded(self.items[at], n) for at, n in self.loads.items()]
        self._apply(changes, how)
        self.loads.clear()

    # The rewrite

    @rule(chosen=st.sets(AT, min_size=1), how=HOW, while_reading=BETWEEN, before_lock=BETWEEN)
    def rewrite(
        self,
        chosen: set[int],
        how: tuple[bool, bool],
        while_reading: Sequence[Any] = (),
        before_lock: Sequence[Any] = (),
    ) -> None:
        """The steps of the protocol, with what others do between them."""
        versions = {at: version for at in sorted(chosen) if (version := self._stored(self.items[at])) is not None}
        self._meanwhile(while_reading)
        read = [
            self._rewritten(self.items[at], version)
            for at, version in versions.items()
            if not (self.heeds_pending and self.items[at].is_pending)
        ]
        self._meanwhile(before_lock)
        before = self._newest()
        self._write([self.items[at] for at in chosen], read, how, rewrite=True)
        assert self._newest() == before, "a rewrite has no version of its own"

    def _meanwhile(self, between: Sequence[tuple[int, Any]]) -> None:
        for at, what in between:
            if isinstance(what, int):
                self.deliver(many={at: what}, again=0, every=False, how=(True, False))
            else:
                self.change(at=at, kinds=what)

    # Strangers

    @rule(at=AT, how=st.sampled_from(["change", "insert", "delete"]))
    def stranger(self, at: int, how: str) -> None:
        """A row whose key the sidecar does not know is the stranger's own, so none is made there."""
        item = self.items[at]
        if how == "insert" and self._stored(item) is None:
            return
        if item.name == "customer":
            where, columns, values = f"BINARY customer = '{item.key[0]}'", "customer, name", f"'{item.key[0]}', 'odd'"
            change = "name = 'odd'"
        else:
            where, columns = f"number = {item.key[2]}", "customer, day, number, total, place, is_deleted"
            values, change = f"'ann', '2026-01-31', {item.key[2]}, 1, -1, 0", "place = -1, is_deleted = 0"
        self.shop.tables.run(
            {
                "change": f"UPDATE {item.name}s SET {change} WHERE {where}",
                "insert": f"INSERT IGNORE INTO {item.name}s ({columns}) VALUES ({values})",
                "delete": f"DELETE FROM {item.name}s WHERE {where}",
            }[how]
        )

    # The end

    def teardown(self) -> None:
        if hasattr(self, "items"):
            self._settle()

    def _settle(self) -> None:
        """Deliver or lose what is pending, load what was never written, rewrite what the sidecar knows."""
        for at, count in enumerate(self.last):
            if count is not None:
                self.deliver(many={at: count}, again=0, every=False, how=(False, False))
                self.lose(at=at)
        everything = {at: item.now or 1 for at, item in enumerate(self.items)}
        self.deliver(many=everything, again=0, every=False, how=(False, False))
        self._apply([self._loaded(item, item.now) for item in self.items if item.exists(item.now)], (False, False))
        for _ in range(2):
            self.rewrite(chosen=set(everything), how=(False, False))
            self._assert_rows_are_the_items()
        state = self._rows(), self._sidecar()
        self.deliver(many=everything, again=99, every=True, how=(True, False))
        assert (self._rows(), self._sidecar()) == state, "what is delivered once more changes nothing"

    def _assert_rows_are_the_items(self) -> None:
        """The sidecar marks a customer who is gone. A bill that is gone has a flag instead."""
        marks = {row[0]: row[2] for row in self.shop.sidecar()}
        for item, row in zip(self.items, self._rows(), strict=True):
            is_marked = item.name == "customer" and not item.exists(item.now)
            assert marks.get(self._sidecar_name(item), is_marked) == is_marked
            if item.exists(item.now):
                assert row == self._put(item, item.now).row
            else:
                assert row is None or (item.name == "bill" and row[-2] == 1)

    # Changes

    def _put(self, item: Item, n: int) -> Change:
        values = (total(str(n)), n, 0, None) if item.name == "bill" else (str(n),)
        return self.shop.put(item.name, item.key, n, *values)

    def _record(self, item: Item, n: int) -> Change:
        return self._put(item, n) if item.exists(n) else self._gone(item, n)

    def _loaded(self, item: Item, n: int) -> Change:
        return self._put(item, n)._replace(version=LOWEST_VERSION, source_time=0)

    def _rewritten(self, item: Item, version: str) -> Change:
        change = self._put(item, item.now) if item.exists(item.now) else self._gone(item, item.now)
        return change._replace(version=version)

    def _gone(self, item: Item, n: int) -> Change:
        return self.shop.delete(item.name, item.key, n)

    # Writing

    def _apply(self, changes: list[Change], how: tuple[bool, bool], **options: Any) -> Outcome:
        shop, beside_refused = self.shops[how[0]], how[1]
        refused = [shop.put("note", REFUSED, 1 if options.get("rewrite") else 2, "y")] if beside_refused else []
        outcome = until_unlocked(lambda: shop(*changes, *refused, **options))
        assert [parked.key for parked in outcome.parked] == [change.key for change in refused]
        assert outcome.counts.total() == len(changes)
        return outcome

    def _write(self, items: list[Item], changes: list[Change], how: tuple[bool, bool], **options: Any) -> None:
        """Apply, and check that no row goes back."""
        before = self._shown()
        self._apply(changes, how, **options)
        for item, was, shown in zip(self.items, before, self._shown(), strict=True):
            if shown == was:
                continue
            assert item in items
            if isinstance(shown, str):
                assert shown == GONE
                deletion = item.deleted_since(item.reached)
                assert deletion is not None, f"{item.key} was removed after its last deletion had been passed"
                item.reached = deletion
            else:
                assert shown >= item.reached, f"{item.key} went from {item.reached} to {shown}"
                item.reached = shown

    # Reading

    def _rows(self) -> list[Row | None]:
        rows = {("customer", row[:1]): row for row in self.shop.rows("customers")}
        rows |= {("bill", row[:3]): row for row in self.shop.rows("bills")}
        return [rows.get((item.name, item.key)) for item in self.items]

    def _shown(self) -> list[int | str]:
        """The state that each row has. A flagged one is gone."""
        return [_state(item, row) for item, row in zip(self.items, self._rows(), strict=True)]

    def _sidecar_name(self, item: Item) -> str:
        return f"shop.{item.name} {'/'.join(map(str, item.key))}"

    def _stored(self, item: Item) -> str | None:
        return self._newest().get(self._sidecar_name(item))

    def _newest(self) -> dict[str, str]:
        """The newest version that the sidecar holds of each key."""
        return {
            name: StoredVersion(version, 0, delete or "", expiry or "").newest
            for name, version, _, delete, expiry in self.shop.sidecar()
        }

    def _sidecar(self) -> Any:
        """Every column but the mark."""
        return [row[:2] + row[3:] for row in self.shop.tables.whole_sidecar()]


def _state(item: Item, row: Row | None) -> int | str:
    if row is None or (item.name == "bill" and row[-2] == 1):
        return GONE
    n = row[-3] if item.name == "bill" else row[-1]
    return STRANGER if n in (-1, "odd") else int(str(n))
