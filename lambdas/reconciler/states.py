"""What a state machine passes from step to step as JSON: names and counts, never items (256 KiB limit).

`outcome` selects the transition in the state machine, which also reads `message`, `lanes` and `lane`.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class RunInput(TypedDict, total=False):
    """What every job takes as input; the job's input.schema.json says what each field means."""

    dry_run: bool
    restart: bool
    read_units_per_second: int
    write_units_per_second: int
    rows_per_second: int
    concurrency: int


class StartState(TypedDict):
    """What the state machine gives to `start`. The input is not checked yet."""

    name: str
    arn: str
    started: str
    input: NotRequired[Any]


class Estimate(TypedDict):
    """What a run will take. The first two are DynamoDB's, up to six hours old; the others are made of them.

    `rate` is in read units a second. `dollars` is 0 where the capacity is provisioned.

    A seed has `write_units`. Its `items` are rows by MySQL's estimate, and `rate` is in write units a second.

    A prune has `sidecar_rows` by MySQL's estimate, with the rows of all mappings. Its `rate` is in rows a second.
    """

    items: int
    bytes: int
    scans: int
    read_units: int
    rate: float
    minutes: float
    dollars: float
    write_units: NotRequired[int]
    sidecar_rows: NotRequired[int]


class RunDescription(TypedDict):
    """One run, which several executions may work on, one after the other.

    `name` is that of the execution that began it. `levels` are those of `Database.levels`. `mapping` is a digest of the
    entities, and `stream` the ARN of the table's stream. `options` are the fields of the input that only this job has.

    A verification compares keys in `partitions`, and expects so many `reads_by_key`; `batches_waited` and
    `records_parked` say whether failed batches and parked records were there when it was planned.

    A seed has the indexes of its `entities`, and their first values of the column of `since` by name.
    """

    name: str
    started: str
    lanes: int
    segments: int
    levels: list[int]
    mapping: str
    stream: str
    estimate: Estimate
    options: dict[str, Any]
    partitions: NotRequired[int]
    reads_by_key: NotRequired[int]
    batches_waited: NotRequired[bool]
    records_parked: NotRequired[bool]
    entities: NotRequired[list[int]]
    since: NotRequired[dict[str, str]]


class NotStarted(TypedDict):
    """The output of an execution that has changed nothing. `running` is the execution that has the lock."""

    outcome: str
    message: str
    running: NotRequired[str]


class StopReason(TypedDict):
    """Why a stage or a lane has stopped. `is_lost` says that the run can never go on."""

    reason: str
    is_lost: bool


class RunState(TypedDict):
    """What the steps of an execution pass on. `stage` counts from 0.

    `waiting_since` is the time since when the run waits for the database, `stage_since` for what its stage needs.
    """

    outcome: NotRequired[str]
    arn: str
    run: RunDescription
    rate: float
    stage: int
    waiting: NotRequired[int]
    waiting_since: str | None
    stage_since: NotRequired[str | None]
    lanes: NotRequired[list[LaneState]]
    walked: NotRequired[list[Any]]
    reason: NotRequired[str]
    is_lost: NotRequired[bool]


class LaneState(TypedDict):
    """What a lane passes on. `arn` is the execution of the state machine, and `rate` the lane's share.

    `reached` is a digest of where it was when the database last went away.
    """

    outcome: NotRequired[str]
    arn: NotRequired[str]
    run: RunDescription
    stage: int
    lane: int
    rate: float
    waiting_since: str | None
    reached: NotRequired[str]
    reason: NotRequired[str]
    is_lost: NotRequired[bool]
