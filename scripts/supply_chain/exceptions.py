"""Vulnerabilities that are accepted until a date: `audit-exceptions.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from packaging.utils import canonicalize_name

FIELDS = {"package", "id", "reason", "expires"}


class ExceptionsError(Exception):
    """The file cannot be used; the message says why."""


@dataclass(frozen=True)
class Accepted:
    """One entry. It holds until the end of the day `expires`."""

    package: str
    id: str
    reason: str
    expires: date

    def has_expired(self, today: date) -> bool:
        return today > self.expires

    def covers(self, package: str, ids: Iterable[str]) -> bool:
        return self.package == canonicalize_name(package) and self.id in ids


def read_exceptions(path: Path) -> list[Accepted]:
    """Raises ExceptionsError."""
    try:
        content = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ExceptionsError(f"{path.name}: {error}") from error
    if content.keys() - {"exception"}:
        raise ExceptionsError(f"{path.name}: every table is an [[exception]]")
    return [_accepted(entry, f"{path.name}: exception {n}") for n, entry in enumerate(content.get("exception", []), 1)]


def _accepted(entry: dict[str, object], place: str) -> Accepted:
    if entry.keys() != FIELDS:
        raise ExceptionsError(f"{place} must have {', '.join(sorted(FIELDS))} and nothing else")
    package, identifier, reason = (_text(entry[field], f"{place}: {field}") for field in ("package", "id", "reason"))
    expires = entry["expires"]
    if not isinstance(expires, date) or isinstance(expires, datetime):
        raise ExceptionsError(f"{place}: expires must be a date, such as 2027-01-31 without quotes")
    return Accepted(canonicalize_name(package), identifier, reason, expires)


def _text(value: object, place: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ExceptionsError(f"{place} must be a text that is not empty")
    return value
