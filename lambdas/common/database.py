"""What Backstream asks of a target database. Each database is a package of its own behind `Database`.

MySQL is `common.mysql`. No other package imports a driver.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from common.changes import Change, Mark, Parked, Row


class Verdict(StrEnum):
    """What an error of the database is about. Each database decides by its own error numbers."""

    HOLD = "hold"  # the database or the path to it is down or busy: raise, the shard waits, order is kept
    STOP = "stop"  # a person must change configuration or schema: raise as well, with another hint
    POISON = "poison"  # this row can never be written as it is: park it, the rest goes on
    DEFER = "defer"  # this row waits for another one: park it, every replay tries it again


class DatabaseError(Exception):
    """Nothing of the batch may be acknowledged. The message holds no row values.

    Attributes: `operation` (what failed), `verdict`, `errno` (the database's error number, or None), `hint` (what to
    do next), `metric` (the metric that counts errors of its class, empty where none does).
    """

    verdict: Verdict

    def __init__(self, operation: str, problem: str, hint: str, errno: int | None = None, *, metric: str = "") -> None:
        self.operation, self.errno, self.hint, self.metric = operation, errno, hint, metric
        super().__init__(f"{operation}: {problem}: {hint}")


class HoldError(DatabaseError):
    """The database or the path to it is down or busy: the same batch succeeds later."""

    verdict = Verdict.HOLD


class StopError(DatabaseError):
    """Configuration or schema is wrong: the batch succeeds once a person has corrected it."""

    verdict = Verdict.STOP


class UnfitSinceError(StopError):
    """A table has no such column for `Since`, or the value does not fit it."""


class SchemaMismatchError(Exception):
    """A table does not fit the mapping. `problems` holds every reason; the message names them all."""

    title = "schema mismatch"

    def __init__(self, table: str, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(f"table {table} does not fit the mapping: " + "; ".join(problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyOptions:
    """How changes are applied. Consumer and replayer differ only in the three functions.

    `every_change` writes each change of a key, not only the newest.

    `rewrite` writes rows under the version that the sidecar holds already: for a new column, or a repair. Each change
    has a key of its own and, as its version, `StoredVersion.newest` of the key as it was before the item was read. It
    is written only while that is so. The caller makes sure that nothing is pending for the key, neither in the stream
    nor among failed or parked records: see `common.mysql.rewrite`.

    `seeded_rows` also writes the rows of items that only a seed has written: for a repair after the cutover. Their mark
    stays, so a later echo of the seed still leaves them alone.

    Without `missing_rows`, a load of an item that only a seed has written claims its version and writes no row: the
    legacy application may have deleted the row since it was compared.

    `note_removals`, with `rewrite`, also notes each removal that leaves its row, as the first change after the stored
    version. Any later live change is newer.

    The functions are called only where rows are refused. `out_of_time()` is called after each statement.
    `parked_before()` returns (key, version) of changes that an earlier call parked: they are skipped.
    `was_parked(change)` tells whether the change is a parked record, so that an unknown error is known to be its own.
    """

    every_change: bool = False
    rewrite: bool = False
    seeded_rows: bool = False
    missing_rows: bool = True
    note_removals: bool = False
    out_of_time: Callable[[], bool] = lambda: False
    parked_before: Callable[[], Container[tuple[str, str]]] = frozenset
    was_parked: Callable[[Change], bool] = lambda _: False


@dataclass
class Outcome:
    """What became of every change.

    `counts` has `upserted`, `deleted`, `seeded` (an echo of the seed: only its version was noted), `stale`,
    `redelivered` and `superseded` (a later change of the same key in the same call took its place). Removals that leave
    their rows are `ignored_delete` or `ttl_delete`, and `deleted` where they flag the row. A rewrite has these,
    `upserted`, `seeded`, and `overtaken`: the sidecar holds another version of the key or none; nothing was written.

    `parked` lists the changes that cannot be written, whole. `left` lists those for which time ran out: all changes of
    the last keys, in key order. Everything else is committed.

    `written` lists the changes that are counted as `upserted` or `deleted`. `seconds` is the time from the first
    statement of the transaction until its commit was answered. Two outcomes with the same counts are equal.
    """

    counts: Counter[str] = field(default_factory=Counter)
    parked: list[Parked] = field(default_factory=list)
    left: list[Change] = field(default_factory=list)
    written: list[Change] = field(default_factory=list, compare=False)
    seconds: float = field(default=0.0, compare=False)

    def add(self, other: Outcome) -> None:
        """Take what became of more changes of the same transaction."""
        self.counts += other.counts
        self.parked += other.parked
        self.written += other.written


class StoredVersion(NamedTuple):
    """What the sidecar holds of a key. `source_time` is in epoch seconds.

    `kept_delete` and `kept_expiry` are the versions of the newest deletion and the newest expiry that left the row in
    place, empty where there was none.
    """

    version: str
    source_time: int
    kept_delete: str = ""
    kept_expiry: str = ""

    @property
    def newest(self) -> str:
        """The version of the newest change that was applied: of the row, or of a removal that left it in place."""
        return max(self.version, self.kept_delete, self.kept_expiry)

    def kept(self, mark: Mark) -> str:
        """The version of the newest removal of a kind that left the row in place."""
        return self.kept_expiry if mark is Mark.EXPIRED else self.kept_delete


class Since(NamedTuple):
    """Only rows whose `column` is at or after `value`, or NULL. The column need not be mapped.

    `value` is a text: a whole number or decimal, a date, or a time such as `2026-01-31 12:00:00`. It is compared as the
    table has it; for a TIMESTAMP it is in UTC.
    """

    column: str
    value: str


class Page(NamedTuple):
    """Some rows in the order of the table's key. The next page begins after the key `cursor`; None at the end.

    A page may have no rows, and a cursor still.
    """

    rows: list[Row]
    cursor: Row | None


class TableSize(NamedTuple):
    """What the database estimates, without a count."""

    rows: int
    bytes: int


class StoredState(NamedTuple):
    """The sidecar's row of a key. `source_time` is in epoch seconds; the kept versions are as in `StoredVersion`."""

    version: str
    source_time: int
    mark: Mark
    kept_delete: str = ""
    kept_expiry: str = ""


