"""The steps of a seed: one walk through the rows of the target tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from common.database import UnfitSinceError
from common.inverse import Inverse, Unseedable
from common.mapping import MappingError
from reconciler.estimate import estimate_of_writes, write_rate_of
from reconciler.jobs import JobSteps
from reconciler.ranges import Cutter
from reconciler.run import InputError, NotReadyError
from reconciler.seed import report
from reconciler.seed.last_seeds import LastSeeds
from reconciler.seed.walk import JOB, SeedWalker
from reconciler.seed.writer import units_of
from reconciler.states import Estimate, LaneState, RunDescription, RunInput, RunState
from reconciler.table import TableFacts

# Rows of which the size of an item is estimated.
_SAMPLE = 100


@dataclass(frozen=True, kw_only=True)
class SeedSteps(JobSteps):
    """`on_demand_rate` is in write units."""

    job = JOB
    schema = Path(__file__).parent / "input.schema.json"

    walker: SeedWalker

    def require(self, checked: RunInput) -> None:
        entities = self._entities(checked)
        try:
            Inverse(self.mapping, entities)
        except MappingError as error:
            raise NotReadyError(f"the mapping cannot be read backwards: {'; '.join(error.problems)}") from None

    def may_go_on(self, checked: RunInput) -> bool:
        """A seed of changed rows takes all changes up to its start, so it does not go on with an earlier one."""
        return super().may_go_on(checked) and "since" not in checked

    def _entities(self, given: Any) -> list[int]:
        """The indexes of the entities. Raises InputError."""
        names = [entity.name for entity in self.mapping.entities]
        chosen = given.get("entities", names)
        if unknown := sorted(set(chosen) - set(names)):
            raise InputError(
                f"invalid input, nothing was changed: entities: the mapping has no entity {', '.join(unknown)}"
            )
        return [index for index, name in enumerate(names) if name in chosen]

    def _since(self, given: Any, entities: list[int]) -> dict[str, str] | None:
        """The first value of the column, by entity. Raises InputError, NotReadyError."""
        if "since" not in given:
            return None
        column = given["since"]["column"]
        try:
            return {
                self.mapping.entities[index].name: self.database.since(index, column, start).value
                for index, start in zip(entities, self._starts(given["since"], entities), strict=True)
            }
        except UnfitSinceError as error:
            raise InputError(f"invalid input, nothing was changed: since: {error}") from None

    def _starts(self, since: Mapping[str, str], entities: list[int]) -> Iterator[str | datetime]:
        for index in entities:
            name = self.mapping.entities[index].name
            start = since.get("value") or self._last.start_of(name, since["column"])
            if start is None:
                raise NotReadyError(
                    f"no seed of all rows of {name} has finished under this mapping and stream: seed without since, or"
                    " give a value to begin with"
                )
            yield start

    @property
    def _last(self) -> LastSeeds:
        return LastSeeds(self.bucket, self.mapping.digest, self.stream_arn)

    def rate(self, facts: TableFacts, checked: RunInput) -> float:
        return write_rate_of(facts, checked.get("write_units_per_second"), self.on_demand_rate)

    def segments(self, facts: TableFacts, lanes: int, checked: RunInput) -> int:  # noqa: ARG002
        """The table is not scanned."""
        return 0

    def extend(self, run: RunDescription, facts: TableFacts) -> RunDescription:  # noqa: ARG002
        entities = self._entities(run["options"])
        since = self._since(run["options"], entities)
        made: RunDescription = {**run, "entities": entities}
        return made if since is None else {**made, "since": since}

    def prepare_stage(self, run: RunDescription, stage: int) -> str:  # noqa: ARG002
        """Cut the ranges."""
        cutter = Cutter(self.bucket, self.mapping, self.database, self.walker.invocation.out_of_time)
        return "go" if cutter.cut(self.keys(run), run["entities"]) else "more"

    def estimate(self, facts: TableFacts, rate: float, run: RunDescription) -> Estimate:
        """Of all rows, also where only changed ones are read: nobody has counted these."""
        sizes = [self.database.size(entity) for entity in run["entities"]]
        return estimate_of_writes(
            facts, rate, sum(size.rows for size in sizes), sum(size.bytes for size in sizes), self._units_of_item(run)
        )

    def _units_of_item(self, run: RunDescription) -> float:
        """The mean of the first items of each entity."""
        inverse = Inverse(self.mapping, run["entities"])
        units = [
            units_of(item)
            for entity in run["entities"]
            for item in inverse.items(entity, self.database.page(entity, limit=_SAMPLE).rows)
            if not isinstance(item, Unseedable)
        ]
        return sum(units) / len(units) if units else 1.0

    def planned(self, run: RunDescription, arn: str) -> Mapping[str, Any]:
        return report.planned(self.mapping, run, arn, self.clock())

    def walk_lane(self, lane: LaneState) -> str:
        return "done" if self.walker.walk(lane) else "more"

    def next_stage(self, state: RunState) -> RunState:
        return {**state, "outcome": "done"}

    def make_report(self, state: RunState) -> Mapping[str, Any]:
        run = state["run"]
        made = report.make(self.bucket, self.mapping, self.keys(run), state, self.clock())
        since = run["options"].get("since")
        if made["outcome"] == "complete" and not (since and "value" in since):
            self._last.note(made["entities"], since and since["column"], run["started"])
        return made
