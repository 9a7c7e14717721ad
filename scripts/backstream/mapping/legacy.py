"""Column types that fit an existing table, and the column that an attribute belongs to. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from backstream.mapping.grouping import fold
from backstream.mapping.inference import Attribute, Declared, first_that_holds, infer
from common.mapping import AttributePath
from common.mysql.columns import ActualColumn, enum_values

_LONGEST_STRING = 16_383
_MOST_DIGITS = 38
_MEDIUMINT = 2**23
# Each of these also accepts values with another meaning, so a comment asks a person to check it.
_DOUBTS = {
    "epoch_seconds": "taken as seconds since 1970",
    "epoch_milliseconds": "taken as milliseconds since 1970",
    "iso8601_utc": "the sample has no zone: taken as UTC",
}


def column_for(name: str, columns: Mapping[str, ActualColumn]) -> str | None:
    """The column that is named like an attribute, without case and punctuation."""
    return {fold(column): column for column in columns}.get(fold(name))


def paths_into(attribute: Attribute, columns: Mapping[str, ActualColumn]) -> Iterator[tuple[AttributePath, str]]:
    """Paths inside a map that name a column together, such as `address`, `city` for `address_city`."""
    for path in sorted(set(_leaves(attribute.path, attribute.texts)), key=str):
        column = column_for("_".join(map(str, path)), columns)
        if column:
            yield path, column


def candidates_for(actual: ActualColumn | None) -> list[Declared]:
    """The types that a column can have, the most likely first."""
    return _CANDIDATES[actual.type](actual) if actual and actual.type in _CANDIDATES else []


def fit(attribute: Attribute, actual: ActualColumn) -> Declared:
    """The type that writes the sampled values to the column; if none does, the inferred one with a comment."""
    candidates = candidates_for(actual)
    declared = first_that_holds(candidates, attribute) if attribute.values else next(iter(candidates), None)
    if declared is None:
        found = infer(attribute)
        comments = [f"the column is {actual.full_type}, and no type that fits it takes the sampled values"]
        return found | {"comment": "; ".join([*comments, *filter(None, [found.get("comment")])])}
    doubt = _DOUBTS.get(str(declared.get("as")), "")
    return declared | ({"comment": doubt} if doubt else {})


def _leaves(path: AttributePath, maps: Iterable[Mapping[str, Any]]) -> Iterator[AttributePath]:
    for inner in maps:
        for name, value in inner.items():
            if "M" in value:
                yield from _leaves((*path, name), [value["M"]])
            else:
                yield (*path, name)


# The types that a column of each MySQL type can have.


def _integer(actual: ActualColumn) -> list[Declared]:
    unsigned = {"unsigned": True} if actual.unsigned else {}
    if actual.type == "mediumint":
        lowest, beyond = (0, 2 * _MEDIUMINT) if actual.unsigned else (-_MEDIUMINT, _MEDIUMINT)
        whole: Declared = {"type": "int", "minimum": lowest, "maximum": beyond - 1} | unsigned
    else:
        whole = {"type": actual.type} | unsigned
    boolean: list[Declared] = [{"type": "boolean"}] if actual.type == "tinyint" else []
    return [*boolean, whole, whole | {"as": "string"}]


def _decimal(actual: ActualColumn) -> list[Declared]:
    scale = actual.scale or 0
    whole: Declared = {"type": "decimal", "precision": min(actual.precision or 0, _MOST_DIGITS), "scale": scale}
    return [whole, whole | {"as": "string"}]


def _text(actual: ActualColumn) -> list[Declared]:
    length = min(actual.length or 0, _LONGEST_STRING)
    string: Declared = {"type": "string", "length": length}
    uuid: list[Declared] = [{"type": "uuid"}] if (actual.type, actual.length) == ("char", 36) else []
    return [*uuid, string, string | {"as": "number"}]


def _long_text(actual: ActualColumn) -> list[Declared]:
    json: list[Declared] = [{"type": "json"}, {"type": "json", "numbers": "string"}]
    return [{"type": "text", "size": actual.type}, *(json if actual.type == "longtext" else [])]  # MariaDB's JSON


def _json(_: ActualColumn) -> list[Declared]:
    return [{"type": "json"}, {"type": "json", "numbers": "string"}]


def _date(_: ActualColumn) -> list[Declared]:
    return [{"type": "date"}, *({"type": "date", "as": word} for word in ("epoch_seconds", "epoch_milliseconds"))]


def _datetime(actual: ActualColumn) -> list[Declared]:
    whole: Declared = {"type": "datetime", "fraction": _fraction(actual)}
    return [whole, *(whole | {"as": word} for word in ("iso8601_utc", "epoch_seconds", "epoch_milliseconds"))]


def _fraction(actual: ActualColumn) -> int:
    """6 of `datetime(6)`."""
    found = re.search(r"\((\d)\)", actual.full_type)
    return int(found[1]) if found else 0


def _time(actual: ActualColumn) -> list[Declared]:
    return [{"type": "time", "fraction": _fraction(actual)}]


def _binary(actual: ActualColumn) -> list[Declared]:
    whole: Declared = {"type": "binary", "length": actual.length or 0}
    uuid: list[Declared] = [{"type": "uuid", "stored": "bytes"}] if actual.length == 16 else []  # noqa: PLR2004
    return [*uuid, whole, whole | {"as": "base64"}]


def _enum(actual: ActualColumn) -> list[Declared]:
    values = sorted(map(str, enum_values(actual.full_type)), key=lambda value: actual.full_type.find(f"'{value}'"))
    return [{"type": "enum", "values": values}]


_CANDIDATES: dict[str, Callable[[ActualColumn], list[Declared]]] = {
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint"), _integer),
    **dict.fromkeys(("char", "varchar", "tinytext"), _text),
    **dict.fromkeys(("text", "mediumtext", "longtext"), _long_text),
    **dict.fromkeys(("datetime", "timestamp"), _datetime),
    **dict.fromkeys(("binary", "varbinary"), _binary),
    "decimal": _decimal,
    "date": _date,
    "time": _time,
    "json": _json,
    "enum": _enum,
}
