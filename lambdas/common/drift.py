"""What a difference between an item and its row is, and whether it stands still. Pure.

A first reading finds suspects, because a change may be on its way. A suspect is drift when a second reading, longer
after the first than the lag of the stream, finds the same item, version and row.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import NamedTuple

from common.changes import Change, Mark, Row
from common.database import Comparison, StoredState
from common.keys import key_text
from common.mapping import Action, Entity, Mapping
from common.stream_clock import NO_SOURCE_TIME
from common.versions import LOWEST_VERSION


class Claim(StrEnum):
    """What the newest thing that the sidecar holds of a key says of its item."""

    NOTHING = "nothing"  # the sidecar has no row
    LIVE = "live"  # the item exists
    DELETED = "deleted"  # a tombstone of a delete
    EXPIRED = "expired"  # a tombstone of an expiry
    DELETE_KEPT = "delete_kept"  # a delete that left the row in place
    EXPIRY_KEPT = "expiry_kept"  # an expiry that left the row in place


class RowState(StrEnum):
    MISSING = "missing"
    AS_ASKED = "as_asked"  # has the item's values; of an item that is gone, the flags that the sidecar asks for
    DIFFERS = "differs"


class Kind(StrEnum):
    """What a difference is."""

    # The item exists.
    ROW_MISSING = "row_missing"
    COLUMNS_DIFFER = "columns_differ"  # whether the item's newest change was applied is not known
    ROW_CHANGED = "row_changed"  # the item's newest change was applied: somebody else changed the row, or a bug did
    ROW_OUTDATED = "row_outdated"  # the item's newest change was not applied
    SIDECAR_MISSING = "sidecar_missing"  # the row is right, and the sidecar has no row
    SIDECAR_REMOVED = "sidecar_removed"  # the row is right, and the sidecar says that the item was removed
    # The item is gone.
    DELETED_ROW = "deleted_row"  # it was deleted, and its row is there
    EXPIRED_ROW = "expired_row"  # it expired, and its row is there though the mapping deletes it
    REMOVAL_LOST = "removal_lost"  # its removal never arrived
    FLAG_CHANGED = "flag_changed"  # it was removed, and its row is not flagged as the sidecar says
    STRANGER = "stranger"  # there never was such an item
    SIDECAR_LIVE = "sidecar_live"  # there is no row, and the sidecar says that the item exists


# What a caller reports in place of the kind of an outdated seed: until the cutover the row is the truth. After it the
# item is, so the kind stays.
SEED_OUTDATED = "seed_outdated"


class Repair(StrEnum):
    """What brings MySQL to the state of the item, once both have stood still."""

    REWRITE = "rewrite"  # write the item's row under `Finding.version`
    LOAD = "load"  # apply the item's row with the lowest version
    DELETE = "delete"  # delete the row, and leave a tombstone of `Finding.version`
    FLAG = "flag"  # flag the row under `Finding.version`, as the sidecar's note says
    REPLAY = "replay"  # nothing: a newer change is known, and its replay writes the row
    REPORT = "report"  # nothing is safe to decide


class Rule(NamedTuple):
    kind: Kind
    repair: Repair


class Known(NamedTuple):
    """What the caller knows of an item beside its state.

    `version` is that of its newest change, for example of a parked record. `removal` tells how it went. Both are None
    where nothing is known.
    """

    version: str | None = None
    removal: Mark | None = None


class Finding(NamedTuple):
    """A difference. `columns` names those that differ. `version` is the newest that the sidecar holds of the key.

    `digest` stands for the item, the sidecar's row and the target's row, and shows none of their values.
    """

    key: str
    kind: Kind
    repair: Repair
    claim: Claim
    columns: tuple[str, ...]
    version: str
    digest: str


# Item exists: (claim, row) to a rule, None where they agree. A removal that the sidecar knows is older than the item.
EXISTING: dict[tuple[Claim, RowState], Rule | None] = {
    (Claim.NOTHING, RowState.MISSING): Rule(Kind.ROW_MISSING, Repair.LOAD),
    (Claim.NOTHING, RowState.AS_ASKED): Rule(Kind.SIDECAR_MISSING, Repair.LOAD),
    (Claim.NOTHING, RowState.DIFFERS): Rule(Kind.COLUMNS_DIFFER, Repair.LOAD),
    (Claim.LIVE, RowState.MISSING): Rule(Kind.ROW_MISSING, Repair.REWRITE),
    (Claim.LIVE, RowState.AS_ASKED): None,
    (Claim.LIVE, RowState.DIFFERS): Rule(Kind.COLUMNS_DIFFER, Repair.REWRITE),
    **{
        (claim, row): Rule(kind, Repair.REWRITE)
        for claim in (Claim.DELETED, Claim.EXPIRED, Claim.DELETE_KEPT, Claim.EXPIRY_KEPT)
        for row, kind in {
            RowState.MISSING: Kind.ROW_MISSING,
            RowState.AS_ASKED: Kind.SIDECAR_REMOVED,
            RowState.DIFFERS: Kind.ROW_OUTDATED,
        }.items()
    },
}

# Item gone: (claim, row, what the mapping does with the rows of items that went like this) to a rule. The action is
# None where it is not known how the item went, and the mapping does not do the same for deletes and expiries.
# A row that an ignored or flagged removal left may be purged by anybody, so its absence is no difference.
Actions = Action | None
_ACTIONS: tuple[Actions, ...] = (*Action, None)
_THERE = (RowState.AS_ASKED, RowState.DIFFERS)


def _removed(kind: Kind, action: Actions) -> Rule:
    return Rule(kind, Repair.DELETE if action is Action.DELETE else Repair.REPORT)


def _kept(kind: Kind, row: RowState, action: Actions) -> Rule | None:
    """Of a removal that left the row. Where the mapping deletes such rows now, it did not when the removal came."""
    if action is Action.DELETE:
        return Rule(kind, Repair.DELETE)
    flag = Repair.FLAG if action is Action.FLAG else Repair.REPORT
    return Rule(Kind.FLAG_CHANGED, flag) if row is RowState.DIFFERS else None


GONE: dict[tuple[Claim, RowState, Actions], Rule | None] = {
    **{(claim, RowState.MISSING, action): None for claim in Claim for action in _ACTIONS},
    **{
        # Where rows of such items stay, an upsert that comes late may make one.
        (Claim.LIVE, RowState.MISSING, action): Rule(Kind.SIDECAR_LIVE, Repair.DELETE)
        for action in (Action.DELETE, None)
    },
    **{(Claim.NOTHING, row, action): Rule(Kind.STRANGER, Repair.REPORT) for row in _THERE for action in _ACTIONS},
    **{
        (claim, row, action): _removed(kind, action)
        for claim, kind in {
            Claim.LIVE: Kind.REMOVAL_LOST,
            Claim.DELETED: Kind.DELETED_ROW,
            Claim.EXPIRED: Kind.EXPIRED_ROW,
        }.items()
        for row in _THERE
        for action in _ACTIONS
    },
    **{
        (claim, row, action): _kept(kind, row, action)
        for claim, kind in {Claim.DELETE_KEPT: Kind.DELETED_ROW, Claim.EXPIRY_KEPT: Kind.EXPIRED_ROW}.items()
        for row in _THERE
        for action in _ACTIONS
    },
}


def absent(mapping: Mapping, entity: int, key_values: Row) -> Change:
    """What `Database.compare` takes for an item that is gone."""
    key = key_text(mapping.entities[entity].name, key_values)
    return Change(key, LOWEST_VERSION, None, NO_SOURCE_TIME, {}, False, entity, key_values, Mark.DELETED)


def classify(comparison: Comparison, mapping: Mapping, known: Known = Known()) -> Finding | None:  # noqa: B008 - frozen
    """What `comparison` found; None where item, sidecar and row agree."""
    change, stored, row, columns = comparison
    claim = claim_of(stored)
    state = RowState.MISSING if row is None else RowState.DIFFERS if columns else RowState.AS_ASKED
    if change.row is not None:
        rule = EXISTING[claim, state]
    else:
        rule = GONE[claim, state, _action(claim, mapping, mapping.entities[change.entity], known)]
    if rule is None:
        return None
    version = _newest(stored)
    if known.version is not None:
        rule = _with_version(rule, known.version, version)
    return Finding(change.key, *rule, claim, columns, version, digest(comparison))


def is_outdated_seed(finding: Finding, comparison: Comparison) -> bool:
    """Whether a row has changed since its seed, and only seeds have written its item, as far as the sidecar knows.

    Where only the sidecar is wrong, the row agrees with its item, so the seed is not outdated.
    """
    change, stored, _, _ = comparison
    is_seeds = change.mark is Mark.SEEDED and (stored is None or stored.mark is Mark.SEEDED)
    return is_seeds and finding.kind is not Kind.SIDECAR_MISSING


def claim_of(stored: StoredState | None) -> Claim:
    if stored is None:
        return Claim.NOTHING
    if max(stored.kept_delete, stored.kept_expiry) > stored.version:
        return Claim.DELETE_KEPT if stored.kept_delete > stored.kept_expiry else Claim.EXPIRY_KEPT
    if stored.mark.exists:
        return Claim.LIVE
    return {Mark.DELETED: Claim.DELETED, Mark.EXPIRED: Claim.EXPIRED}[stored.mark]


def digest(comparison: Comparison) -> str:
    """A text that is the same for the same item, sidecar and row."""
    change, stored, row, _ = comparison
    return hashlib.blake2b(repr((change.key, change.row, stored, row)).encode(), digest_size=16).hexdigest()


def _newest(stored: StoredState | None) -> str:
    return max(stored.version, stored.kept_delete, stored.kept_expiry) if stored else LOWEST_VERSION


def _with_version(rule: Rule, known: str, applied: str) -> Rule:
    """The rule for an item whose newest change is known."""
    if known > applied:
        kind = Kind.ROW_OUTDATED if rule.kind is Kind.COLUMNS_DIFFER else rule.kind
        return Rule(kind, Repair.REPLAY)
    return rule._replace(kind=Kind.ROW_CHANGED) if rule.kind is Kind.COLUMNS_DIFFER else rule


def _action(claim: Claim, mapping: Mapping, entity: Entity, known: Known) -> Actions:
    """What the mapping does with the row of an item that went as `claim` says; None where that is not known."""
    actions = {entity.removal(mark).action for mark in _possible(_MARKS.get(claim, known.removal), mapping)}
    return actions.pop() if len(actions) == 1 else None


def _possible(removal: Mark | None, mapping: Mapping) -> list[Mark]:
    """How an item may have gone: as `removal` says, or where that is None in any way that the mapping has."""
    if removal is not None:
        return [removal]
    return [Mark.DELETED, Mark.EXPIRED] if mapping.ttl_attribute else [Mark.DELETED]


def mildest_removal(mapping: Mapping, entity: Entity, known: Known) -> Mark:
    """Of the ways in which an item may have gone, the one that does the least to its row: it leaves it, or flags it."""
    return min(_possible(known.removal, mapping), key=lambda mark: _MILDEST_FIRST.index(entity.removal(mark).action))


_MILDEST_FIRST = (Action.IGNORE, Action.FLAG, Action.DELETE)


_MARKS = {
    Claim.DELETED: Mark.DELETED,
    Claim.DELETE_KEPT: Mark.DELETED,
    Claim.EXPIRED: Mark.EXPIRED,
    Claim.EXPIRY_KEPT: Mark.EXPIRED,
}


# Two readings


class Suspect(NamedTuple):
    """A finding, and the times between which item, sidecar and row were read, in epoch seconds."""

    finding: Finding
    began: float
    ended: float


class Judgement(StrEnum):
    AGREES = "agrees"  # no longer a difference
    MOVED_ON = "moved_on"  # something was written since: the second reading is now the first
    WAITING = "waiting"  # unchanged, but not for longer than the lag: read it again later
    DRIFT = "drift"  # unchanged for longer than the lag


def judge(first: Suspect, second: Suspect | None, lag: float) -> Judgement:
    """What two readings of one key say. `second` is None where the second found no difference.

    `lag` is the longest that a change takes from the table to MySQL, in seconds.
    """
    if second is None:
        return Judgement.AGREES
    if second.finding.digest != first.finding.digest:
        return Judgement.MOVED_ON
    return Judgement.DRIFT if second.began - first.ended > lag else Judgement.WAITING
