"""A cutover on the running stack, shown step by step, with writers at work. It takes about three minutes.

A legacy application writes orders into MySQL. Its rows become items, both sides are proven equal, the API takes over,
and then the legacy application writes again.

Exit codes: 0 every check held; 1 one did not, or a step did not complete; 130 interrupted.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pymysql
import urllib3
from botocore.exceptions import BotoCoreError, ClientError

from scripts.local_stack.legacy_application import Facts, Ledger, LegacyApplication
from scripts.local_stack.operator_tool import DONE, NotReadyError, Result, backstream
from scripts.local_stack.outage_demo import Replication
from scripts.local_stack.process import poll
from scripts.local_stack.simulation import ApiOrderClient, Operation, WriteError
from scripts.local_stack.stack import API_ACCOUNT, Stack
from scripts.local_stack.terminal import Narrator, StackError, discard_stdout, say

HELD, FAILED, INTERRUPTED = 0, 1, 130
ORDERS, RATE = 40, 5
SAMPLE = 10
CHANGED, DELETED, CREATED = 15, 2, 5  # orders, by the API
NEW_AMOUNT = Decimal("42.50")
BACK = 10  # orders that the legacy application changes after the way back
ARRIVES_WITHIN = 90  # seconds
READY_WITHIN = 600  # seconds: seven minutes of metrics, and what CloudWatch takes to publish them
WAIT = "3"  # seconds; the longest that a change takes to MySQL here
# What a verification subtracts from its start to name a proven time, and a second for the clocks.
PROVEN_AFTER = 11
# A row that is newer than its item, which only a seed wrote, and a row that no seed has taken yet.
EXPECTED_BEFORE_SWITCH = {"seed_outdated", "stranger"}


class DemoError(StackError):
    """A step of the demonstration did not complete."""


@dataclass
class Cutover:
    """The two writers, what each order must be, both sides, and the checks that did not hold."""

    stack: Stack
    narrator: Narrator
    replication: Replication
    ledger: Ledger = field(default_factory=Ledger)
    failures: list[str] = field(default_factory=list)
    by_api: set[str] = field(default_factory=set)

    @property
    def legacy(self) -> LegacyApplication:
        return LegacyApplication(self.stack.access, self.ledger)

    def run(self, *arguments: str) -> Result:
        self.narrator.say(f"$ backstream {' '.join(arguments)}")
        return backstream(self.replication.outputs, *arguments)

    def _run_when_ready(self, *arguments: str) -> Result:
        """A verification refuses to begin for minutes after the consumer has failed, as it does in demo-outage."""
        found: list[Result] = []

        def is_ready() -> bool:
            with suppress(NotReadyError):
                found.append(backstream(self.replication.outputs, *arguments))
            return bool(found)

        try:
            return self.run(*arguments)
        except NotReadyError as error:
            self.narrator.say(f"Not yet: {error}")
        if not poll(is_ready, READY_WITHIN, interval=10):
            raise DemoError(f"backstream {arguments[0]} did not begin within {READY_WITHIN} seconds")
        return found[0]

    def shadow(self, keys: Iterable[str]) -> dict[str, str]:
        """The kind of each difference, by order. The keys are not shown."""
        asked = sorted(keys)
        self.narrator.say(f"$ backstream shadow --wait {WAIT} < keys     ({len(asked)} keys)")
        report = backstream(self.replication.outputs, "shadow", "--wait", WAIT, *asked).report
        if left := report["refused"] or report["unsettled"]:
            raise DemoError(f"shadow reads could not decide: {left}")
        return {_order(one["key"]): one["kind"] for one in report["differences"]}

    def verify(self, *options: str) -> tuple[dict[str, str], str]:
        """The kind of each finding that was not repaired, by order of this demonstration; and the proven time."""
        report = self._run_when_ready("verify", *options).report
        found = {
            _order(one["key"]): one["kind"] for one in report["findings"] if one["key"] and one["outcome"] != "repaired"
        }
        mine = {order_id: kind for order_id, kind in found.items() if order_id in self.ledger.orders}
        if len(found) > len(mine):
            self.narrator.say(f"Ignored: {len(found) - len(mine)} findings of orders that are not of this story.")
        return mine, report["verified_through"]

    def check(self, question: str, wrong: object) -> None:
        """Print whether a check held: nothing is `wrong`."""
        self.narrator.say(f"{question} {'NO' if wrong else 'Yes.'}")
        if wrong:
            self.narrator.say(f"  {str(wrong)[:500]}")
            self.failures.append(question)

    def untouched(self) -> None:
        self.check("Is each row as its last writer left it?", self.ledger.differing(self.stack.access))

    def both_sides_differ(self) -> list[str]:
        """The orders of this demonstration that differ once every change has arrived."""

        def differing() -> list[str]:
            return sorted(set(self.replication.differing()) & set(self.ledger.orders))

        poll(lambda: not differing(), ARRIVES_WITHIN, interval=0.5)
        return differing()


@dataclass
class Api:
    """The new application: it calls the API, which writes the table."""

    cutover: Cutover

    def __post_init__(self) -> None:
        outputs = self.cutover.replication.outputs
        self._orders = ApiOrderClient(outputs["api_url"], API_ACCOUNT.user, API_ACCOUNT.password)

    def create(self, facts: Facts) -> str:
        return self._send("create", "", facts)

    def change(self, order_id: str, facts: Facts) -> None:
        """Amount and status."""
        self._send("update", order_id, facts)

    def delete(self, order_id: str) -> None:
        self._send("delete", order_id, self.cutover.ledger.facts(order_id))

    def _send(self, kind: str, order_id: str, facts: Facts) -> str:
        if order_id:
            self._orders.adopt(0, order_id)
        self._orders.send(Operation(0, kind, 0, order_id, *facts))
        order_id = order_id or self._orders.order_id(0)
        self.cutover.ledger.note(order_id, None if kind == "delete" else facts)
        self.cutover.by_api.add(order_id)
        return order_id


def run_demo(stack: Stack, svg: Path | None = None) -> int:
    """The exit code. Raises StackError when a step does not complete."""
    try:
        cutover = Cutover(stack, Narrator("make demo-cutover", svg), Replication.of(stack))
        code = _show(cutover)
        cutover.narrator.save()
    except (ClientError, BotoCoreError, pymysql.MySQLError, urllib3.exceptions.HTTPError, WriteError) as error:
        raise DemoError(str(error)) from error
    except BrokenPipeError:  # the reader has ended, as in `make demo-cutover | head`
        discard_stdout()
        return INTERRUPTED
    except KeyboardInterrupt:
        say("\ndemo-cutover: interrupted; the orders of the demonstration stay")
        return INTERRUPTED
    return code


def _show(cutover: Cutover) -> int:
    if "seed_state_machine_arn" not in cutover.replication.outputs:
        raise DemoError("the deployment has no seed: make up")
    _legacy_only(cutover)
    with cutover.legacy.at_work(RATE):
        _seed(cutover)
        _seed_again(cutover)
        _rehearse(cutover)
    _switch(cutover)
    _watch(cutover)
    stopped = time.time()
    _check_the_way_back(cutover, stopped)
    _write_legacy_again(cutover)
    _forwards_again(cutover)
    return _verdict(cutover)


def _legacy_only(cutover: Cutover) -> None:
    narrator = cutover.narrator
    narrator.step(f"A legacy application writes {ORDERS} orders into MySQL. DynamoDB knows none of them.")
    cutover.legacy.create(ORDERS)
    missing = set(cutover.ledger.orders) - cutover.replication.table().keys()
    narrator.say(f"{len(missing)} orders are in MySQL only. The application goes on: {RATE} writes a second.")


def _seed(cutover: Cutover) -> None:
    cutover.narrator.step("The seed makes an item of each row, while the application writes.")
    before = cutover.ledger.writes
    counts = cutover.run("seed").report["counts"]
    cutover.narrator.say(
        f"{counts['rows']} rows were read, {counts['seeded']} became items; "
        f"{cutover.ledger.writes - before} rows were written meanwhile."
    )
    cutover.untouched()


def _seed_again(cutover: Cutover) -> None:
    cutover.narrator.step("Rows change after their seed. The next seed takes them, by the time of their last change.")
    counts = cutover.run("seed", "--since", "updated_at").report["counts"]
    cutover.narrator.say(
        f"{counts['reseeded']} items were brought to their rows, {counts['seeded']} are new, "
        f"{counts['existing']} belong to the API and were left."
    )
    cutover.untouched()


def _rehearse(cutover: Cutover) -> None:
    narrator = cutover.narrator
    narrator.step("A rehearsal: what differs while the legacy application still writes?")
    found, _ = cutover.verify()
    narrator.say(f"Verified: {_kinds(found)}.")
    wrong = {key: kind for key, kind in found.items() if kind not in EXPECTED_BEFORE_SWITCH}
    cutover.check("Does only that differ which changed after its seed?", wrong)
    sample = random.sample(cutover.ledger.living, SAMPLE)
    found = cutover.shadow(sample)
    narrator.say(f"Shadow reads of {SAMPLE} requests: {_kinds(found)}.")
    wrong = {key: kind for key, kind in found.items() if kind not in EXPECTED_BEFORE_SWITCH}
    cutover.check("Does only that differ which changed after its seed?", wrong)


def _switch(cutover: Cutover) -> None:
    narrator = cutover.narrator
    narrator.step("The switch: the legacy application stops writing. The last seed, then the proof.")
    began = time.monotonic()
    counts = cutover.run("seed", "--since", "updated_at").report["counts"]
    narrator.say(f"{counts['reseeded']} items were brought to their rows, {counts['seeded']} are new.")
    found, through = cutover.verify("--repair")
    cutover.check("Are both sides equal?", found)
    if through:
        narrator.say(f"Every change up to {through} is in MySQL.")
    narrator.say(f"The API takes over. Nobody could write for {time.monotonic() - began:.0f} s.")
    cutover.untouched()


def _watch(cutover: Cutover) -> None:
    narrator, ledger, api = cutover.narrator, cutover.ledger, Api(cutover)
    narrator.step(f"The API changes {CHANGED} of these orders, deletes {DELETED} and creates {CREATED}.")
    chosen = random.sample(ledger.living, CHANGED + DELETED)
    for order_id in chosen[:CHANGED]:
        api.change(order_id, ledger.facts(order_id)._replace(amount=NEW_AMOUNT, status="SHIPPED"))
    for order_id in chosen[CHANGED:]:
        api.delete(order_id)
    for _ in range(CREATED):
        api.create(Facts("merchant-new", NEW_AMOUNT, "EUR", "NEW"))
    cutover.check("Do table and MySQL become equal, row by row?", cutover.both_sides_differ())
    cutover.untouched()
    cutover.check("Do shadow reads find no difference?", cutover.shadow(ledger.orders))


def _check_the_way_back(cutover: Cutover, stopped: float) -> None:
    """`stopped` is when the API made its last write, in epoch seconds."""
    narrator = cutover.narrator
    narrator.step("The way back. The API stops writing. Before the legacy application may write, four checks:")
    replayed = cutover.run("replay").report["outcome"]
    cutover.check("No failed batch is left?", replayed if replayed not in ("nothing_to_do", "complete") else "")
    parked = [one["key"] for one in cutover.run("replay", "list").report if one["key"]]
    cutover.check("Nothing is parked?", [key for key in parked if _order(key) in cutover.ledger.orders])
    time.sleep(max(0.0, stopped + PROVEN_AFTER - time.time()))  # else the proven time would be before the stop
    code, report = cutover.run("verify")
    found = [one["key"] for one in report["findings"] if one["key"] and _order(one["key"]) in cutover.ledger.orders]
    cutover.check("Are both sides equal?", found)
    if code == DONE:
        through = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(stopped))
        early = report["verified_through"] if report["verified_through"][:19] < through else ""
        cutover.check(f"Is it proven up to {report['verified_through'][:19]}, after the last write?", early)
    cutover.untouched()


def _write_legacy_again(cutover: Cutover) -> None:
    narrator, ledger = cutover.narrator, cutover.ledger
    narrator.step(f"The legacy application writes again: {BACK} orders, old and new.")
    mine = [order_id for order_id in ledger.living if order_id in cutover.by_api]
    others = [order_id for order_id in ledger.living if order_id not in cutover.by_api]
    for order_id in [*mine[: BACK // 2 - 1], *others[: BACK // 2 - 1]]:
        cutover.legacy.change(order_id)
    cutover.legacy.create(2)
    cutover.untouched()


def _forwards_again(cutover: Cutover) -> None:
    narrator, ledger = cutover.narrator, cutover.ledger
    narrator.step("Forwards again. The legacy application stops, and the seed takes what it may.")
    counts = cutover.run("seed", "--since", "updated_at").report["counts"]
    narrator.say(
        f"{counts['reseeded']} items were brought to their rows, {counts['seeded']} are new, "
        f"{counts['existing']} belong to the API and were left."
    )
    left = cutover.shadow(ledger.orders)
    narrator.say(f"Left to bring to their rows, all written by the API before: {_kinds(left)}.")
    cutover.check("Has the API written each of them?", sorted(left.keys() - cutover.by_api))
    narrator.say("The API writes each of them with the values of its row. A repair would write the older item instead.")
    api = Api(cutover)
    for order_id in left:
        api.change(order_id, ledger.facts(order_id))
    cutover.check("Do table and MySQL become equal, row by row?", cutover.both_sides_differ())


def _verdict(cutover: Cutover) -> int:
    cutover.narrator.step("Was no write lost, and no newer one overwritten?")
    differing = cutover.ledger.differing(cutover.stack.access)
    found, _ = cutover.verify()
    if differing or found or cutover.failures:
        cutover.narrator.say(
            f"NO: orders that differ: {len(differing)}; {_kinds(found)}; {len(cutover.failures)} checks"
        )
        return FAILED
    living = len(cutover.ledger.living)
    cutover.narrator.say(f"Yes: {cutover.ledger.writes} writes, {living} orders, each as its last writer left it.")
    return HELD


def _order(key: str) -> str:
    """The id of an order by the text of its key: `order/<id>`."""
    return key.partition("/")[2]


def _kinds(found: dict[str, str]) -> str:
    """Such as `3 seed_outdated, 1 stranger`."""
    counts = Counter(found.values())
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "no difference"
