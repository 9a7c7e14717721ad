"""The steps of docs/mapping.md change the mapping of a pipeline, and take it back, while its items change."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

from scripts.local_stack.process import poll
from scripts.local_stack.settings import REPOSITORY
from tests.e2e.deployed import ARRIVAL, Deployed
from tests.e2e.second_pipeline import EXAMPLE, SecondPipeline, customer, note, order, order_line
from tests.support.reference_mapping import Live, outcomes
from tests.support.reference_types import Json

BEFORE: dict[str, Any] = json.loads(EXAMPLE.read_text())
LOYALTY = {"column": "loyalty", "from": ["loyalty"], "type": "int", "absent": "null"}
NOTE: dict[str, Any] = {
    "when": {"partition_key": {"starts_with": "CUSTOMER#"}, "sort_key": {"starts_with": "NOTE#"}},
    "target": {
        "table": "notes",
        "key": {"partition_key": "CUSTOMER#{customer_id}", "sort_key": "NOTE#{note_no}"},
        "key_columns": [{"column": "customer_id", "type": "uuid"}, {"column": "note_no", "type": "int", "minimum": 1}],
    },
    "columns": [{"column": "body", "from": ["body"], "type": "text"}],
}
TABLES = {entity: BEFORE["entities"][entity]["target"]["table"] for entity in BEFORE["entities"]} | {"note": "notes"}
PAUSE = 0.2  # seconds between two changes

Key = tuple[str, str]
Rows = dict[str, dict[tuple[Any, ...], dict[str, Any]]]


def after() -> dict[str, Any]:
    """The mapping with another column and another entity."""
    changed = json.loads(EXAMPLE.read_text())
    changed["entities"]["customer"]["columns"].append(LOYALTY)
    changed["entities"]["note"] = NOTE
    return changed


class Traffic:
    """Rounds of changes of a few items of every kind, in the background, and one round more when the block ends.

    `loyalty` is in every round the value of the attribute that gets a column, and the body of the notes.
    """

    def __init__(self, shop: SecondPipeline, loyalty: int) -> None:
        self._shop, self.loyalty = shop, loyalty
        self._rounds = itertools.count(1)
        self.customers, self._orders = ([str(uuid.uuid4()) for _ in range(2)] for _ in range(2))
        self.keys: set[Key] = set()

    def __enter__(self) -> None:
        self._ended = threading.Event()
        self._thread = ThreadPoolExecutor(1)
        self._sending = self._thread.submit(self._send_on)

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.shutdown()
        self._sending.result()
        self.round()

    def round(self) -> None:
        for change in self._changes():
            change()

    def _send_on(self) -> None:
        for change in itertools.chain.from_iterable(self._changes() for _ in itertools.count()):
            if self._ended.wait(PAUSE):
                return
            change()

    def _changes(self) -> list[Callable[[], None]]:
        """A customer comes before its order, and an order before its lines."""
        number, changes = next(self._rounds), list[Callable[[], None]]()
        for customer_id, order_id in zip(self.customers, self._orders, strict=True):
            items = [
                customer(customer_id, f"Ada {number}", self.loyalty),
                order(order_id, customer_id, str(number)),
                order_line(order_id, 1, str(number)),
                note(customer_id, 1, f"{self.loyalty}") | {"round": {"N": str(number)}},
            ]
            self.keys |= {key_of(item) for item in items}
            changes += [lambda item=item: self._shop.put(item) for item in items]
            gone = order_line(order_id, 2, str(number))
            change = self._shop.delete if number % 2 else self._shop.put
            changes.append(lambda change=change, gone=gone: change(gone))
        return changes


def key_of(item: Mapping[str, Any]) -> Key:
    return item["pk"]["S"], item["sk"]["S"]


def rows(shop: SecondPipeline, document: Mapping[str, Any]) -> Rows:
    """Each table of the mapping, by the key of the row."""
    return {
        table: {key(row, entity): readable(row) for row in shop.rows(table)}
        for entity, table in TABLES.items()
        if entity in document["entities"]
    }


def key(row: Mapping[str, Any], entity: str) -> tuple[Any, ...]:
    declared = after()["entities"][entity]["target"]["key_columns"]
    return tuple(row[column["column"]] for column in declared)


def readable(row: Mapping[str, Any]) -> dict[str, Any]:
    if row.get("extra") is None:
        return dict(row)
    return dict(row) | {"extra": Json(json.loads(row["extra"], parse_int=Decimal))}


def expected(items: list[dict[str, Any]], mapping_of: Callable[[Key], Mapping[str, Any]]) -> Rows:
    """What the items are as rows, each under the mapping that read it last."""
    found: Rows = {table: {} for table in TABLES.values()}
    for item in items:
        keys = {name: item[name] for name in ("pk", "sk")}
        record = {"eventName": "MODIFY", "dynamodb": {"Keys": keys, "NewImage": item}}
        for outcome in outcomes(mapping_of(key_of(item)), record):
            if isinstance(outcome, Live):
                found[TABLES[outcome.entity]][outcome.key] = dict(outcome.row)
    return found


def backstream(stack: Deployed, *arguments: str) -> str:
    """The output of the operator's tool, which must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "backstream", "mapping", *arguments],
        cwd=REPOSITORY,
        env=dict(stack.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done
    return done.stdout


def settle(shop: SecondPipeline, document: Mapping[str, Any], wanted: Rows) -> None:
    """Fails with the rows that differ when the tables do not become what they should be."""
    poll(lambda: rows(shop, document) == wanted, ARRIVAL, interval=0.5)
    assert rows(shop, document) == wanted


def change_mapping(stack: Deployed, shop: SecondPipeline, file: Path) -> None:
    """The steps of docs/mapping.md. The schema step of the deployment creates the table of the new entity."""
    statements = backstream(stack, "ddl", str(file), "--local").split(";\n")
    (alter,) = [statement for statement in statements if statement.lstrip().startswith("ALTER")]
    stack.execute(alter)
    backstream(stack, "check", str(file), "--local", "--table", shop.outputs["table_name"])
    shop.deploy_zips(shop.build("changed", file.read_text()))


def test_a_mapping_is_changed_and_taken_back_under_traffic(stack: Deployed, shop: SecondPipeline, tmp_path: Path):
    """Old items keep their rows until they change. With the earlier zips, added columns and rows do not change."""
    traffic = Traffic(shop, loyalty=1)
    resting, touched, late = (str(uuid.uuid4()) for _ in range(3))
    for customer_id in (resting, touched):
        shop.put(customer(customer_id), note(customer_id, 1, "early"))
    traffic.round()
    wanted = expected(shop.items(), lambda _: BEFORE)
    del wanted["notes"]
    settle(shop, BEFORE, wanted)
    file, new = tmp_path / "shop.json", after()
    file.write_text(json.dumps(new))

    with traffic:
        change_mapping(stack, shop, file)
        traffic.loyalty = 2
    shop.put(customer(touched) | {"touched": {"N": "1"}}, note(touched, 1, "early") | {"touched": {"N": "1"}})
    changed = traffic.keys | {key_of(item) for item in (customer(touched), note(touched, 1, ""))}
    wanted = expected(shop.items(), lambda one: new if one in changed else BEFORE)
    for row in wanted["customers"].values():
        row.setdefault("loyalty", None)
    settle(shop, new, wanted)
    assert wanted["customers"][resting,]["loyalty"] is None
    assert {customer_id for customer_id, _ in wanted["notes"]} == {touched, *traffic.customers}
    kept = wanted

    with traffic:
        shop.deploy_zips(shop.zips)
        traffic.loyalty = 3
    shop.put(customer(late), note(late, 1, "late"))
    shop.delete(note(touched, 1, ""))
    wanted = expected(shop.items(), lambda one: new if one == key_of(customer(touched)) else BEFORE)
    for one, row in wanted["customers"].items():
        row["loyalty"] = kept["customers"][one]["loyalty"] if one in kept["customers"] else None
    wanted["notes"] = kept["notes"]
    settle(shop, new, wanted)
