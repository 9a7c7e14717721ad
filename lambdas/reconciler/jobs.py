"""The steps that all jobs have, one method each: it takes the current state and returns the next one.

Each may be interrupted anywhere and called again with the same state. A run that was stopped goes on where it was, in
the same execution (redrive) or in a new one. Each step but the report takes the lock: an execution that was stopped has
lost it to the one after it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from collections.abc import Mapping as Json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from common.bucket import Bucket, GoneError
from common.config import ConfigError
from common.database import Database, DatabaseError
from common.layout import RunKeys, open_run_key
from common.lock import Lock
from common.mapping import Mapping
from common.meter import Meter, counts_of
from common.telemetry import logger
from reconciler.estimate import estimate, rate_of
from reconciler.progress import read_lanes, rest_lane
from reconciler.run import InputError, LostRunError, NotReadyError, StageStoppedError, check_input
from reconciler.states import (
    Estimate,
    LaneState,
    NotStarted,
    RunDescription,
    RunInput,
    RunState,
    StartState,
    StopReason,
)
from reconciler.table import Table, TableFacts

_LONGEST_REASON = 1_000
# How long a lane waits for what is in flight, and a stage for what it needs.
_MOST_WAIT_SECONDS = 3 * 3_600
MOST_STAGE_SECONDS = 6 * 3_600
# The bucket expires a file 30 days after it was written. A run that is older than this may lose those of its start.
_OLDEST_RUN = timedelta(days=28)
_SHARED_INPUT = RunInput.__annotations__


@dataclass(frozen=True, kw_only=True)
class JobSteps(ABC):
    """What the steps use. `consumer_state` gives the state of the event source mapping."""

    job: ClassVar[str]
    schema: ClassVar[Path]

    bucket: Bucket
    mapping: Mapping
    database: Database
    table: Table
    stream_arn: str
    consumer_state: Callable[[], str]
    lock: Lock
    meter: Meter
    concurrency: int
    on_demand_rate: int
    database_wait_seconds: int
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    # What a job decides

    def require(self, checked: RunInput) -> None:  # noqa: B027 - a job may have nothing more to check
        """Raises InputError or NotReadyError for what only this job needs. Does not ask the database."""

    def may_go_on(self, checked: RunInput) -> bool:
        """Whether a run that was stopped may be continued instead of a new one."""
        return not checked.get("restart")

    def resolve(self, checked: RunInput, unfinished: RunDescription | None) -> RunInput:  # noqa: ARG002
        """The input with what it leaves to the job. `unfinished` is a run that may go on, if the options are its."""
        return checked

    def extend(self, run: RunDescription, facts: TableFacts) -> RunDescription:  # noqa: ARG002
        """The description of a new run with what only this job has. Raises InputError, NotReadyError, DatabaseError."""
        return run

    def plans_only(self, checked: RunInput) -> bool:
        """Whether the execution ends with `planned`."""
        return checked.get("dry_run", False)

    def rate(self, facts: TableFacts, checked: RunInput) -> float:
        """The most units of the table to consume in a second."""
        return rate_of(facts, checked.get("read_units_per_second"), self.on_demand_rate)

    def prepare_stage(self, run: RunDescription, stage: int) -> str:  # noqa: ARG002
        """Write what the lanes of a stage need, if it is not there: `go` when it is there.

        `more` when time ran out: then call it again. `waiting` for another service: then call it again later.
        Raises HoldError, StopError or StageStoppedError.
        """
        return "go"

    @abstractmethod
    def segments(self, facts: TableFacts, lanes: int, checked: RunInput) -> int:
        """How many segments the table is read in."""

    @abstractmethod
    def estimate(self, facts: TableFacts, rate: float, run: RunDescription) -> Estimate: ...

    def planned(self, run: RunDescription, arn: str) -> Json[str, Any]:
        """The report of a dry run, of a job where `plans_only` may be true."""
        raise NotImplementedError

    @abstractmethod
    def walk_lane(self, lane: LaneState) -> str:
        """A lane's part of a stage: `done`, `more` when time ran out, or `waiting`.

        Raises HoldError, StopError or StageStoppedError.
        """

    @abstractmethod
    def next_stage(self, state: RunState) -> RunState:
        """After a stage that all lanes have finished: `more` for the next one, or `done`. Asks no database."""

    @abstractmethod
    def make_report(self, state: RunState) -> Json[str, Any]:
        """Write the report. Its `outcome` is `complete` where the run is finished."""

    # The steps

    def step(self, action: str, state: Any) -> Any:
        steps: dict[str, Callable[[Any], Any]] = {
            "start": self.start, "check": self.check, "walk": self.walk, "next": self.next, "report": self.report,
        }  # fmt: skip
        return steps[action](state)

    def start(self, state: StartState) -> RunState | NotStarted | Json[str, Any]:
        """Check the input and what the job needs, and take the lock: `go`, `already_running` or `planned`.

        Raises InputError and NotReadyError.
        """
        checked = check_input(state.get("input", {}), self.schema)
        facts = self.table.facts()
        self._require_live(facts)
        self.require(checked)
        plans_only = self.plans_only(checked)
        if not plans_only:
            holder = self.lock.acquire(state["arn"])
            if holder:
                message = "another load, verification, seed or prune is running; this one has changed nothing"
                return {"outcome": "already_running", "message": message, "running": holder}
        rate = self.rate(facts, checked)
        try:
            run = self._plan(state, checked, facts, rate)
        except DatabaseError as error:
            self.lock.release(state["arn"])
            raise NotReadyError(f"the database is needed to plan a {self.job}, and does not answer: {error}") from None
        except (InputError, NotReadyError):
            self.lock.release(state["arn"])
            raise
        if plans_only:
            return self.planned(run, state["arn"])
        self.bucket.write_json(self.keys(run).start, run)
        self.bucket.write_json(open_run_key(self.job), {"run": run["name"]})
        return {"outcome": "go", "arn": state["arn"], "run": run, "rate": rate, "stage": 0, "waiting_since": None}

    def _plan(self, state: StartState, checked: RunInput, facts: TableFacts, rate: float) -> RunDescription:
        """The run that goes on, or a new one. Raises InputError, NotReadyError and DatabaseError."""
        unfinished = self._unfinished_run() if self.may_go_on(checked) else None
        checked = self.resolve(checked, unfinished)
        goes_on = unfinished and unfinished["options"] == options_of(checked)
        run = unfinished if unfinished and goes_on else self._new_run(state, checked, facts)
        run["estimate"] = self.estimate(facts, rate, run)
        return run

    def keys(self, run: RunDescription) -> RunKeys:
        return RunKeys(self.job, run["name"])

    def _require_live(self, facts: TableFacts) -> None:
        """A change that is made meanwhile must reach the stream, and the stream must be read."""
        if facts.stream_arn != self.stream_arn:
            problem = f"its stream is {facts.stream_arn}" if facts.stream_arn else "its stream is off"
            raise NotReadyError(
                f"the table {self.table.name} does not feed the stream of this pipeline: {problem}: enable the stream,"
                f" apply the pipeline with it, then start the {self.job} again"
            )
        state = self.consumer_state()
        if state not in ("Enabled", "Enabling", "Updating"):
            raise NotReadyError(
                f"the event source mapping of the consumer is {state}: enable it, then start the {self.job} again;"
                " changes that are made meanwhile would not reach MySQL"
            )

    def _unfinished_run(self) -> RunDescription | None:
        """The run that an earlier execution has left unfinished, of this deployment, if all its files are there."""
        name = self._open_run()
        try:
            run: RunDescription | None = self.bucket.read_json(RunKeys(self.job, name).start) if name else None
        except GoneError:
            return None
        return run if run and self._is_ours(run) and not self.is_old(run) else None

    def _open_run(self) -> str:
        """The name of the run that the next execution goes on with; empty without one."""
        try:
            return str(self.bucket.read_json(open_run_key(self.job))["run"])
        except GoneError:
            return ""

    def is_old(self, run: RunDescription) -> bool:
        """Whether the bucket may expire the first files of the run."""
        return self.clock() - datetime.fromisoformat(run["started"]) >= _OLDEST_RUN

    def _is_ours(self, run: RunDescription) -> bool:
        """Whether the run is of this mapping and this stream.

        Another mapping makes other rows. Another stream may be that of another table, of which the run has read
        nothing, and changes between two streams of one table never reach MySQL.
        """
        return (run["mapping"], run.get("stream")) == (self.mapping.digest, self.stream_arn)

    def _require_ours(self, run: RunDescription) -> None:
        """Raises LostRunError."""
        if not self._is_ours(run):
            raise LostRunError(
                f"another mapping or stream was deployed after the {self.job} had begun: start it again, and it begins"
                " anew"
            )

    def _new_run(self, state: StartState, checked: RunInput, facts: TableFacts) -> RunDescription:
        lanes = checked.get("concurrency", self.concurrency)
        run: RunDescription = {
            "name": state["name"],
            "started": state["started"],
            "lanes": lanes,
            "segments": self.segments(facts, lanes, checked),
            "levels": list(self.database.levels()),
            "mapping": self.mapping.digest,
            "stream": self.stream_arn,
            "estimate": estimate(facts, 1.0, 1),
            "options": options_of(checked),
        }
        return self.extend(run, facts)

    def _taken(self, arn: str) -> str:
        """Take the lock again. Returns why this execution has to end; empty where it has the lock."""
        holder = self.lock.acquire(arn)
        if not holder:
            return ""
        return f"another execution has taken over, and this one has ended: see {holder}"

    # The database

    def check(self, state: RunState) -> RunState:
        """Prepare a stage: `go` with a lane for each worker, or `more` and `waiting` as `prepare_stage`.

        `down` and `gave_up` without the database, `stopped` for another reason. No other step between the stages asks
        the database, because this one waits for it.
        """
        run = state["run"]
        if taken := self._taken(state["arn"]):
            return {**state, "outcome": "stopped", "waiting_since": None, "reason": taken}
        try:
            self._require_ours(run)
            self.database.ping()
            outcome = self.prepare_stage(run, state["stage"])
        except (DatabaseError, ConfigError) as error:
            outcome, since = self._wait(state["waiting_since"], error)
            return {**state, "outcome": outcome, "waiting_since": since, "reason": _short(error)}
        except StageStoppedError as error:
            return {**state, "outcome": "stopped", "waiting_since": None, **_stop(error)}
        if outcome == "waiting":
            return self._wait_for_stage(state)
        if outcome == "more":
            return {**state, "outcome": "more", "waiting_since": None}
        lanes: list[LaneState] = [
            {
                "arn": state["arn"],
                "run": run,
                "stage": state["stage"],
                "lane": lane,
                "rate": state["rate"] / run["lanes"],
                "waiting_since": None,
            }
            for lane in range(run["lanes"])
        ]
        return {**state, "outcome": "go", "waiting_since": None, "stage_since": None, "lanes": lanes}

    def _wait_for_stage(self, state: RunState) -> RunState:
        """`waiting` or, past the limit, `stopped`."""
        since = state.get("stage_since") or self.clock().isoformat()
        waited = self.clock() - datetime.fromisoformat(since)
        if waited.total_seconds() < MOST_STAGE_SECONDS:
            return {**state, "outcome": "waiting", "waiting_since": None, "stage_since": since}
        reason = (
            f"the exports of the table are not there after {MOST_STAGE_SECONDS // 3_600} hours: see them in the"
            f" DynamoDB console, then start the {self.job} again"
        )
        return {**state, "outcome": "stopped", "waiting_since": None, "reason": reason}

    def _wait(self, waiting_since: str | None, error: Exception) -> tuple[str, str]:
        """`down` or, past the limit, `gave_up`; and since when the run or lane waits."""
        since = waiting_since or self.clock().isoformat()
        waited = (self.clock() - datetime.fromisoformat(since)).total_seconds()
        self.meter.count(counts_of(error))
        logger.warning("database does not answer", waited_seconds=int(waited), reason=str(error))
        return "gave_up" if waited >= self.database_wait_seconds else "down", since

    # The walk

    def walk(self, lane: LaneState) -> LaneState:
        """A lane's part of a stage: as `walk_lane`, or `waiting` and `gave_up` without the database."""
        arn = lane.get("arn")  # not in a lane of an older release
        if arn and (taken := self._taken(arn)):
            return {**lane, "outcome": "gave_up", "waiting_since": None, "reason": taken}
        try:
            self._require_ours(lane["run"])
            outcome = self.walk_lane(lane)
        except (DatabaseError, ConfigError) as error:
            reached = rest_lane(self.bucket, self.keys(lane["run"]).lane(lane["stage"], lane["lane"]))
            is_further = reached != lane.get("reached")  # then the database was there in between
            outcome, since = self._wait(None if is_further else lane["waiting_since"], error)
            outcome = "waiting" if outcome == "down" else outcome
            return {**lane, "outcome": outcome, "waiting_since": since, "reached": reached, "reason": _short(error)}
        except StageStoppedError as error:
            rest_lane(self.bucket, self.keys(lane["run"]).lane(lane["stage"], lane["lane"]))
            return {**lane, "outcome": "gave_up", "waiting_since": None, **_stop(error)}
        if outcome != "waiting":
            return {**lane, "outcome": outcome, "waiting_since": None}
        since = lane["waiting_since"] or self.clock().isoformat()
        if (self.clock() - datetime.fromisoformat(since)).total_seconds() < _MOST_WAIT_SECONDS:
            return {**lane, "outcome": outcome, "waiting_since": since}
        reason = "the consumer has not caught up: see its log and its event source mapping"
        return {**lane, "outcome": "gave_up", "waiting_since": since, "reason": reason}

    def next(self, state: RunState) -> RunState:
        """After a stage: as `next_stage`, or `incomplete` where a lane has not finished its part."""
        run = state["run"]
        state = _without_lanes(state)
        if taken := self._taken(state["arn"]):
            return {**state, "outcome": "incomplete", "reason": taken}
        lanes = list(read_lanes(self.bucket, self.keys(run).lanes_of(state["stage"])))
        if len(lanes) < run["lanes"] or not all(lane.done for lane in lanes):
            return {**state, "outcome": "incomplete"}
        return self.next_stage(state)

    def waiting_keys(self, run: RunDescription, stage: int) -> int:
        """How many keys the lanes of a stage have left for a later one."""
        return sum(lane.waiting_keys for lane in read_lanes(self.bucket, self.keys(run).lanes_of(stage)))

    def report(self, state: RunState) -> Json[str, Any]:
        """Write the report, close a run that is finished or lost, release the lock, and return the output."""
        state = _without_lanes(state)
        made = self.make_report(state)
        is_open = self._open_run() == state["run"]["name"]  # another execution may have begun another one
        if is_open and (made["outcome"] == "complete" or state.get("is_lost")):
            self.bucket.write_json(open_run_key(self.job), {"run": ""})
        self.lock.release(state["arn"])
        return made


def options_of(checked: RunInput | Json[str, Any]) -> dict[str, Any]:
    """The fields of the input that only this job has."""
    return {name: value for name, value in checked.items() if name not in _SHARED_INPUT}


def _short(error: Exception) -> str:
    """A reason that every lane may have: the states of all lanes together have 256 KiB."""
    text = str(error)
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]} ..."


def _stop(error: StageStoppedError) -> StopReason:
    return {"reason": _short(error), "is_lost": isinstance(error, LostRunError)}


def _without_lanes(state: RunState) -> RunState:
    """The state with only the reason why a lane gave up. A lane that was killed left None."""
    given_up = [lane for lane in state.get("walked", ()) if lane and lane.get("outcome") == "gave_up"]
    rest = state.copy()
    rest.pop("lanes", None)
    rest.pop("walked", None)
    if given_up:
        lost = [lane for lane in given_up if lane.get("is_lost")]
        rest["reason"], rest["is_lost"] = (lost or given_up)[0]["reason"], bool(lost)
    return rest
