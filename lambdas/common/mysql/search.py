"""Finds the refused rows of a statement in few round trips. Pure: it decides which rows are sent next."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import pymysql

from common.changes import Change
from common.mysql.table_writer import Statement


class Search:
    """Which rows go next, and in how many statements. The server stops at the first statement that it refuses.

    `at_once` is how many statements may go in one round trip, `start` the first row that is not decided.
    """

    def __init__(self, statement: Statement, at_once: int, done: int = 0) -> None:
        self._changes, self._statement, self._at_once = statement.changes, statement, at_once
        self._ends = list(accumulate(statement.sizes, initial=0))  # where each row's text would begin
        self.start, self._size = done, len(statement.changes)
        self._bad_end = 0  # some row from `start` to here is refused
        self._suspect: int | None = None  # the row that the server names
        self._last_refused = -1

    def parts(self) -> list[Sequence[Change]]:
        parts: list[Sequence[Change]] = []
        start, room = self.start, self._statement.limit
        while start < len(self._changes) and len(parts) < self._at_once:
            end = self._end(start, room - self._statement.fixed)
            if end <= start and parts:
                break
            end = max(end, start + 1)  # a row that is larger than the limit goes alone
            parts.append(self._changes[start:end])
            room -= self._ends[end] - self._ends[start] + self._statement.fixed
            start = end
        return parts

    def _end(self, start: int, room: int) -> int:
        """Where the part that begins at `start` ends."""
        fitting = bisect_right(self._ends, self._ends[start] + room) - 1
        if self._suspect is not None and start <= self._suspect:
            return min(fitting, max(self._suspect, start + (start == self._suspect)))
        return min(fitting, start + self._size)

    def note(self, through: int, refused: int, row_number: int | None) -> None:
        """`through` rows were accepted, and then a statement of `refused` rows was not."""
        self.start += through
        self._suspect = None
        if refused == 1:
            self._size = max(1, self.start - self._last_refused)
            self._last_refused = self.start
            self.start += 1
            self._bad_end = 0
        elif refused:
            self._bad_end = self.start + refused
            self._narrow()
            if row_number and row_number <= refused:
                self._suspect = self.start + row_number - 1
        elif self.start < self._bad_end:
            self._narrow()
        else:
            self._size *= 2

    def _narrow(self) -> None:
        self._size = -(-(self._bad_end - self.start) // max(2, self._at_once))


def row_number(error: pymysql.MySQLError) -> int | None:
    """The row of the statement that the server names, counted from 1."""
    match = re.search(r"at row (\d+)$", str(error.args[-1]))
    return int(match[1]) if match else None
