"""What a difference between item, sidecar and row is, for every combination; and which suspects are drift."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from common import mapping
from common.changes import Change, Mark
from common.database import Comparison, StoredState
from common.drift import (
    EXISTING,
    GONE,
    Claim,
    Finding,
    Judgement,
    Kind,
    Known,
    Repair,
    RowState,
    Suspect,
    absent,
    claim_of,
    classify,
    is_outdated_seed,
    judge,
    mildest_removal,
)
from common.mapping import Action, Mapping, Removal

ORDERS = mapping.load()
ROW = ("a", "m", 1, "INR", "NEW", 1, 1)
ACTIONS = {Action.DELETE: Removal(), Action.IGNORE: Removal(Action.IGNORE), Action.FLAG: Removal(Action.FLAG, "gone")}
# The sidecar's rows, and what each says of its item.
STORED: dict[Claim, list[StoredState | None]] = {
    Claim.NOTHING: [None],
    Claim.LIVE: [
        StoredState("v5", 1, Mark.LIVE),
        StoredState("", 0, Mark.LIVE),
        StoredState("v5", 1, Mark.LIVE, "v4"),
        StoredState("v5", 1, Mark.SEEDED),
    ],
    Claim.DELETED: [StoredState("v5", 1, Mark.DELETED), StoredState("v5", 1, Mark.DELETED, "v4", "v3")],
    Claim.EXPIRED: [StoredState("v5", 1, Mark.EXPIRED)],
    Claim.DELETE_KEPT: [StoredState("v5", 1, Mark.LIVE, "v6"), StoredState("v5", 1, Mark.LIVE, "v7", "v6")],
    Claim.EXPIRY_KEPT: [StoredState("v5", 1, Mark.LIVE, "", "v6"), StoredState("", 0, Mark.LIVE, "v6", "v7")],
}
REMOVED = (Claim.DELETED, Claim.EXPIRED, Claim.DELETE_KEPT, Claim.EXPIRY_KEPT)

# Where the item exists: for a row that is missing, as asked, and different.
EXPECTED_EXISTING: dict[Claim, tuple[str, str, str]] = {
    Claim.NOTHING: ("row_missing load", "sidecar_missing load", "columns_differ load"),
    Claim.LIVE: ("row_missing rewrite", "agrees", "columns_differ rewrite"),
    **dict.fromkeys(REMOVED, ("row_missing rewrite", "sidecar_removed rewrite", "row_outdated rewrite")),
}
# Where the item is gone: the same by what the mapping does with such rows, None where that is not known.
REMOVED_ROW: dict[Claim, str] = {
    Claim.LIVE: "removal_lost",
    Claim.DELETED: "deleted_row",
    Claim.EXPIRED: "expired_row",
    Claim.DELETE_KEPT: "deleted_row",
    Claim.EXPIRY_KEPT: "expired_row",
}


def expected_gone(claim: Claim, action: Action | None) -> tuple[str, str, str]:
    if claim is Claim.NOTHING:
        return ("agrees", "stranger report", "stranger report")
    leaves_rows = action in (Action.FLAG, Action.IGNORE)
    missing = "sidecar_live delete" if claim is Claim.LIVE and not leaves_rows else "agrees"
    if action is Action.DELETE:
        return (missing, f"{REMOVED_ROW[claim]} delete", f"{REMOVED_ROW[claim]} delete")
    if claim in (Claim.DELETE_KEPT, Claim.EXPIRY_KEPT):
        return (missing, "agrees", f"flag_changed {'flag' if action is Action.FLAG else 'report'}")
    return (missing, f"{REMOVED_ROW[claim]} report", f"{REMOVED_ROW[claim]} report")


every_claim = pytest.mark.parametrize("claim", Claim)
every_row = pytest.mark.parametrize("state", RowState)


def removing(deletes: Action, ttl: Action, ttl_attribute: str | None = "record_ttl") -> Mapping:
    entity = replace(ORDERS.entities[0], deletes=ACTIONS[deletes], ttl=ACTIONS[ttl])
    return replace(ORDERS, entities=(entity,), ttl_attribute=ttl_attribute)


def existing(row: Any = ROW) -> Change:
    return Change("order/a", "", row, 0, {}, created=False, entity=0, key_values=("a",), mark=Mark.LIVE)


def comparison(change: Change, stored: StoredState | None, state: RowState) -> Comparison:
    row = None if state is RowState.MISSING else ROW
    return Comparison(change, stored, row, ("status",) if state is RowState.DIFFERS else ())


def text(finding: Finding | None) -> str:
    return f"{finding.kind} {finding.repair}" if finding else "agrees"


def place(state: RowState) -> int:
    return list(RowState).index(state)


@pytest.mark.parametrize("state", [RowState.MISSING, RowState.DIFFERS])
def test_a_row_that_changed_since_its_seed_is_outdated(state: RowState):
    """Only where no other writer is known of the item, by its mark and by the sidecar."""

    def outdated(mark: Mark, stored: StoredState | None) -> bool:
        compared = comparison(existing()._replace(mark=mark), stored, state)
        finding = classify(compared, ORDERS)
        assert finding
        return is_outdated_seed(finding, compared)

    seeded, live = StoredState("v5", 1, Mark.SEEDED), StoredState("v5", 1, Mark.LIVE)
    assert outdated(Mark.SEEDED, seeded)
    assert outdated(Mark.SEEDED, None)
    assert not outdated(Mark.SEEDED, live)
    assert not outdated(Mark.LIVE, seeded)
    assert not outdated(Mark.LIVE, None)


def test_a_seed_whose_row_agrees_is_not_outdated():
    """Only the sidecar is wrong: its echo was lost."""
    compared = comparison(existing()._replace(mark=Mark.SEEDED), None, RowState.AS_ASKED)
    finding = classify(compared, ORDERS)
    assert finding
    assert (text(finding), is_outdated_seed(finding, compared)) == ("sidecar_missing load", False)


def test_the_tables_have_every_combination():
    assert set(EXISTING) == set(itertools.product(Claim, RowState))
    assert set(GONE) == set(itertools.product(Claim, RowState, (*Action, None)))
    rules = [rule for table in (EXISTING, GONE) for rule in table.values() if rule]  # type: ignore[attr-defined]
    with_version = {Kind.ROW_CHANGED}
    assert {rule.kind for rule in rules} | with_version == set(Kind)
    assert {rule.repair for rule in rules} | {Repair.REPLAY} == set(Repair)


@every_claim
def test_the_sidecar_claims_the_newest_thing_it_holds(claim: Claim):
    """A note of a removal that is older than the row says nothing any more."""
    assert {claim_of(stored) for stored in STORED[claim]} == {claim}


@every_claim
@every_row
def test_an_existing_item_has_one_verdict(claim: Claim, state: RowState):
    """Whatever the mapping does with removals."""
    for stored, deletes, ttl in itertools.product(STORED[claim], Action, Action):
        found = classify(comparison(existing(), stored, state), removing(deletes, ttl))
        assert text(found) == EXPECTED_EXISTING[claim][place(state)]


@every_claim
@every_row
def test_an_item_that_is_gone_follows_its_removal_rules(claim: Claim, state: RowState):
    """A removal that never arrived is repaired only where deletes and expiries both delete the row."""
    for stored, deletes, ttl in itertools.product(STORED[claim], Action, Action):
        declared = removing(deletes, ttl)
        rules = {Claim.DELETED: {deletes}, Claim.DELETE_KEPT: {deletes}, Claim.EXPIRED: {ttl}, Claim.EXPIRY_KEPT: {ttl}}
        actions = rules.get(claim, {deletes, ttl})

        found = classify(comparison(absent(declared, 0, ("a",)), stored, state), declared)

        assert text(found) == expected_gone(claim, actions.pop() if len(actions) == 1 else None)[place(state)]


@pytest.mark.parametrize(
    ("known", "ttl_attribute", "repair"),
    [
        (None, "record_ttl", Repair.REPORT),
        (None, None, Repair.DELETE),
        (Mark.DELETED, "record_ttl", Repair.DELETE),
        (Mark.EXPIRED, "record_ttl", Repair.REPORT),
    ],
)
def test_a_lost_removal_is_repaired_where_it_is_known(known: Mark | None, ttl_attribute: str | None, repair: Repair):
    """Orders are deleted by a delete, not by an expiry. Without a TTL attribute there is no expiry."""
    declared = removing(Action.DELETE, Action.IGNORE, ttl_attribute)
    change = absent(declared, 0, ("a",))

    found = classify(
        comparison(change, StoredState("v5", 1, Mark.LIVE), RowState.AS_ASKED), declared, Known(removal=known)
    )

    assert found
    assert (found.kind, found.repair) == (Kind.REMOVAL_LOST, repair)


@pytest.mark.parametrize(
    ("deletes", "ttl", "known", "ttl_attribute", "mark"),
    [
        (Action.DELETE, Action.IGNORE, None, "record_ttl", Mark.EXPIRED),
        (Action.IGNORE, Action.DELETE, None, "record_ttl", Mark.DELETED),
        (Action.FLAG, Action.IGNORE, None, "record_ttl", Mark.EXPIRED),
        (Action.DELETE, Action.FLAG, None, "record_ttl", Mark.EXPIRED),
        (Action.FLAG, Action.DELETE, None, "record_ttl", Mark.DELETED),
        (Action.FLAG, Action.IGNORE, Mark.DELETED, "record_ttl", Mark.DELETED),
        (Action.FLAG, Action.IGNORE, None, None, Mark.DELETED),
    ],
)
def test_a_row_that_stays_gets_the_mildest_removal(
    deletes: Action, ttl: Action, known: Mark | None, ttl_attribute: str | None, mark: Mark
):
    """One that leaves the row comes before one that flags it. Only how the item can have gone counts."""
    declared = removing(deletes, ttl, ttl_attribute)

    assert mildest_removal(declared, declared.entities[0], Known(removal=known)) is mark


@pytest.mark.parametrize(
    ("stored", "version", "expected"),
    [
        (StoredState("v5", 1, Mark.LIVE), "v5", "row_changed rewrite"),
        (StoredState("v5", 1, Mark.LIVE), "v4", "row_changed rewrite"),
        (StoredState("v5", 1, Mark.LIVE), "v6", "row_outdated replay"),
        (StoredState("v5", 1, Mark.DELETED), "v6", "row_outdated replay"),
        (None, "v6", "row_outdated replay"),
    ],
)
def test_a_known_version_tells_old_rows_from_changed_ones(stored: StoredState | None, version: str, expected: str):
    """A row that waits for a replay is not rewritten."""
    found = classify(comparison(existing(), stored, RowState.DIFFERS), ORDERS, Known(version=version))

    assert text(found) == expected


def test_a_missing_row_whose_change_is_parked_is_replayed():
    found = classify(comparison(existing(), None, RowState.MISSING), ORDERS, Known(version="v6"))

    assert text(found) == "row_missing replay"


def test_a_finding_names_the_newest_version_and_the_columns():
    stored = StoredState("v5", 1, Mark.LIVE, "v7", "v6")

    found = classify(comparison(existing(), stored, RowState.DIFFERS), ORDERS)

    assert found
    assert found[:6] == ("order/a", Kind.ROW_OUTDATED, Repair.REWRITE, Claim.DELETE_KEPT, ("status",), "v7")
    assert len(found.digest) == 32


def test_a_finding_shows_no_value():
    secret = (*ROW[:4], "secret", 1, 1)
    found = classify(Comparison(existing(secret), StoredState("v5", 1, Mark.LIVE), secret, ("status",)), ORDERS)

    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    "changed",
    [
        Comparison(existing((*ROW[:6], 2)), StoredState("v5", 1, Mark.LIVE), ROW, ()),
        Comparison(existing(), StoredState("v6", 1, Mark.LIVE), ROW, ()),
        Comparison(existing(), StoredState("v5", 1, Mark.LIVE, "v6"), ROW, ()),
        Comparison(existing(), StoredState("v5", 1, Mark.DELETED), ROW, ()),
        Comparison(existing(), None, ROW, ()),
        Comparison(existing(), StoredState("v5", 1, Mark.LIVE), None, ()),
        Comparison(existing(), StoredState("v5", 1, Mark.LIVE), (*ROW[:6], 2), ()),
        Comparison(absent(ORDERS, 0, ("a",)), StoredState("v5", 1, Mark.LIVE), ROW, ()),
    ],
)
def test_what_is_written_changes_the_digest(changed: Comparison):
    """The item, the version, a note, the tombstone, and the row each count."""
    before = suspect(Comparison(existing(), StoredState("v5", 1, Mark.LIVE), ROW, ("status",)), 0)
    after = suspect(changed._replace(differing=("status",)), 100)

    assert judge(before, after, lag=10) is Judgement.MOVED_ON


def suspect(found: Comparison, at: float) -> Suspect:
    finding = classify(found, ORDERS)
    assert finding
    return Suspect(finding, began=at, ended=at + 1)


DIFFERENT = Comparison(existing(), StoredState("v5", 1, Mark.LIVE), ROW, ("status",))


@pytest.mark.parametrize(
    ("second", "judgement"),
    [
        (None, Judgement.AGREES),
        (suspect(DIFFERENT, 11), Judgement.WAITING),
        (suspect(DIFFERENT, 11.1), Judgement.DRIFT),
        (suspect(DIFFERENT._replace(row=None), 99), Judgement.MOVED_ON),
    ],
)
def test_only_what_stands_still_and_differs_is_drift(second: Suspect | None, judgement: Judgement):
    """For longer than the lag, from the end of the first reading to the start of the second."""
    assert judge(suspect(DIFFERENT, 0), second, lag=10) is judgement
