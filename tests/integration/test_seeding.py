"""Rows are seeded while the legacy application writes: its rows stay, and the items catch up."""

from __future__ import annotations

import random
from typing import Any

from common.database import Since
from common.inverse import Inverse
from common.seeds import MARK, is_marked, marked
from tests.support.records import ARN, START
from tests.support.tables import Tables, order
from tests.support.writes import MAPPING, Applier

KEYS = ("p_key", "s_key")


class Seeding:
    """A table of items whose stream reaches MySQL late, and in batches of any size."""

    def __init__(self, database: Any, writer: Applier, chosen: random.Random) -> None:
        self.database, self.writer, self.random = database, writer, chosen
        self.items: dict[str, dict[str, Any]] = {}
        self.stream: list[dict[str, Any]] = []
        self.inverse = Inverse(MAPPING)

    def seed(self, name: str, since: int | None = None) -> None:
        """Write the item of each row, or of those that changed since, if the item is the seed's own."""
        after = None
        while True:
            chosen = None if since is None else Since("updated_at", str(since))
            page = self.database.page(0, limit=7, after=after, since=chosen)
            for item in self.inverse.items(0, page.rows):
                assert isinstance(item, dict)
                self._put(marked(item, "orders", name))
            if page.cursor is None:
                return
            after = page.cursor

    def _put(self, item: dict[str, Any]) -> None:
        key = item["p_key"]["S"]
        old = self.items.get(key)
        if old is None or is_marked(old, "orders"):
            self._write(key, item)

    def change(self, key: str) -> None:
        """The new API changes an item and keeps its mark."""
        if key in self.items:
            self._write(key, self.items[key] | {"status": {"S": "API"}, "updated_at": {"N": str(START + 999)}})

    def _write(self, key: str, item: dict[str, Any]) -> None:
        body = {
            "ApproximateCreationDateTime": START,
            "Keys": {name: item[name] for name in KEYS},
            "NewImage": item,
            "SequenceNumber": str(8 * 10**20 + len(self.stream)),
        }
        if key in self.items:
            body["OldImage"] = self.items[key]
        event = "MODIFY" if key in self.items else "INSERT"
        self.stream.append({"eventName": event, "eventSourceARN": ARN, "dynamodb": body})
        self.items[key] = item

    def deliver(self, done: int) -> int:
        """Apply a part of what the stream has, some of it again. Returns how far it is."""
        end = self.random.randint(done, len(self.stream))
        if batch := self.stream[self.random.randint(max(0, done - 5), done) : end]:
            self.writer(*batch)
        return end


def test_the_legacy_application_writes_while_rows_are_seeded(make_database: Any, writer: Applier, tables: Tables):
    for number in range(5):
        _run(make_database(MAPPING), writer, tables, random.Random(number))


def _run(database: Any, writer: Applier, tables: Tables, chosen: random.Random) -> None:
    tables.clear()
    legacy: dict[str, Any] = {}
    seeding, done = Seeding(database, writer, chosen), 0
    api: set[str] = set()

    def write(clock: int) -> None:
        """The legacy application writes rows, or deletes one that was not seeded yet."""
        for _ in range(chosen.randint(1, 6)):
            key = f"k{chosen.randint(0, 30):02}"
            if key in api:
                continue  # the new API owns it since
            legacy[key] = order(key, status=f"L{clock}", updated_at=START + clock)
            tables.run(f"REPLACE INTO tbl_orders VALUES ({', '.join(repr(str(value)) for value in legacy[key])})")

    for clock in range(1, 40):
        write(clock)
        if clock % 3 == 0:
            # A row that changes in this second may be read before it changes: the next seed reads it again.
            seeding.seed(f"seed-{clock}", since=None if clock == 3 else START + clock - 4)
        done = seeding.deliver(done)
        rows = {row[0]: row for row in tables.orders()}
        assert {key: rows[key] for key in legacy if key not in api} == {k: v for k, v in legacy.items() if k not in api}
        if clock % 7 == 0 and (free := sorted(seeding.items.keys() - api)):
            key = chosen.choice(free)
            seeding.seed(f"before-{clock}")  # the API takes over an item that is up to date
            api.add(key)
            seeding.change(key)

    seeding.seed("last")
    writer(*seeding.stream)
    rows = {row[0]: row for row in tables.orders()}
    assert {key: rows[key] for key in legacy if key not in api} == {k: v for k, v in legacy.items() if k not in api}
    assert all(rows[key][4] == "API" for key in api)
    made = dict(zip(rows, seeding.inverse.items(0, list(rows.values())), strict=True))
    kept = {key: {n: v for n, v in item.items() if n != MARK} for key, item in seeding.items.items()}
    assert made == kept
