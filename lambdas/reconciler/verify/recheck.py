"""Reads suspects again, and decides what each is: in agreement now, on its way, or drift. Repairs drift if asked to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from common.changes import Change, Mark, Parked
from common.changes import Kind as Parking
from common.database import ApplyOptions, Database
from common.drift import (
    SEED_OUTDATED,
    Claim,
    Finding,
    Judgement,
    Kind,
    Known,
    Repair,
    Suspect,
    is_outdated_seed,
    judge,
    mildest_removal,
)
from common.mapping import Action, Entity
from common.raw_items import Item
from common.versions import LOWEST_VERSION
from reconciler.verify.deletions import Deletions
from reconciler.verify.pending import ParkedName, Pending
from reconciler.verify.readings import Reading, Readings, States, item_key_of
from reconciler.verify.repaired import RepairedKeys
from reconciler.verify.states import StoredFinding, StoredSuspect, finding_of, read_once, suspect_of, unread

# How often a repair is tried that waits for another row.
_MOST_TRIES = 3
_SAFE = (Repair.REWRITE, Repair.LOAD, Repair.DELETE, Repair.FLAG)
_COLUMN_KINDS = (Kind.COLUMNS_DIFFER, Kind.ROW_CHANGED, Kind.ROW_OUTDATED)


@dataclass(frozen=True)
class RepairOptions:
    """What the run was asked for. `columns`, where given, are the only ones in which a repaired row may differ.

    `after_cutover`: the table is the truth, also for rows whose items only a seed has written.
    """

    repair: bool = False
    delete_strangers: bool = False
    delete_removed: bool = False
    columns: frozenset[str] = frozenset()
    after_cutover: bool = False
    keep_removed: bool = False

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> RepairOptions:
        return cls(
            options.get("repair", False),
            options.get("delete_strangers", False),
            options.get("delete_removed", False),
            frozenset(options.get("columns", ())),
            options.get("after_cutover", False),
            options.get("keep_removed", False),
        )

    def allows(self, finding: Finding, entity: Entity) -> bool:
        if not self.repair:
            return False
        deletes = any(entity.removal(mark).action is Action.DELETE for mark in (Mark.DELETED, Mark.EXPIRED))
        if finding.kind is Kind.STRANGER:
            return self.delete_strangers and entity.deletes.action is Action.DELETE
        if finding.kind is Kind.REMOVAL_LOST and self.delete_removed and deletes:
            return True
        if self.keeps(finding):
            return True
        if self.columns and not (finding.kind in _COLUMN_KINDS and self.columns.issuperset(finding.columns)):
            return False
        return finding.repair in _SAFE and (deletes or finding.repair is not Repair.DELETE)

    def keeps(self, finding: Finding) -> bool:
        """Whether the repair is to note that the item is gone, and to leave the row."""
        return self.keep_removed and finding.kind is Kind.REMOVAL_LOST and finding.repair is Repair.REPORT


@dataclass
class RecheckResult:
    """`suspects` must be read again.

    Counts `agreed`, `drift`, `pending`, `repaired`, `refused`, `item_refused` and `moved_on`; `kinds` what is left.
    """

    counts: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    suspects: list[StoredSuspect] = field(default_factory=list)
    findings: list[StoredFinding] = field(default_factory=list)

    def find(self, count: str, finding: StoredFinding) -> None:
        self.counts[count] += 1
        self.findings.append(finding)
        if finding["outcome"] != "repaired":
            self.kinds[finding["kind"]] += 1


@dataclass(frozen=True)
class Rechecker:
    """`options` are those of apply(), `clock` gives epoch seconds."""

    readings: Readings
    database: Database
    pending: Pending
    deletions: Deletions
    repaired: RepairedKeys
    options: ApplyOptions
    clock: Callable[[], float]

    def recheck(
        self, suspects: Sequence[StoredSuspect], items: Sequence[Item], began: float, wait: float, wanted: RepairOptions
    ) -> RecheckResult:
        """Judge `suspects` by a second reading. Their `items` were read consistently, not before `began`.

        `wait` is the longest that a change takes to MySQL, in seconds. Raises HoldError or StopError.
        """
        result = RecheckResult()
        asked = {one["key"]: one for one in suspects}
        states = self.readings.states(items, [one["item_key"] for one in suspects])
        mine = [states.changes[key] for key in asked if key in states.changes and key not in states.refused]
        found = {reading.change.key: reading for reading in self.readings.of_changes(mine, states.existing)}
        ended = self.clock()
        drift: dict[str, Reading] = {}
        for key, stored in asked.items():
            reading, first = found.get(key), suspect_of(stored)
            if key in states.refused:
                result.find("item_refused", states.refused[key])
            elif reading is None:
                result.counts["agreed"] += 1
            elif first is None:
                result.suspects.append(read_once(stored["item_key"], Suspect(reading.finding, began, ended)))
            else:
                second = Suspect(reading.finding, began, ended)
                judgement = judge(first, second, wait)
                if judgement is Judgement.DRIFT:
                    drift[key] = reading
                elif judgement is Judgement.WAITING:
                    result.suspects.append(stored)
                else:
                    result.counts["moved_on"] += 1
                    result.suspects.append(read_once(stored["item_key"], second))
        if drift:
            self._settle(drift, asked, states, wanted, result)
        return result

    def _settle(
        self,
        drift: Mapping[str, Reading],
        asked: Mapping[str, StoredSuspect],
        states: States,
        wanted: RepairOptions,
        result: RecheckResult,
    ) -> None:
        batches, parked = self.pending.batches(), self._parked(drift, asked)
        repairs: dict[str, Reading] = {}
        for key, before in self._unchanged(drift, asked, states, result).items():
            reading, item_key = self._with_parked(before, states, parked), asked[key]["item_key"]
            reasons = [batches] if batches else []
            if reading.finding.repair is Repair.REPLAY:
                reasons.append(parked[key].reason)
            if reasons:
                result.find(
                    "pending", {**finding_of(reading.finding, item_key, "pending"), "reason": "; ".join(reasons)}
                )
            elif not wanted.after_cutover and is_outdated_seed(reading.finding, reading.comparison):
                outdated = finding_of(reading.finding, item_key, "found")
                result.find("drift", {**outdated, "kind": SEED_OUTDATED, "repair": "report"})
            elif wanted.allows(reading.finding, self._entity(reading.change)):
                repairs[key] = reading
            else:
                count = "strangers" if reading.finding.kind is Kind.STRANGER else "drift"
                result.find(count, finding_of(reading.finding, item_key, "found"))
        if repairs:
            self._repair(repairs, asked, states, wanted, result)

    def _unchanged(
        self,
        drift: Mapping[str, Reading],
        asked: Mapping[str, StoredSuspect],
        states: States,
        result: RecheckResult,
    ) -> dict[str, Reading]:
        """The drift that is as it was. What no longer waits may have been written after the reading."""
        changes = [reading.change for reading in drift.values()]
        now = {one.change.key: one.finding.digest for one in self.readings.of_changes(changes, states.existing)}
        unchanged: dict[str, Reading] = {}
        for key, reading in drift.items():
            if key not in now:
                result.counts["agreed"] += 1
            elif now[key] != reading.finding.digest:
                result.counts["moved_on"] += 1
                result.suspects.append(unread(key, asked[key]["item_key"]))
            else:
                unchanged[key] = reading
        return unchanged

    def _parked(self, keys: Iterable[str], asked: Mapping[str, StoredSuspect]) -> dict[str, ParkedName]:
        """The newest parked record of the item of each key: its retry may write every row of the item."""
        texts = {key: self.readings.texts(asked[key]["item_key"]) for key in keys}
        newest = self.pending.newest(chain.from_iterable(texts.values()))
        found = {key: [newest[text] for text in mine if text in newest] for key, mine in texts.items()}
        return {key: max(names) for key, names in found.items() if names}

    def _with_parked(self, reading: Reading, states: States, parked: Mapping[str, ParkedName]) -> Reading:
        """The reading, where a parked record of the item counts as its newest change.

        It is not read again: a repair writes its item under its version, which must be of one reading.
        """
        key = reading.change.key
        if key not in parked:
            return reading
        finding = self.readings.finding(reading.comparison, states.existing, parked[key].version)
        return reading._replace(finding=finding or reading.finding)

    def _entity(self, change: Change) -> Entity:
        return self.readings.mapping.entities[change.entity]

    def _repair(
        self,
        repairs: Mapping[str, Reading],
        asked: Mapping[str, StoredSuspect],
        states: States,
        wanted: RepairOptions,
        result: RecheckResult,
    ) -> None:
        refused = self._write_noted(repairs.values(), states, wanted)
        changes = [reading.change for reading in repairs.values()]
        left = {one.change.key: one.finding for one in self.readings.of_changes(changes, states.existing)}
        for key, reading in repairs.items():
            finding, stored = reading.finding, asked[key]
            if key in refused and refused[key].kind is not Parking.POISON and stored.get("tries", 0) < _MOST_TRIES:
                # It waits for another row, which this run may repair, too.
                result.counts["moved_on"] += 1
                result.suspects.append({**stored, "tries": stored.get("tries", 0) + 1})
            elif key in left and left[key].digest == finding.digest:
                reason = refused[key].reason if key in refused else "the repair has changed nothing"
                result.find("refused", {**finding_of(finding, stored["item_key"], "refused"), "reason": reason})
            elif key in left:  # somebody wrote it in between
                result.counts["moved_on"] += 1
                result.suspects.append(unread(key, stored["item_key"]))
            else:
                result.find("repaired", finding_of(finding, stored["item_key"], "repaired"))
                result.counts["deleted_rows"] += _deletes(reading, wanted)

    def _write_noted(self, repairs: Collection[Reading], states: States, wanted: RepairOptions) -> dict[str, Parked]:
        """As `_write`. A deletion is noted before and after it: the progress of a call that dies does not count it."""
        if not any(_deletes(reading, wanted) for reading in repairs):
            return self._write(repairs, states, wanted)
        self.deletions.note()
        refused = self._write(repairs, states, wanted)
        self.deletions.note()
        return refused

    def _write(self, repairs: Iterable[Reading], states: States, wanted: RepairOptions) -> dict[str, Parked]:
        """Make each row as its item is. Returns what MySQL refuses, by key."""
        loads: list[Change] = []
        rewrites: list[Change] = []
        for reading in repairs:
            # The sidecar has no version that a rewrite could compare with.
            is_load = reading.finding.repair is Repair.LOAD or reading.finding.kind is Kind.STRANGER
            version = LOWEST_VERSION if is_load else reading.finding.version
            repairing = reading.change._replace(version=version)
            if repairing.row is None:
                repairing = self._removal(repairing, reading.finding, states, wanted)
            (loads if is_load else rewrites).append(repairing)
        # Before they are written: a call that dies in between leaves no row that later windows do not know of.
        self.repaired.note([item_key_of(one) for one in (*loads, *rewrites) if one.row is not None])
        refused: dict[str, Parked] = {}
        # Until the cutover, a seeded item is loaded for its version only.
        loading = replace(self.options, seeded_rows=wanted.after_cutover, missing_rows=wanted.after_cutover)
        rewriting = replace(loading, rewrite=True, every_change=False, note_removals=wanted.keep_removed)
        for changes, options in ((loads, loading), (rewrites, rewriting)):
            if changes:
                outcome = self.database.apply(changes, options, purpose="repairing")
                refused |= {str(one.key): one for one in outcome.parked}
        return refused

    def _removal(self, change: Change, finding: Finding, states: States, wanted: RepairOptions) -> Change:
        """The change of an item that is gone, with the mark that does with the row what the repair is to do."""
        entity = self._entity(change)
        if wanted.keeps(finding):
            known = Known(removal=Mark.DELETED if change.key in states.existing else None)
            mark = mildest_removal(self.readings.mapping, entity, known)
            # Nobody knows when the item went: it was gone by now. A flag with a time has this one.
            return change._replace(mark=mark, source_time=int(self.clock()))
        mark = Mark.EXPIRED if finding.claim in (Claim.EXPIRED, Claim.EXPIRY_KEPT) else Mark.DELETED
        if finding.claim is Claim.LIVE and entity.removal(mark).action is not Action.DELETE:
            mark = Mark.EXPIRED  # it is not known how the item went, and the row is to go
        return change._replace(mark=mark)


def _deletes(reading: Reading, wanted: RepairOptions) -> bool:
    """Whether the repair of a reading deletes a row."""
    change, finding, comparison = reading
    stays = finding.repair is Repair.FLAG or wanted.keeps(finding)
    return change.row is None and comparison.row is not None and not stays
