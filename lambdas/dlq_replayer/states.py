"""What the state machine passes from step to step as JSON: names, keys and counts, never records (256 KiB limit).

`outcome` selects the transition in statemachines/replay.asl.json, which also reads `message`, `lanes` and `lane`.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class ReplayInput(TypedDict, total=False):
    """The execution's input; input.schema.json says what each field means."""

    id: str
    dry_run: bool
    include_quarantine: bool
    keys: list[str]
    shards: list[str]
    max_batches: int
    concurrency: int


class StartState(TypedDict):
    """What the state machine gives to `start`. The input is not checked yet."""

    name: str
    arn: str
    started: str
    input: NotRequired[Any]


class ReplayDescription(TypedDict):
    """The fields of `Replay`."""

    name: str
    arn: str
    started: str
    input: ReplayInput


class HydratedState(TypedDict):
    messages: int


class MeasuredState(TypedDict):
    """The fields of `Backlog`, while it is being measured."""

    cursor: str | None
    size: int
    batches: int


class CollectedState(TypedDict, total=False):
    """`measured` alone until the backlog is measured, then the other fields.

    `cursor` is the key of the last object that was collected, None at the end. `parts` is how many parts there are.
    """

    measured: MeasuredState
    splits: int
    workers: int
    cursor: str | None
    parts: int
    counts: dict[str, int]


class SurveyedState(TypedDict):
    """`next` is the split to survey next."""

    next: int
    counts: dict[str, int]


class SettledState(TypedDict):
    """`cursor` is the key of the last manifest that was settled."""

    cursor: str
    settled: int
    left: int


class LaneState(TypedDict):
    """One of `lanes` workers, which drains every `lanes`-th split from the `lane`-th on.

    `position` counts the splits that it has drained.
    """

    run: ReplayDescription
    lane: int
    lanes: int
    splits: int
    waiting_since: str | None
    position: NotRequired[int]
    outcome: NotRequired[str]
    reason: NotRequired[str]


class LaneEnd(TypedDict):
    """What is left of a lane: `outcome` is `done`, `failed` or `gave_up`."""

    outcome: str
    lane: int
    reason: NotRequired[str]


class ReplayState(TypedDict):
    """The state of every step but `start`. `waiting_since` is when the wait for the database began, in ISO format."""

    outcome: str
    run: ReplayDescription
    waiting_since: str | None
    hydrated: HydratedState
    reason: NotRequired[str]
    collected: NotRequired[CollectedState]
    surveyed: NotRequired[SurveyedState]
    lanes: NotRequired[list[LaneState]]
    drained: NotRequired[list[LaneEnd | None]]
    settled: NotRequired[SettledState]


class AlreadyRunning(TypedDict):
    """What `start` returns when the execution `running` has the lock."""

    outcome: str
    message: str
    running: str
