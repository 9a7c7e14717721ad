"""A world in which everything happens at once: writes, delivery, outages, replays, loads, repairs, strangers, deaths.

Between any two calls of a job the world may act. `trail` says what happened, in its order.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tests.support.load import LoadExecution
from tests.support.records import START, TTL_IDENTITY, record
from tests.support.replay import Killed, ReplayExecution, StoppedError, applied, change
from tests.support.tables import Rows
from tests.support.verify import VerifyHarness

KEYS = [f"k{number}" for number in range(4)]


class World(VerifyHarness):
    """Orders. The lag that a verification hears of is the truth: the age of the oldest record that waits."""

    def __init__(self, server: Any, tables: Any, rng: random.Random, *, loads: bool) -> None:
        self.waiting: list[tuple[float, dict[str, Any]]] = []  # when a record was made, and the record
        super().__init__(server, tables, concurrency=2, database_wait_seconds=100_000)
        self.rng, self.loads, self.number = rng, loads, 0
        self.delivered: list[dict[str, Any]] = []
        self.items: dict[str, tuple[str, int]] = {}  # of each key: put, delete or expire, and its number
        self.trail: list[Any] = []
        self.is_acting = self.is_quiet = False
        self._stalled_until = 0.0
        call = self.faults.call

        def watched(work: Callable[..., Any], *args: Any, **options: Any) -> Any:
            self.perhaps_act()
            return call(work, *args, **options)

        self.faults.call = watched  # type: ignore[method-assign]

    @property
    def lag(self) -> float | None:  # type: ignore[override]
        return self.clock.seconds() - self.waiting[0][0] if self.waiting else 0.0

    @lag.setter
    def lag(self, value: float | None) -> None:
        """It follows from what waits."""

    def check(self) -> None:
        """A stranger may delete a row, so that it is written twice."""

    def perhaps_act(self) -> None:
        """What is dead stays dead, and the world goes on."""
        if self.is_acting or self.is_quiet or self.rng.random() > 0.4:
            return
        self.is_acting = True
        dead, self.faults.dead = self.faults.dead, False
        try:
            self.act()
        finally:
            self.is_acting = False
            self.faults.dead = dead or self.faults.dead

    def act(self) -> None:
        self.clock.advance(self.rng.choice([0, 0, 1, 5]))
        acts: dict[Callable[[], None], float] = {
            self._write: 4,
            self._deliver_some: 6,
            self._deliver_again: 0.5,
            self._fail_a_batch: 0.2,
            self._corrupt: 0.5,
            self._kill: 0.2,
            self._pass_time: 0.4,
            self._stall: 0.6,
            self._run_another_job: 0.15,
        }
        [act] = self.rng.choices(list(acts), list(acts.values()))
        act()

    # The application and the stream

    def _write(self) -> None:
        key = self.rng.choice(KEYS)
        self.number += 1
        kind, number = self.items.get(key, ("", 0))
        exists = kind == "put"
        what = self.rng.choice(["put", "put", "delete", "expire"]) if exists else "put"
        if what == "put":
            made = change(key, self.number, time=START + self.number)
            made["eventName"] = "MODIFY" if exists else "INSERT"
            self.table.put(made["dynamodb"]["NewImage"])
        else:
            identity = TTL_IDENTITY if what == "expire" else None
            made = record(key, self.number, "REMOVE", identity=identity, time=START + self.number)
            self.table.delete(made["dynamodb"]["Keys"])
        self.items[key] = (what, number if what == "expire" else self.number)
        self.trail.append((what, key, self.number))
        self.waiting.append((self.clock.seconds(), made))

    def put_unseen(self, key: str) -> None:
        """An item of before the stream."""
        self.number += 1
        self.table.put(change(key, self.number)["dynamodb"]["NewImage"])
        self.items[key] = ("put", self.number)

    @property
    def _is_stalled(self) -> bool:
        return self.clock.seconds() < self._stalled_until

    def _deliver_some(self) -> None:
        if self.waiting and not self._is_stalled:
            self.deliver_first(self.rng.choice([1, 1, 1, self.rng.randint(1, len(self.waiting))]))

    def deliver_first(self, count: int) -> None:
        part, self.waiting = self.waiting[:count], self.waiting[count:]
        if part:
            self.deliver(*(made for _, made in part))
            self.delivered += [made for _, made in part]
            self.trail.append(("deliver", len(part)))

    def _deliver_again(self) -> None:
        if self.delivered:
            self.deliver(*self.rng.sample(self.delivered, min(len(self.delivered), 3)))
            self.trail.append("deliver again")

    def _fail_a_batch(self) -> None:
        if self.waiting and not self._is_stalled:
            count = self.rng.randint(1, len(self.waiting))
            part, self.waiting = self.waiting[:count], self.waiting[count:]
            self.put_batch([made for _, made in part])
            self.trail.append(("a batch fails", count))

    def _stall(self) -> None:
        self._stalled_until = self.clock.seconds() + self.rng.choice([50, 100, 400])
        self.trail.append("the stream stands still")

    def _pass_time(self) -> None:
        self.clock.advance(self.rng.choice([30, 70, 200]))

    # Strangers, deaths and jobs

    def _corrupt(self) -> None:
        key = self.rng.choice(KEYS)
        statement = self.rng.choice(["UPDATE tbl_orders SET status = 'X'", "DELETE FROM tbl_orders"])
        self.tables.run(f"{statement} WHERE order_id = '{key}'")
        self.trail.append((statement, key))

    def _kill(self) -> None:
        self.faults.kill(self.rng.randint(1, 4), self.rng.choice(["before", "after"]))

    def _run_another_job(self) -> None:
        """A whole execution between two calls of another, as if neither had a lock."""
        running, self.executions.status = self.executions.status, {}
        self.run_any_job()
        self.executions.status = running | self.executions.status

    def run_any_job(self) -> None:
        kind = self.rng.choice(["verify", "verify", "replay", *(["load"] * 2 * self.loads)])
        self.trail.append(("run", kind))
        if kind == "replay":
            self.run_job(ReplayExecution(self))
        else:
            slice_ = self.rng.choice(["1/1", "1/1", "1/2", "2/2"])
            options = {"repair": True, "slice": slice_} if kind == "verify" else {}
            self.run_job(LoadExecution(self, options, job=kind))

    def run_job(self, execution: Any) -> None:
        """To its end, or until it is killed too often."""
        execution.on_wait = self._while_waiting
        try:
            while execution.action:
                self.executions.status[execution.arn] = "RUNNING"
                execution.step()
            self.executions.status[execution.arn] = "SUCCEEDED"
        except (StoppedError, Killed):
            execution.stop()
            self.faults.revive()
            self.database.drop()

    def _while_waiting(self) -> None:
        if self.is_acting:  # in a job between two calls nothing else acts, so the stream would stand still for ever
            self.deliver_first(len(self.waiting))
        self.perhaps_act()

    # The end

    def come_to_rest(self) -> None:
        """Everything is delivered and replayed, and nothing more happens."""
        self.is_quiet = True
        self.faults.kill_none()
        self.faults.revive()
        self.deliver_first(len(self.waiting))
        self.executions.status = dict.fromkeys(self.executions.status, "ABORTED")
        self.run_job(ReplayExecution(self))
        self.clock.advance(500)

    @property
    def kept(self) -> set[str]:
        """Keys of rows that may be as they are: their items expired, and nobody knows what they should be."""
        return {key for key, (kind, _) in self.items.items() if kind == "expire"}

    def expected(self) -> Rows:
        return [applied(key, number) for key, (kind, number) in sorted(self.items.items()) if kind == "put"]

    def rows_of_items(self) -> Rows:
        return [row for row in self.tables.orders() if row[0] not in self.kept]

    def assert_nothing_went_back(self) -> None:
        for name, column in (("target_log", "seq"), ("sidecar_log", "version")):
            seen: dict[str, Any] = {}
            for key, found in self.tables.run(f"SELECT item_key, {column} FROM {name} ORDER BY item_key, id"):
                assert key not in seen or seen[key] <= found, f"{name}: {key} went back from {seen[key]} to {found}"
                seen[key] = found