class Comparison(NamedTuple):
    """What one consistent read found of the key of `change`.

    `stored` is None where the sidecar has no row. `row` has the columns in mapping order, as the server returns them;
    None where the key has no row. `differing` names the columns of `row` that are not as they should be: for an item
    that exists, not those of `change.row`; for one that is gone, the flag columns that the sidecar's note asks for.
    """

    change: Change
    stored: StoredState | None
    row: Row | None
    differing: tuple[str, ...]


class StoredKey(NamedTuple):
    """A row of the sidecar: the text of its key, see `common.keys`, the mark of its version, and its source time."""

    key: str
    mark: Mark
    source_time: int


class Removals(NamedTuple):
    """A part of the sidecar: how many `rows` it has, and the `keys` of those that say that their item is gone.

    `cursor` is where the next part begins; None at the end.
    """

    keys: list[str]
    rows: int
    cursor: str | None


class Database(Protocol):
    """A target table with its sidecar. Every method raises HoldError or StopError, with nothing written.

    A method may run its work twice, after a lock conflict or on a new connection. A key may be any text: one that is no
    item's key has no version.
    """

    def apply(self, changes: Sequence[Change], options: ApplyOptions, *, purpose: str = "applying") -> Outcome:
        """Write `changes` in one transaction. `purpose` is the first word of an error message."""
        ...

    def versions(self, keys: Iterable[str]) -> dict[str, StoredVersion]:
        """The version that was applied last to each of `keys`, where any was. Locks nothing.

        `keys` are texts, see `common.keys`.
        """
        ...

    def rows(self, entity: int, keys: Iterable[Row]) -> dict[Row, Row]:
        """The row of each of `keys` that has one, its columns in mapping order. Locks nothing.

        `keys` are values of the key columns of one entity, which is given by its index in the mapping.
        """
        ...

    def levels(self) -> tuple[int, ...]:
        """A number for each entity, higher than those of the entities that its table refers to. The lowest is 0."""
        ...

    def page(  # noqa: PLR0913 - a range and what to read of it
        self,
        entity: int,
        *,
        limit: int,
        after: Row | None = None,
        upto: Row | None = None,
        since: Since | None = None,
        keys_only: bool = False,
    ) -> Page:
        """At most `limit` rows with keys after `after` and up to `upto`, whole or their keys. Locks nothing.

        The columns are in mapping order, with values in the form that decoding gives. The order is that of the table's
        own unique key, whatever its collation. Rows whose key holds a NULL are left out: they are no entity's.
        """
        ...

    def since(self, entity: int, column: str, start: str | datetime) -> Since:
        """What `page()` takes for the rows that have changed since a time, or whose column is at or after a value.

        A time is taken as early as the column may have stored it: a DATE or DATETIME is in any time zone, a number has
        epoch seconds. Raises UnfitSinceError, also for a number that cannot be epoch seconds. Locks nothing.
        """
        ...

    def boundaries(self, entity: int, *, every: int, most: int, after: Row | None = None) -> list[Row]:
        """Up to `most` keys after `after`, each with `every` rows up to it. Locks nothing.

        They cut a table into ranges for `page()`. Fewer than `most` are all that there are.
        """
        ...

    def size(self, entity: int) -> TableSize:
        """The table's estimated size. Locks nothing."""
        ...

    def sidecar_size(self) -> TableSize:
        """The estimated size of the sidecar, with the keys of all mappings. Locks nothing."""
        ...

    def compare(self, changes: Sequence[Change]) -> list[Comparison]:
        """The state of each key that does not agree with its change, in key order. Locks nothing.

        The keys of `changes` are distinct. A change with a row stands for an item that exists. It agrees if the sidecar
        says that the item exists, and the key has a row with exactly these values. A change without a row stands for an
        item that is gone: its state is always returned. Each key is read in one consistent view of sidecar and target.
        """
        ...

    def page_of_stored_keys(self, entity: int, after: str | None, limit: int) -> list[StoredKey]:
        """The next `limit` keys of an entity in the sidecar after a key, in the order of their texts."""
        ...

    def page_of_removals(self, entity: int, after: str | None, limit: int, before: int) -> Removals:
        """The next `limit` rows of the sidecar behind a cursor, and the keys among them that `prune` may delete.

        Whether they have a row is not looked at. `before` is in epoch seconds. Locks nothing.
        """
        ...

    def prune(self, entity: int, keys: Sequence[str], before: int, *, count_only: bool = False) -> int:
        """Delete the sidecar's rows of those of `keys` whose item is gone, in one transaction. Returns how many.

        A row goes if its newest change is a removal, all of its times are before `before` (epoch seconds), and its key
        has no row in the target: a row that an ignored or flagged removal left needs its note. A row without a time,
        and one of a key whose text was cut, stays. All of this is tested under the row's lock. With `count_only`
        nothing is locked or deleted.
        """
        ...

    def prepare(self, stream_label: str) -> dict[str, str]:
        """Create or check the tables and register the source of the changes with the label of its stream.

        `{"target": "created" | "fits", "sidecar": "created" | "fits", "source": "registered" | "renewed" | "known"}`.
        """
        ...

    def durability_warnings(self) -> list[str]:
        """Settings of the server with which a committed change may be lost, and what to do. The tables need not fit."""
        ...

    def ping(self) -> None:
        """Return when the database answers, by the path that `apply()` takes."""
        ...
