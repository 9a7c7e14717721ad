"""Dates and times. The year is 1000 to 9999, as in MySQL; a datetime is in UTC.

Source: https://dev.mysql.com/doc/refman/8.4/en/datetime.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal, Inexact
from typing import Any

from common.columns.column_type import ColumnType, ContentDecoder
from common.columns.number import dynamodb_text, number
from common.columns.option import choice, integer
from common.mysql.columns import ColumnRules, same_time, temporal_need
from common.poison import PoisonError

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - all are in UTC
_FIRST_SECOND, _LAST_SECOND = -30_610_224_000, 253_402_300_799  # 1000-01-01 00:00:00 and 9999-12-31 23:59:59
_DAY = 86_400
_MOST_DIGITS = 6
# The units in a second, of each conversion from a number.
_UNITS = {"epoch_seconds": 1, "epoch_milliseconds": 1_000}

# All dates but 29 February, which needs a leap year.
_DATE = (
    r"[1-9][0-9]{3}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
)
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"

_all_dates = re.compile(f"(?:{_DATE},)*+", re.ASCII).fullmatch
_is_like_a_date = re.compile(r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}", re.ASCII).fullmatch
_time_parts = re.compile(rf"({_TIME})(?:\.([0-9]+))?", re.ASCII).fullmatch
_datetime_parts = re.compile(
    rf"([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})T({_TIME})(?:\.([0-9]+))?(?:(Z)|([+-](?:[01][0-9]|2[0-3]):[0-5][0-9]))?",
    re.ASCII,
).fullmatch


class _Temporal(ColumnType):
    """Its items have a text, or with a conversion of `_UNITS` the units since the epoch."""

    conversion: str | None

    @property
    def python(self) -> type:
        return str

    @property
    def kind(self) -> str:
        return "N" if self.conversion in _UNITS else "S"

    def literal(self, value: Any) -> str:
        if type(value) is not str:
            raise ValueError("must be a string")
        return str(replace(self, conversion=None).content_decoder("the value")([value])[0])  # type: ignore[type-var]

    def content(self, value: Any) -> str:
        if self.conversion not in _UNITS:
            return self._text(value)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise PoisonError("is not a date or time") from None
        microseconds = (moment - _EPOCH) // timedelta(microseconds=1)
        return dynamodb_text(Decimal(microseconds) * _UNITS[self.conversion] / _MICROSECONDS)

    def _text(self, value: str) -> str:
        return value


@dataclass(frozen=True)
class DateType(_Temporal, name="date"):
    conversion: str | None = choice("as", tuple(_UNITS), "the item has the date's midnight in UTC as a number")

    def content_decoder(self, subject: str) -> ContentDecoder[str]:
        if self.conversion:
            return _days_decoder(_UNITS[self.conversion], subject)

        def decode(texts: Sequence[str]) -> Sequence[str]:
            together = ",".join([*texts, ""])
            if not _all_dates(together) or together.count(",") != len(texts):
                for text in texts:
                    if not (_is_like_a_date(text) and _is_date(text)):
                        raise PoisonError(f"{subject} is not a date such as 2026-01-31")
            return texts

        return decode

    @property
    def key_bytes(self) -> int:
        return 3

    @property
    def mysql(self) -> ColumnRules:
        return ColumnRules(
            ddl="DATE", need=lambda actual: temporal_need(actual, "date", 0), checks=(), limits=(), cast="DATE"
        )


@dataclass(frozen=True)
class TimeType(ColumnType, name="time"):
    """A time of day, 00:00:00 to 23:59:59."""

    fraction: int = integer("fraction", 0, _MOST_DIGITS, "the digits of a second after the point", default=0)

    @property
    def python(self) -> type:
        return str

    @property
    def kind(self) -> str:
        return "S"

    def content_decoder(self, subject: str) -> ContentDecoder[str]:
        places = self.fraction
        all_canonical = _pattern("", places, "")

        def decode(texts: Sequence[str]) -> Sequence[str]:
            together = ",".join([*texts, ""])
            if all_canonical(together) and together.count(",") == len(texts):
                return texts
            return [exact(text) for text in texts]

        def exact(text: str) -> str:
            parts = _time_parts(text)
            if not parts:
                raise PoisonError(f"{subject} is not a time such as 23:59:59")
            return parts[1] + _fraction(parts[2] or "", places, subject)

        return decode

    def content(self, value: Any) -> str:
        return str(value)

    def canonical(self, value: Any) -> Any:
        return _without_zeros(value, self.fraction)

    def literal(self, value: Any) -> str:
        if type(value) is not str:
            raise ValueError("must be a string")
        return self.content_decoder("the value")([value])[0]

    @property
    def mysql(self) -> ColumnRules:
        return ColumnRules(
            ddl=_ddl("TIME", self.fraction),
            need=lambda actual: temporal_need(actual, "time", self.fraction),
            checks=(),
            limits=(),
            cast=f"TIME({_MOST_DIGITS})",
            same=same_time,
        )


@dataclass(frozen=True)
class DatetimeType(_Temporal, name="datetime"):
    """An ISO 8601 text with its zone, such as 2026-01-31T23:59:59.5+01:00. The column has it in UTC.

    With `iso8601_utc`, a text without a zone is in UTC.
    """

    fraction: int = integer("fraction", 0, _MOST_DIGITS, "the digits of a second after the point", default=0)
    conversion: str | None = choice(
        "as", (*_UNITS, "iso8601_utc"), "the item has a number, or a text that may lack its zone, which is then UTC"
    )

    def content_decoder(self, subject: str) -> ContentDecoder[str]:
        if self.conversion in _UNITS:
            return _moments_decoder(_UNITS[self.conversion], self.fraction, subject)
        needs_zone = self.conversion is None
        decode_plain = self._plain_decoder()

        def decode(texts: Sequence[str]) -> Sequence[str]:
            return decode_plain(texts) or [exact(text) for text in texts]

        def exact(text: str) -> str:
            parts = _datetime_parts(text)
            if not parts or (needs_zone and not (parts[4] or parts[5])):
                raise PoisonError(f"{subject} is not a time with a zone such as 2026-01-31T23:59:59Z")
            fraction = _fraction(parts[3] or "", self.fraction, subject)
            try:
                moment = datetime.fromisoformat(f"{parts[1]}T{parts[2]}{parts[5] or '+00:00'}").astimezone(UTC)
            except (ValueError, OverflowError):
                moment = None
            if moment is None or moment.year < _FIRST_YEAR:
                raise PoisonError(f"{subject} is not a time between the years 1000 and 9999")
            return f"{moment.replace(tzinfo=None).isoformat(' ')}{fraction}"

        return decode

    def _plain_decoder(self) -> Callable[[Sequence[str]], Sequence[str]]:
        """A function from texts in UTC with all digits of the column; it returns an empty result if one differs."""
        all_plain = _pattern(f"{_DATE}T", self.fraction, "Z")

        def decode(texts: Sequence[str]) -> Sequence[str]:
            together = ",".join([*texts, ""])
            if all_plain(together) and together.count(",") == len(texts):
                return together[:-2].replace("T", " ").split("Z,")
            return ()

        return decode

    def _text(self, value: str) -> str:
        return f"{value.replace(' ', 'T')}Z"

    def canonical(self, value: Any) -> Any:
        return _without_zeros(value, self.fraction)

    def key_decoder(self, subject: str) -> ContentDecoder[str]:
        """Only the text in UTC with all digits of the column."""
        decode = self.content_decoder(subject)

        def decode_canonical(texts: Sequence[str]) -> Sequence[str]:
            values = decode(texts)
            if list(map(self._text, values)) != list(texts):
                raise PoisonError(f"{subject} is not a time in UTC with {self.fraction} digits after the seconds")
            return values

        return decode_canonical

    @property
    def key_bytes(self) -> int:
        return 5 + (self.fraction + 1) // 2

    @property
    def mysql(self) -> ColumnRules:
        return ColumnRules(
            ddl=_ddl("DATETIME", self.fraction),
            need=lambda actual: temporal_need(actual, "datetime", self.fraction),
            checks=(),
            limits=(),
            cast=f"DATETIME({_MOST_DIGITS})",
            same=same_time,
        )


_FIRST_YEAR = 1_000


def _ddl(name: str, fraction: int) -> str:
    return f"{name}({fraction})" if fraction else name


def _pattern(before: str, fraction: int, after: str) -> Callable[[str], Any]:
    """Matches many texts that each end with a comma."""
    digits = rf"\.[0-9]{{{fraction}}}" if fraction else ""
    return re.compile(f"(?:{before}{_TIME}{digits}{after},)*+", re.ASCII).fullmatch


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _fraction(digits: str, places: int, subject: str) -> str:
    """The point and exactly `places` digits. Raises PoisonError where a digit other than 0 would be cut."""
    if digits[places:].strip("0"):
        raise PoisonError(f"{subject} has more than {places} digits after the seconds")
    return f".{digits[:places].ljust(places, '0')}" if places else ""


def _without_zeros(value: Any, places: int) -> Any:
    """The text of a time without the zeros after `places` digits, which a wider column adds."""
    whole, point, digits = str(value).partition(".")
    if not point or len(digits) <= places or digits[places:].strip("0"):
        return value
    return f"{whole}.{digits[:places]}" if places else whole


def _microseconds(texts: Sequence[str], units: int, subject: str) -> Sequence[int]:
    """The microseconds since the epoch, of each number of `units` in a second. Raises PoisonError."""
    together = "".join(texts)
    if together.isascii() and together.isdigit() and "" not in texts and len(max(texts, key=len)) <= _PLAIN_DIGITS:
        return [int(text) * (_MICROSECONDS // units) for text in texts]
    return [_exact_microseconds(text, units, subject) for text in texts]


def _exact_microseconds(text: str, units: int, subject: str) -> int:
    found = number(text)
    if found is None or not _FIRST_SECOND * units <= found < (_LAST_SECOND + 1) * units:
        raise PoisonError(f"{subject} is not a time between the years 1000 and 9999")
    try:
        exact = _EXACT.multiply(found, Decimal(_MICROSECONDS // units))
    except Inexact:
        exact = Decimal("0.1")
    if exact != exact.to_integral_value():
        raise PoisonError(f"{subject} has more than {_MOST_DIGITS} digits after the seconds")
    return int(exact)


_MICROSECONDS = 10**6
_PLAIN_DIGITS = 14  # of a number that may be a time between 1970 and 9999
_EXACT = Context(prec=80, traps=[Inexact])


def _moments_decoder(units: int, places: int, subject: str) -> ContentDecoder[str]:
    def decode(texts: Sequence[str]) -> Sequence[str]:
        return [moment(microseconds) for microseconds in _microseconds(texts, units, subject)]

    def moment(microseconds: int) -> str:
        seconds, rest = divmod(microseconds, _MICROSECONDS)
        if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
            raise PoisonError(f"{subject} is not a time between the years 1000 and 9999")
        text = (_EPOCH + timedelta(0, seconds)).isoformat(" ")
        return text + _fraction(f"{rest:06}" if rest else "", places, subject)

    return decode


def _days_decoder(units: int, subject: str) -> ContentDecoder[str]:
    def decode(texts: Sequence[str]) -> Sequence[str]:
        return [day(microseconds) for microseconds in _microseconds(texts, units, subject)]

    def day(microseconds: int) -> str:
        days, rest = divmod(microseconds, _DAY * _MICROSECONDS)
        if rest:
            raise PoisonError(f"{subject} is not midnight in UTC")
        if not _FIRST_SECOND <= days * _DAY <= _LAST_SECOND:
            raise PoisonError(f"{subject} is not a time between the years 1000 and 9999")
        return (_EPOCH + timedelta(days)).date().isoformat()

    return decode
