"""The steps of a replay, one method each: it takes the current state and returns the next one.

Each may be interrupted anywhere and called again with the same state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from common.bucket import Bucket, GoneError
from common.config import ConfigError
from common.database import DatabaseError
from common.layout import UNREADABLE, part_of
from common.lock import Lock
from common.meter import Meter, counts_of
from common.records import UNMAPPED_ITEM
from common.telemetry import UNMAPPED_ATTRIBUTES, logger
from dlq_replayer import report, settle
from dlq_replayer.backlog import Backlog, list_backlog, measure, prefixes_of
from dlq_replayer.collect import Collector
from dlq_replayer.documents import ReplayProblem, Report
from dlq_replayer.drain import Drainer
from dlq_replayer.hydrate import QUEUE, Hydrated, Hydrator
from dlq_replayer.progress import read_results
from dlq_replayer.replay import InputError, Replay, check_input, require_keys
from dlq_replayer.splits import OtherBuildError
from dlq_replayer.states import (
    AlreadyRunning,
    CollectedState,
    LaneEnd,
    LaneState,
    ReplayDescription,
    ReplayState,
    SettledState,
    StartState,
    SurveyedState,
)
from dlq_replayer.survey import survey

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
_STREAM_RETENTION = timedelta(hours=24)
_MOST_BATCHES = 10_000_000  # as in input.schema.json
_MOST_WORKERS = 40
_PROGRESS = "replay_progress"


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What the steps use. `hydrator(replay)` is None where there is no queue. `verify` is as in `report`."""

    bucket: Bucket
    collector: Collector
    drainer: Drainer
    hydrator: Callable[[Replay], Hydrator | None]
    verify: report.Verify
    lock: Lock
    concurrency: int
    database_wait_seconds: int
    out_of_time: Callable[[], bool]
    meter: Meter
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def step(self, action: str, state: Any) -> Any:
        steps: dict[str, Callable[[Any], Any]] = {
            "start": self.start, "check": self.check, "hydrate": self.hydrate, "collect": self.collect,
            "plan": self.plan, "drain": self.drain, "settle": self.settle, "report": self.report,
        }  # fmt: skip
        return steps[action](state)

    def start(self, state: StartState) -> ReplayState | AlreadyRunning | Report:
        """Check the input and take the lock: `go`, `already_running` or `nothing_to_do`. Raises InputError.

        It does not use the database: a scheduled replay that finds nothing ends with this step.
        """
        checked = check_input(state.get("input", {}))
        require_keys(checked, self.collector.mapping)
        description: ReplayDescription = {
            "name": state["name"],
            "arn": state["arn"],
            "started": state["started"],
            "input": checked,
        }
        replay = Replay.of(description)
        self._require_new_name(replay)
        holder = self.lock.acquire(replay.arn)
        if holder:
            return {
                "outcome": "already_running",
                "message": "another replay is running; this one has changed nothing",
                "running": holder,
            }
        if not self._has_failures(replay):
            self.lock.release(replay.arn)
            return report.nothing_to_do(replay, self.clock())
        self.bucket.write_json(replay.keys.start, description)
        return {"outcome": "go", "run": description, "waiting_since": None, "hydrated": {"messages": 0}}

    def _require_new_name(self, replay: Replay) -> None:
        """The files of an older replay of the same name would be taken for those of this one."""
        try:
            started = self.bucket.read_json(replay.keys.start)["started"]
        except GoneError:
            return
        if started != replay.started:
            problem = f"a replay named {replay.name} has run before; nothing was changed"
            raise InputError(f"{problem}: start one with another name")

    def _has_failures(self, replay: Replay) -> bool:
        if any(True for _ in list_backlog(self.bucket, prefixes_of(replay))):
            return True
        hydrator = self.hydrator(replay)
        return hydrator is not None and hydrator.has_messages()

    def hydrate(self, state: ReplayState) -> ReplayState:
        """Turn queue messages into batches in the bucket: `more` or `done`.

        It runs before the database is checked, and again after each wait: the stream goes on trimming records.
        """
        replay, messages = Replay.of(state["run"]), state["hydrated"]["messages"]
        hydrator = self.hydrator(replay)
        limit = replay.input.get("max_batches", _MOST_BATCHES) - messages
        is_counted = replay.dry and state["waiting_since"]  # a dry run leaves the messages in the queue
        if hydrator is None or limit <= 0 or is_counted:
            return {**state, "outcome": "done"}
        done = hydrator.hydrate(limit, self.out_of_time)
        self._write_problems(replay, done)
        self._gauge_pointers(done)
        outcome = "more" if done.more else "done"
        return {**state, "outcome": outcome, "hydrated": {"messages": messages + done.messages}}

    def _gauge_pointers(self, done: Hydrated) -> None:
        """The time until the stream trims the records of the oldest message that was read."""
        if done.oldest:
            left = done.oldest + _STREAM_RETENTION - self.clock()
            self.meter.gauge("pointer_seconds_left", left.total_seconds(), seconds=True)

    def _write_problems(self, replay: Replay, done: Hydrated) -> None:
        """Keep a message's problem until it is stored: a call or two after this one may not receive the message."""
        key = replay.keys.hydrate_problems
        try:
            stored: list[ReplayProblem] = self.bucket.read_json(key)
        except GoneError:
            stored = []
        solved = {QUEUE, *done.saved}
        kept = {problem["source"]: problem for problem in stored if problem["source"] not in solved}
        found = {problem["source"]: problem for problem in done.problems}
        if stored or found:
            self.bucket.write_json(key, list((kept | found).values()))

    def check(self, state: ReplayState) -> ReplayState:
        """Whether the database answers, by the path that the consumer takes: `up`, `down` or `gave_up`."""
        try:
            self.drainer.database.ping()
        except (DatabaseError, ConfigError) as error:
            outcome, since = self._wait(state["waiting_since"], error)
            return {**state, "outcome": outcome, "waiting_since": since, "reason": str(error)}
        return {**state, "outcome": "up"}

    def _wait(self, waiting_since: str | None, error: Exception) -> tuple[str, str]:
        """`down` or, past the limit, `gave_up`; and since when the replay or lane waits."""
        since = waiting_since or self.clock().isoformat()
        waited = (self.clock() - datetime.fromisoformat(since)).total_seconds()
        self.meter.count(counts_of(error))
        logger.warning("database does not answer", waited_seconds=int(waited), reason=str(error))
        return "gave_up" if waited >= self.database_wait_seconds else "down", since

    def collect(self, state: ReplayState) -> ReplayState:
        """Collect one part of the backlog into the splits: `more` or `done`."""
        replay, collected = Replay.of(state["run"]), state.get("collected", {})
        if "splits" not in collected:
            return {**state, "outcome": "more", "collected": self._measure(replay, collected)}
        counts, number = Counter(collected["counts"]), collected["parts"]
        batches_left = replay.input.get("max_batches", _MOST_BATCHES) - counts["batches"]
        part, cursor = self.collector.collect(
            replay, _key(collected["cursor"]), collected["splits"], batches_left, self.out_of_time
        )
        self.collector.write(replay, part, number, collected["splits"])
        if unmapped := self.collector.take_unmapped_attributes():
            logger.warning(UNMAPPED_ATTRIBUTES, attributes=unmapped)
        if not replay.dry:
            counted = {UNMAPPED_ITEM: part.counts[UNMAPPED_ITEM], "unmapped_attribute": len(unmapped)}
            self.meter.count({"received": part.counts["records"]} | counted)
        counts += part.counts + Counter(problems=len(part.problems), unreadable=len(part.unreadable))
        after: CollectedState = {**collected, "cursor": cursor, "parts": number + 1, "counts": dict(counts)}
        return {**state, "outcome": "more" if cursor else "done", "collected": after}

    def _measure(self, replay: Replay, collected: CollectedState) -> CollectedState:
        """Fix the number of splits before anything is collected: a call that is retried must hash keys alike."""
        so_far = Backlog()
        if measured := collected.get("measured"):
            so_far = Backlog(_key(measured["cursor"]), measured["size"], measured["batches"])
        backlog = measure(self.bucket, prefixes_of(replay), so_far, self.out_of_time)
        if backlog.cursor:
            return {"measured": backlog.to_state()}
        workers = min(replay.input.get("concurrency", self.concurrency), _MOST_WORKERS)
        splits = backlog.splits(workers, len(self.collector.mapping.entities))
        return {"splits": splits, "workers": workers, "cursor": "", "parts": 0, "counts": {}}

    def plan(self, state: ReplayState) -> ReplayState:
        """`nothing`, `go` with a lane for each worker, or, in a dry run, `more` and `planned`.

        A dry run raises OtherBuildError after an upgrade.
        """
        replay, collected = Replay.of(state["run"]), state["collected"]
        if not collected["counts"].get("batches"):
            return {**state, "outcome": "nothing"}
        if replay.dry:
            return self._survey(replay, state)
        # A lane goes without the input: forty copies of a thousand keys would exceed the limit of a state.
        description: ReplayDescription = {**state["run"], "input": {}}
        lanes: list[LaneState] = [
            {
                "run": description,
                "lane": lane,
                "lanes": collected["workers"],
                "splits": collected["splits"],
                "waiting_since": None,
            }
            for lane in range(min(collected["workers"], collected["splits"]))
        ]
        self.meter.progress(_PROGRESS, 0.0)
        return {**state, "outcome": "go", "lanes": lanes}

    def _survey(self, replay: Replay, state: ReplayState) -> ReplayState:
        splits = state["collected"]["splits"]
        so_far: SurveyedState = state.get("surveyed") or {"next": 0, "counts": {}}
        counts, split = Counter(so_far["counts"]), so_far["next"]
        while split < splits:
            counts += survey(self.drainer, replay, split)
            split += 1
            if self.out_of_time():
                break
        outcome = "planned" if split >= splits else "more"
        return {**state, "outcome": outcome, "surveyed": {"next": split, "counts": dict(counts)}}

    def drain(self, lane: LaneState) -> LaneState | LaneEnd:
        """Drain a lane's splits: `done`, `more` when time ran out, `waiting` or `gave_up` when the database is away.

        Time may run out inside a split: all changes of a hot key are in one. A lane also gives up splits that another
        build has collected.
        """
        replay = Replay.of(lane["run"])
        splits = list(range(lane["lane"], lane["splits"], lane["lanes"]))
        if lane["lane"] == 0:
            splits.insert(0, UNREADABLE)
        first = lane.get("position", 0)
        waiting_since = lane["waiting_since"]
        for position in range(first, len(splits)):
            more: LaneState = {**lane, "outcome": "more", "position": position, "waiting_since": None}
            if position > first and self.out_of_time():  # a call always gets something done
                return more
            try:
                if not self.drainer.drain(replay, splits[position], self.out_of_time):
                    return more
                self._gauge_progress(replay, lane["splits"])
            except OtherBuildError as error:
                return {"outcome": "gave_up", "lane": lane["lane"], "reason": str(error)}
            except (DatabaseError, ConfigError) as error:
                outcome, since = self._wait(waiting_since, error)
                return {
                    **lane,
                    "outcome": "waiting" if outcome == "down" else outcome,
                    "position": position,
                    "waiting_since": since,
                    "reason": str(error),
                }
            waiting_since = None
        return {"outcome": "done", "lane": lane["lane"]}

    def _gauge_progress(self, replay: Replay, splits: int) -> None:
        """The drained splits, of all that the lanes share and that of the unreadable records."""
        drained = sum(1 for _ in self.bucket.list(replay.keys.results))
        self.meter.progress(_PROGRESS, round(100 * drained / (splits + 1), 1))

    def settle(self, state: ReplayState) -> ReplayState:
        """Move the batches of which every record is accounted for: `more` or `done`."""
        replay = Replay.of(state["run"])
        state = self._without_lanes(state)
        results = read_results(self.bucket, replay)
        settled: SettledState = {"cursor": "", "settled": 0, "left": 0}
        if (so_far := state.get("settled")) and "cursor" in so_far:  # an older release named it otherwise
            settled = so_far
        for key, _ in self.bucket.list(replay.keys.manifests, settled["cursor"]):
            part = settle.settle_part(self.bucket, replay, results, key)
            if part.problems:
                self.bucket.write_json(replay.keys.settle_problems(part_of(key)), part.problems)
            settled = {
                "cursor": key,
                "settled": settled["settled"] + part.settled,
                "left": settled["left"] + part.left,
            }
            if self.out_of_time():
                return {**state, "outcome": "more", "settled": settled}
        return {**state, "outcome": "done", "settled": settled}

    @staticmethod
    def _without_lanes(state: ReplayState) -> ReplayState:
        """The state with only the reason why a lane gave up. A lane that was killed left None."""
        reasons = [lane["reason"] for lane in state.get("drained", ()) if lane and lane["outcome"] == "gave_up"]
        rest = state.copy()
        rest.pop("lanes", None)
        rest.pop("drained", None)
        if reasons:
            rest["reason"] = reasons[0]
        return rest

    def report(self, state: ReplayState) -> Report:
        """Write the report, release the lock, and return the execution's output."""
        replay = Replay.of(state["run"])
        made = report.make(self.bucket, replay, state, self.clock(), self.verify)
        self.lock.release(replay.arn)
        if not replay.dry:  # last: a step that is retried must not count twice
            self.meter.count({name: made["counts"][name] for name in ("expired", "problems")})
        return made


def _key(cursor: Any) -> str:
    """The key in the cursor of a listing; an older release passed {"prefix", "after"}."""
    return str(cursor["after"] if isinstance(cursor, dict) else cursor or "")
