"""The error of a record that can never be written as it is."""

from __future__ import annotations

_CORRECT = "correct the item; its next version supersedes this one"


class PoisonError(Exception):
    """This record can never be written as it is. The message names the attribute, never its value.

    `hint` says what a person can do about it.
    """

    def __init__(self, message: str, hint: str = _CORRECT) -> None:
        super().__init__(message)
        self.hint = hint
