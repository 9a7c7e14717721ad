"""Columns of every type with every option, and DynamoDB values that fit them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from tests.support.attribute_strategies import attributes, base64_of, numbers, texts
from tests.support.reference_types import INTEGERS, Unfit, natural, plain_text

Column = Mapping[str, Any]

# Options that say how the item has a value, or what the table shows for it, not what the value is.
_HOW = ("as",)
KEY_TYPES = {
    "string": ("string", "bigint", "int", "decimal", "uuid", "date", "datetime"),
    "number": ("bigint", "int", "smallint", "decimal"),
    "binary": ("binary",),
}


def _sometimes(**choices: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=choices)


_fractions = _sometimes(fraction=st.integers(0, 6))


@st.composite
def _decimals(draw: st.DrawFn) -> dict[str, Any]:
    precision = draw(st.integers(1, 38))
    return {"precision": precision, "scale": draw(st.integers(0, min(precision, 30)))}


@st.composite
def _ranges(draw: st.DrawFn, bits: int) -> dict[str, Any]:
    made: dict[str, Any] = draw(_sometimes(unsigned=st.booleans(), **{"as": st.just("string")}))
    if draw(st.integers(0, 3)) == 0:
        made |= {"minimum": 0, "maximum": 2 ** (bits - 1) - 2}
    return made


_yes_no = st.sampled_from(({"true": "Y", "false": "N"}, {"true": 1, "false": 0}, {"true": "", "false": "🦊"}))

_OPTIONS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "string": st.one_of(
        st.fixed_dictionaries({"length": st.integers(1, 40)}, optional={"ascii": st.booleans()}),
        st.fixed_dictionaries({"length": st.integers(1, 140), "as": st.just("number")}),
    ),
    "text": _sometimes(size=st.sampled_from(("text", "mediumtext", "longtext"))),
    "decimal": st.builds(lambda one, two: one | two, _decimals(), _sometimes(**{"as": st.just("string")})),
    **{name: _ranges(bits) for name, bits in INTEGERS.items()},
    "boolean": _sometimes(**{"as": _yes_no}),
    "date": _sometimes(**{"as": st.sampled_from(("epoch_seconds", "epoch_milliseconds"))}),
    "time": _fractions,
    "datetime": st.builds(
        lambda one, two: one | two,
        _fractions,
        _sometimes(**{"as": st.sampled_from(("epoch_seconds", "epoch_milliseconds", "iso8601_utc"))}),
    ),
    "binary": st.fixed_dictionaries({"length": st.integers(1, 300)}, optional={"as": st.just("base64")}),
    "uuid": _sometimes(stored=st.sampled_from(("text", "bytes"))),
    "json": _sometimes(numbers=st.just("string")),
    "enum": st.sampled_from((["NEW"], ["NEW", "PAID", "paid it's"], ["é", "ẞ", "a,b"])).map(
        lambda one: {"values": one}
    ),
}


def columns() -> st.SearchStrategy[dict[str, Any]]:
    """Type and options of a column."""
    return st.one_of([made.map(lambda one, name=name: {"type": name} | one) for name, made in _OPTIONS.items()])


@st.composite
def key_column(draw: st.DrawFn, name: str, types: tuple[str, ...]) -> dict[str, Any]:
    """A key column. Long ones leave room for others in an index of 3072 bytes."""
    kind = draw(st.sampled_from(types))
    column = {"column": name, "type": kind}
    if kind == "string":
        made: dict[str, Any] = draw(
            st.one_of(
                st.fixed_dictionaries({"length": st.sampled_from((1, 12, 64, 200))}),
                st.fixed_dictionaries({"length": st.sampled_from((1, 64, 1024, 2048)), "ascii": st.just(True)}),
            )
        )
        return column | made
    if kind == "binary":
        return column | {"length": draw(st.sampled_from((1, 16, 1024)))}
    if kind == "decimal":
        return column | draw(_decimals())
    if kind in INTEGERS:
        return column | options(draw(_ranges(INTEGERS[kind])))
    return (
        column
        | ({"fraction": draw(st.integers(0, 6))} if kind == "datetime" else {})
        | (draw(_OPTIONS["uuid"]) if kind == "uuid" else {})
    )


def options(column: Column) -> dict[str, Any]:
    """The column as if the item had its value in the natural form."""
    return {name: option for name, option in column.items() if name not in _HOW}


def fitting(column: Column) -> st.SearchStrategy[dict[str, Any]]:
    """DynamoDB values that fit the column, most of them."""
    return _FITTING[column["type"]](column)


def const(column: Column) -> st.SearchStrategy[Any]:
    """A constant or a default, as the mapping file writes it."""
    if column["type"] == "json":
        return st.sampled_from(({}, [], "", 0, [1, {"a": None}]))
    values = fitting(options(column)).map(lambda value: _plain(*next(iter(value.items()))))
    return values.filter(lambda value: _is_natural(value, column))


def _is_natural(value: Any, column: Column) -> bool:
    try:
        natural(value, column)
    except Unfit:
        return False
    return True


def _plain(kind: str, value: Any) -> Any:
    if kind != "N":
        return value
    number = Decimal(value)
    return int(number) if number == int(number) else plain_text(number)


def _strings(column: Column) -> st.SearchStrategy[dict[str, Any]]:
    if column.get("as") == "number":
        return numbers.map(lambda text: {"N": text})
    if column.get("ascii"):
        printable = st.characters(min_codepoint=33, max_codepoint=126)
        return st.text(printable, min_size=1, max_size=column["length"]).map(lambda text: {"S": text})
    return texts(column["length"]).map(lambda text: {"S": text[: column["length"]]})


def _long_texts(column: Column) -> st.SearchStrategy[dict[str, Any]]:
    # 400 KB is the largest item; 65535 bytes is the largest TEXT.
    lengths = st.sampled_from((65_535, 65_536, 380_000))
    long = st.builds(lambda text, length: text * (length // len(text.encode())), texts(3, least=1), lengths)
    return st.one_of(texts(100), texts(100), texts(100), long).map(lambda text: {"S": text})


def _fitting_decimals(column: Column) -> st.SearchStrategy[dict[str, Any]]:
    most = 10 ** column["precision"] - 1
    kind = "S" if column.get("as") == "string" else "N"
    number = st.one_of(st.integers(-most, most), st.sampled_from((0, most, -most, most + 1)))
    return number.map(lambda units: {kind: plain_text(Decimal(units).scaleb(-column["scale"]))})


def _fitting_integers(column: Column) -> st.SearchStrategy[dict[str, Any]]:
    bits = INTEGERS[column["type"]]
    least, most = (0, 2**bits - 1) if column.get("unsigned") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    least, most = max(least, column.get("minimum", least)), min(most, column.get("maximum", most))
    number = st.one_of(st.integers(least, most), st.sampled_from((least, most)))
    kind = "S" if column.get("as") == "string" else "N"
    return number.map(lambda value: {kind: str(value)})


def _booleans(column: Column) -> st.SearchStrategy[dict[str, Any]]:
    if "as" not in column:
        return st.booleans().map(lambda value: {"BOOL": value})
    values = st.sampled_from(list(column["as"].values()))
    return values.map(lambda value: {"S": value} if isinstance(value, str) else {"N": str(value)})


_moments = st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999))  # noqa: DTZ001


def _dates(column: Column) -> st.SearchStrategy[dict[str, Any]]:
    midnights = _moments.map(lambda moment: moment.replace(hour=0, minute=0, second=0, microsecond=0))
    if "as" in column:
        return midnights.map(lambda moment: _epoch(moment, column["as"]))
    return midnights.map(lambda moment: {"S": moment.date().isoformat()})


def _epoch(moment: datetime, unit: str) -> dict[str, Any]:
    microseconds = (moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return {"N": plain_text(Decimal(microseconds).scaleb(-3 if unit == "epoch_milliseconds" else -6))}


def _cut_to(moment: datetime, fraction: int) -> datetime:
    unit = 10 ** (6 - fraction)
    return moment.replace(microsecond=moment.microsecond // unit * unit)


def _fraction(moment: datetime, digits: int) -> str:
    return "" if not digits else f".{moment.microsecond:06}"[: digits + 1]


@st.composite
def _times(draw: st.DrawFn, column: Column) -> dict[str, Any]:
    fraction = column.get("fraction", 0)
    moment = draw(_moments)
    extra = draw(st.sampled_from(("", "", "0", "1"))) if fraction else ""
    return {"S": f"{moment:%H:%M:%S}{_fraction(moment, fraction)}{extra}"}


@st.composite
def _datetimes(draw: st.DrawFn, column: Column) -> dict[str, Any]:
    fraction = column.get("fraction", 0)
    moment = _cut_to(draw(_moments), fraction) if draw(st.integers(0, 9)) else draw(_moments)
    if column.get("as", "iso8601_utc") != "iso8601_utc":
        return _epoch(moment, column["as"])
    digits = draw(st.sampled_from((fraction, fraction, fraction, 6)))
    zones = (["", ""] if "as" in column else []) + ["Z", "Z", "+00:00", "+05:30", "-11:00"]
    zone = draw(st.sampled_from(zones))
    return {"S": f"{moment:%Y-%m-%dT%H:%M:%S}{_fraction(moment, digits)}{zone}"}


def _binaries(column: Column) -> st.SearchStrategy[dict[str, Any]]:
    kind = "S" if column.get("as") == "base64" else "B"
    return base64_of(1, column["length"]).map(lambda text: {kind: text})


def _uuids(column: Column) -> st.SearchStrategy[dict[str, Any]]:
    return st.uuids().map(lambda value: {"S": str(value)})


_FITTING: dict[str, Any] = {
    "string": _strings,
    "text": _long_texts,
    "decimal": _fitting_decimals,
    **dict.fromkeys(INTEGERS, _fitting_integers),
    "boolean": _booleans,
    "date": _dates,
    "time": _times,
    "datetime": _datetimes,
    "binary": _binaries,
    "uuid": _uuids,
    "json": lambda column: attributes,
    "enum": lambda column: st.sampled_from(column["values"]).map(lambda value: {"S": value}),
}
