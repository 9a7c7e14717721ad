"""The steps of a replay, one function a state: a state goes in, the next one comes out, `outcome` names the way.

Only names, bucket keys and counts pass through the state machine (256 KiB is its limit). Every step may be
interrupted anywhere and called again with the same state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from common.bucket import Bucket, GoneError
from common.config import ConfigError
from common.database import DatabaseError, StopError
from common.layout import UNREADABLE, part_of
from common.telemetry import logger
from dlq_replayer import collect, report, settle, survey
from dlq_replayer.collect import Backlog, Collector
from dlq_replayer.drain import Drainer
from dlq_replayer.hydrate import QUEUE, Hydrated, Hydrator
from dlq_replayer.lock import Lock
from dlq_replayer.meter import Meter
from dlq_replayer.notes import read_done
from dlq_replayer.run import InputError, Run, State, check_input

# A stream forgets: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
_STREAM_REMEMBERS = timedelta(hours=24)


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The collaborators of every step. `hydrator(run)` is None where nothing but the bucket receives failures."""

    bucket: Bucket
    collector: Collector
    drainer: Drainer
    hydrator: Callable[[Run], Hydrator | None]
    lock: Lock
    concurrency: int
    database_wait_seconds: int
    out_of_time: Callable[[], bool]
    meter: Meter
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def start(self, state: State) -> State:
        """Input checked, lock taken: `go`, `already_running`, or `nothing_to_do`. Raises InputError.

        Without a look at the database: a schedule that finds nothing is done after this step.
        """
        given = state.get("input", {})
        check_input(given)
        run = {"name": state["name"], "arn": state["arn"], "started": state["started"], "input": given}
        self._demand_own_place(Run(**run))
        holder = self.lock.acquire(run["arn"])
        if holder:
            return {
                "outcome": "already_running",
                "message": "another replay is running; this one has touched nothing",
                "running": holder,
            }
        if not self._anything_failed(Run(**run)):
            self._tell_backlog(Backlog())
            self.lock.release(run["arn"])
            return report.nothing(Run(**run), self.clock())
        self.bucket.write_json(Run(**run).keys.start, run)
        return {"outcome": "go", "run": run, "waiting_since": None, "hydrated": {"messages": 0}}

    def _demand_own_place(self, run: Run) -> None:
        """An old replay's notes of what was done, under a name used again, would be taken for this one's."""
        key = run.keys.start
        try:
            started = self.bucket.read_json(key)["started"]
        except GoneError:
            return
        if started != run.started:
            raise InputError(f"a replay named {run.name} has run before; nothing was changed: start with another name")

    def _anything_failed(self, run: Run) -> bool:
        if self.collector.anything(run):
            return True
        hydrator = self.hydrator(run)
        return hydrator is not None and hydrator.anything()

    def hydrate(self, state: State) -> State:
        """Messages become batches in the bucket: `more` or `done`. Again after each wait for the database.

        The stream forgets while the database is away, so pointers are turned into records before it is asked for.
        """
        run, sofar = Run.of(state), state["hydrated"]
        hydrator = self.hydrator(run)
        limit = run.input.get("max_batches", 10_000_000) - sofar["messages"]
        seen_to = run.dry and state["waiting_since"]  # nothing left the queue, so the same would be counted again
        if hydrator is None or limit <= 0 or seen_to:
            return state | {"outcome": "done"}
        done = hydrator.run(limit, self.out_of_time)
        self._note_problems(run, done)
        self._tell_pointers(done)
        hydrated = {"messages": sofar["messages"] + done.messages}
        return state | {"outcome": "more" if done.more else "done", "hydrated": hydrated}

    def _tell_pointers(self, done: Hydrated) -> None:
        """How long the oldest pointer that was seen is good, whether it has left the queue or stays."""
        if done.oldest:
            left = done.oldest + _STREAM_REMEMBERS - self.clock()
            self.meter.gauge("pointer_seconds_left", left.total_seconds(), seconds=True)

    def _tell_backlog(self, backlog: Backlog) -> None:
        self.meter.gauge("batches_waiting", backlog.batches)
        self.meter.gauge("oldest_batch_seconds", backlog.seconds(self.clock()), seconds=True)

    def _note_problems(self, run: Run, done: Hydrated) -> None:
        """A message that stays is hidden from the next call or two: its problem is known until it has left."""
        key = run.keys.hydrate_problems
        try:
            known = {problem["source"]: problem for problem in self.bucket.read_json(key)}
        except GoneError:
            known = {}
        over = {QUEUE, *done.saved}
        kept = {source: problem for source, problem in known.items() if source not in over}
        found = {problem["source"]: problem for problem in done.problems}
        if known or found:
            self.bucket.write_json(key, list((kept | found).values()))

    def check(self, state: State) -> State:
        """Whether the database answers, by the same path as the consumer's: `up`, `down` or `gave_up`."""
        try:
            self.drainer.database.ping()
        except (DatabaseError, ConfigError) as error:
            return self._wait(state, error)
        return state | {"outcome": "up"}

    def _wait(self, state: State, error: Exception) -> State:
        since = state["waiting_since"] or self.clock().isoformat()
        waited = (self.clock() - datetime.fromisoformat(since)).total_seconds()
        self.meter.count({"stopped" if isinstance(error, StopError | ConfigError) else "held": 1})
        logger.warning("database does not answer", waited_seconds=int(waited), reason=str(error))
        outcome = "gave_up" if waited >= self.database_wait_seconds else "down"
        return state | {"outcome": outcome, "waiting_since": since, "reason": str(error)}

    def collect(self, state: State) -> State:
        """A part of the backlog becomes runs of the splits: `more` or `done`."""
        run, at = Run.of(state), state.get("collected", {})
        if "splits" not in at:
            return state | {"outcome": "more", "collected": self._before_collecting(run, at)}
        left = run.input.get("max_batches", 10_000_000) - at["counts"].get("batches", 0)
        part, cursor = self.collector.collect(run, at["cursor"], at["splits"], left, self.out_of_time)
        collect.write(self.bucket, run, part, at["parts"], at["splits"])
        if not run.dry:
            skipped = {name: part.counts[name] for name in ("ttl_delete", "other_item")}
            self.meter.count({"received": part.counts["records"]} | skipped)
        counts = Counter(at["counts"]) + part.counts + Counter(problems=len(part.problems), unreadable=len(part.parked))
        collected = at | {"cursor": cursor, "parts": at["parts"] + 1, "counts": dict(counts)}
        return state | {"outcome": "more" if cursor else "done", "collected": collected}

    def _before_collecting(self, run: Run, at: State) -> State:
        """The number of splits, fixed by calls of its own: tried again, collecting must not hash keys otherwise."""
        backlog = self.collector.measure(run, Backlog(**at.get("measured", {})), self.out_of_time)
        if backlog.cursor:
            return {"measured": backlog._asdict()}
        self._tell_backlog(backlog)
        workers = min(run.input.get("concurrency", self.concurrency), 40)
        splits = backlog.splits(workers)
        return {
            "splits": splits, "workers": workers, "cursor": {"prefix": 0, "after": ""}, "parts": 0, "counts": {},
        }  # fmt: skip

    def plan(self, state: State) -> State:
        """What there is to do: `nothing`, `go` with a lane for each worker, or, of a dry run, `more` and `planned`."""
        run, collected = Run.of(state), state["collected"]
        if not collected["counts"].get("batches"):
            return state | {"outcome": "nothing"}
        if run.dry:
            return self._survey(run, state)
        # Without the input, which may name a thousand keys: forty copies of it would pass the limit.
        run_alone = state["run"] | {"input": {}}
        lanes = [
            {
                "run": run_alone,
                "lane": lane,
                "lanes": collected["workers"],
                "splits": collected["splits"],
                "waiting_since": None,
            }
            for lane in range(min(collected["workers"], collected["splits"]))
        ]
        return state | {"outcome": "go", "lanes": lanes}

    def _survey(self, run: Run, state: State) -> State:
        sofar = state.get("surveyed") or {"next": 0, "counts": {}}
        counts, split = Counter(sofar["counts"]), sofar["next"]
        while split < state["collected"]["splits"]:
            counts += survey.survey(self.drainer, run, split)
            split += 1
            if self.out_of_time():
                break
        outcome = "planned" if split >= state["collected"]["splits"] else "more"
        return state | {"outcome": outcome, "surveyed": {"next": split, "counts": dict(counts)}}

    def drain(self, lane: State) -> State:
        """A worker's splits: `done`, `more` when time ran out, `waiting` or `gave_up` when the database is away.

        Time may run out in the middle of a split, which all changes of a hot key share.
        """
        run = Run.of(lane)
        mine = list(range(lane["lane"], lane["splits"], lane["lanes"]))
        if lane["lane"] == 0:
            mine.insert(0, UNREADABLE)
        first = lane.get("position", 0)
        for position in range(first, len(mine)):
            more = lane | {"outcome": "more", "position": position, "waiting_since": None}
            if position > first and self.out_of_time():  # however short the time, a call gets something further
                return more
            try:
                if not self.drainer.drain(run, mine[position], self.out_of_time):
                    return more
            except (DatabaseError, ConfigError) as error:
                waiting = self._wait(lane, error)
                return waiting | {
                    "outcome": "waiting" if waiting["outcome"] == "down" else "gave_up",
                    "position": position,
                }
            lane = lane | {"waiting_since": None}
        return {"outcome": "done", "lane": lane["lane"]}

    def settle(self, state: State) -> State:
        """Failed batches of which every record is accounted for leave: `more` or `done`."""
        run, state = Run.of(state), self._without_lanes(state)
        notes = read_done(self.bucket, run)
        at = state.get("settled") or {"after": "", "settled": 0, "left": 0}
        for key, _ in self.bucket.list(run.keys.manifests, at["after"]):
            part = settle.settle_part(self.bucket, run, notes, key)
            if part.problems:
                self.bucket.write_json(run.keys.settle_problems(part_of(key)), part.problems)
            at = {"after": key, "settled": at["settled"] + part.settled, "left": at["left"] + part.left}
            if self.out_of_time():
                return state | {"outcome": "more", "settled": at}
        return state | {"outcome": "done", "settled": at}

    @staticmethod
    def _without_lanes(state: State) -> State:
        """Of what the lanes gave back, only why one of them gave up is still of use; a killed one gave back nothing."""
        rest = {name: value for name, value in state.items() if name not in ("lanes", "drained")}
        reasons = [lane["reason"] for lane in state.get("drained", ()) if lane and lane.get("outcome") == "gave_up"]
        return rest | ({"reason": reasons[0]} if reasons else {})

    def report(self, state: State) -> State:
        """The execution's output, which also lies in the bucket, as JSON and as a page; gives the lock back."""
        run = Run.of(state)
        made = report.make(self.bucket, run, state, self.clock())
        self._tell_backlog(self.collector.waiting(self.out_of_time))
        self.lock.release(run.arn)
        if not run.dry:  # last of all: a step that is tried again must not count again
            self.meter.count({name: made["counts"][name] for name in ("expired", "problems")})
        return made

    def step(self, action: str, state: State) -> State:
        steps: dict[str, Callable[[State], State]] = {
            "start": self.start, "check": self.check, "hydrate": self.hydrate, "collect": self.collect,
            "plan": self.plan, "drain": self.drain, "settle": self.settle, "report": self.report,
        }  # fmt: skip
        return steps[action](state)
