"""What Backstream asks of a target database. Each database is a package of its own behind `Database`.

MySQL is `common.mysql`. No other package imports a driver.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
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
    do next).
    """

    verdict: Verdict

    def __init__(self, operation: str, problem: str, hint: str, errno: int | None = None) -> None:
        self.operation, self.errno, self.hint = operation, errno, hint
        super().__init__(f"{operation}: {problem}: {hint}")


class HoldError(DatabaseError):
    """The database or the path to it is down or busy: the same batch succeeds later."""

    verdict = Verdict.HOLD


class StopError(DatabaseError):
    """Configuration or schema is wrong: the batch succeeds once a person has corrected it."""

    verdict = Verdict.STOP


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

    The functions are called only where rows are refused. `out_of_time()` is called after each statement.
    `parked_before()` returns (key, version) of changes that an earlier call parked: they are skipped.
    `was_parked(change)` tells whether the change is a parked record, so that an unknown error is known to be its own.
    """

    every_change: bool = False
    out_of_time: Callable[[], bool] = lambda: False
    parked_before: Callable[[], Container[tuple[str, str]]] = frozenset
    was_parked: Callable[[Change], bool] = lambda _: False


@dataclass
class Outcome:
    """What became of every change.

    `counts` has `upserted`, `deleted`, `stale`, `redelivered` and `superseded` (a later change of the same key in the
    same call took its place). `parked` lists the changes that cannot be written, whole. `left` lists those for which
    time ran out: all changes of the last keys, in key order. Everything else is committed.
    """

    counts: Counter[str] = field(default_factory=Counter)
    parked: list[Parked] = field(default_factory=list)
    left: list[Change] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        self.counts += other.counts
        self.parked += other.parked


class StoredVersion(NamedTuple):
    """What the sidecar holds of a key. `source_time` is in epoch seconds.

    `kept_delete` and `kept_expiry` are the versions of the newest deletion and the newest expiry that left the row in
    place, empty where there was none.
    """

    version: str
    source_time: int
    kept_delete: str = ""
    kept_expiry: str = ""

    def kept(self, mark: Mark) -> str:
        """The version of the newest removal of a kind that left the row in place."""
        return self.kept_expiry if mark is Mark.EXPIRED else self.kept_delete


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

    def prepare(self, stream_label: str) -> dict[str, str]:
        """Create or check the tables and register the source of the changes with the label of its stream.

        `{"target": "created" | "fits", "sidecar": "created" | "fits", "source": "registered" | "renewed" | "known"}`.
        """
        ...

    def ping(self) -> None:
        """Return when the database answers, by the path that `apply()` takes."""
        ...
