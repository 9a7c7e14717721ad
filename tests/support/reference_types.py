"""What one DynamoDB value becomes in one column: the reference for the types of a mapping.

It is slow and obvious on purpose, and shares no code with `common`: the tests compare the two.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from typing import Any

Attribute = Mapping[str, Any]
Declared = Mapping[str, Any]

EXACT = Context(prec=1000)
INTEGERS = {"tinyint": 8, "smallint": 16, "int": 32, "bigint": 64}
TEXT_BYTES = {"text": 2**16 - 1, "mediumtext": 2**24 - 1, "longtext": 2**32 - 1}


class Unfit(Exception):  # noqa: N818
    """The value does not fit its column: the item goes to quarantine."""


@dataclass(frozen=True)
class Json:
    """A JSON document, whatever its text. Numbers are decimals, or strings where the mapping says so."""

    content: Any


def convert(attribute: Attribute, column: Declared) -> Any:
    """The value in SQL. Raises Unfit."""
    return CONVERSIONS[column["type"]](attribute, column)


def natural(value: Any, column: Declared) -> Any:
    """The value in SQL of a constant or a default of the mapping file. Raises Unfit."""
    plain = {name: option for name, option in column.items() if name != "as"}
    if column["type"] == "json":
        return Json(_with_strings(value) if column.get("numbers") == "string" else value)
    if column["type"] == "binary":
        return convert({"B": value}, plain)
    if isinstance(value, bool):
        return convert({"BOOL": value}, plain)
    if isinstance(value, str):
        return convert({"S": value}, plain | ({"as": "string"} if column["type"] == "decimal" else {}))
    return convert({"N": str(value)}, plain)


def _with_strings(value: Any) -> Any:
    """A JSON value of the mapping file, with a string for each number."""
    if isinstance(value, dict):
        return {name: _with_strings(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_strings(inner) for inner in value]
    return plain_text(Decimal(value)) if type(value) in (int, Decimal) else value


def captured(text: str, column: Declared) -> Any:
    """The value in SQL of a text that a template captured. Raises Unfit where the text is not the canonical one."""
    if column["type"] == "string":
        if text.endswith(" "):
            raise Unfit("ends with a blank, which many collations ignore")
        return convert({"S": text}, column)
    if column["type"] in (*INTEGERS, "decimal"):
        if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text, re.ASCII) or plain_text(Decimal(text)) != text:
            raise Unfit("not the canonical text of a number")
        return convert({"N": text}, {name: option for name, option in column.items() if name != "as"})
    if column["type"] == "datetime":
        return _captured_datetime(text, column)
    return convert({"S": text}, column)


def _captured_datetime(text: str, column: Declared) -> str:
    value: str = convert({"S": text}, column)
    if value.replace(" ", "T") + "Z" != text:
        raise Unfit("not the canonical text of a time")
    return value


def plain_text(number: Decimal) -> str:
    """The one text of a number: no exponent, no plus sign, no redundant zero."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def member(attribute: Attribute, kind: str) -> Any:
    if set(attribute) != {kind}:
        raise Unfit("has the wrong type")
    return attribute[kind]


def text_of(attribute: Attribute) -> str:
    text: str = member(attribute, "S")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unfit("is not valid Unicode") from None
    return text


def number_of(attribute: Attribute) -> Decimal:
    return Decimal(member(attribute, "N"))


def _string(attribute: Attribute, column: Declared) -> str:
    text = plain_text(number_of(attribute)) if column.get("as") == "number" else text_of(attribute)
    if len(text) > column["length"]:
        raise Unfit("is too long")
    if column.get("ascii") and (not text or any(not "!" <= character <= "~" for character in text)):
        raise Unfit("is not printable ASCII without blanks")
    return text


def _text(attribute: Attribute, column: Declared) -> str:
    text = text_of(attribute)
    if len(text.encode()) > TEXT_BYTES[column.get("size", "mediumtext")]:
        raise Unfit("is too long")
    return text


def _decimal(attribute: Attribute, column: Declared) -> Decimal:
    if column.get("as") == "string":
        text = text_of(attribute)
        if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text, re.ASCII):
            raise Unfit("is not a plain number")
        number = Decimal(text)
    else:
        number = number_of(attribute)
    unit = Decimal(1).scaleb(-column["scale"], EXACT)
    if EXACT.remainder(number, unit) or abs(number) >= Decimal(10) ** (column["precision"] - column["scale"]):
        raise Unfit("has too many digits")
    return number


def _integer(attribute: Attribute, column: Declared) -> int:
    if column.get("as") == "string":
        text = text_of(attribute)
        if not re.fullmatch(r"-?[0-9]+", text, re.ASCII):
            raise Unfit("is not a plain number")
        number = Decimal(text)
    else:
        number = number_of(attribute)
    bits = INTEGERS[column["type"]]
    least, most = (0, 2**bits - 1) if column.get("unsigned") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    least, most = max(least, column.get("minimum", least)), min(most, column.get("maximum", most))
    if EXACT.remainder(number, Decimal(1)) or not least <= number <= most:
        raise Unfit("is out of range")
    return int(number)


def _boolean(attribute: Attribute, column: Declared) -> int:
    if "as" not in column:
        return int(member(attribute, "BOOL"))
    for answer, value in ((1, column["as"]["true"]), (0, column["as"]["false"])):
        if equals(attribute, value):
            return answer
    raise Unfit("is neither of the two values")


def equals(attribute: Attribute | None, value: Any) -> bool:
    """Whether a DynamoDB value equals a string, number or boolean of the mapping file."""
    if attribute is None:
        return False
    if isinstance(value, bool):
        return dict(attribute) == {"BOOL": value}
    if isinstance(value, str):
        return dict(attribute) == {"S": value}
    return set(attribute) == {"N"} and Decimal(attribute["N"]) == Decimal(value)


def _date(attribute: Attribute, column: Declared) -> str:
    if column.get("as") in EPOCHS:
        moment = _moment_of_epoch(attribute, EPOCHS[column["as"]])
        if moment.time() != datetime.min.time():
            raise Unfit("is not midnight UTC")
        return f"{moment:%Y-%m-%d}"
    text = text_of(attribute)
    if not re.fullmatch(r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}", text, re.ASCII):
        raise Unfit("is not a date")
    try:
        datetime.strptime(f"{text}+0000", "%Y-%m-%d%z")
    except ValueError:
        raise Unfit("is not a date") from None
    return text


def _time(attribute: Attribute, column: Declared) -> str:
    found = re.fullmatch(r"((?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])(?:\.([0-9]+))?", text_of(attribute), re.ASCII)
    if not found:
        raise Unfit("is not a time")
    return found[1] + _fraction(found[2] or "", column.get("fraction", 0))


def _fraction(digits: str, places: int) -> str:
    if digits[places:].strip("0"):
        raise Unfit("has more digits than its column")
    return "." + digits[:places].ljust(places, "0") if places else ""


EPOCHS = {"epoch_seconds": 1, "epoch_milliseconds": 1000}
ISO_8601 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]+))?(Z|[+-][0-9]{2}:[0-9]{2})?", re.ASCII
)


def _datetime(attribute: Attribute, column: Declared) -> str:
    places = column.get("fraction", 0)
    if column.get("as") in EPOCHS:
        moment = _moment_of_epoch(attribute, EPOCHS[column["as"]])
        return f"{moment:%Y-%m-%d %H:%M:%S}" + _fraction(f"{moment.microsecond:06}", places)
    found = ISO_8601.fullmatch(text_of(attribute))
    if not found or not (found[3] or column.get("as") == "iso8601_utc"):
        raise Unfit("is no time with a zone")
    try:
        moment = datetime.fromisoformat(found[1] + (found[3] or "Z")).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unfit("is not a time") from None
    return f"{_in_range(moment):%Y-%m-%d %H:%M:%S}" + _fraction(found[2] or "", places)


def _moment_of_epoch(attribute: Attribute, units_per_second: int) -> datetime:
    microseconds = EXACT.multiply(number_of(attribute), Decimal(1_000_000 // units_per_second))
    if EXACT.remainder(microseconds, Decimal(1)):
        raise Unfit("has more digits than microseconds")
    try:
        return _in_range(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(microseconds)))
    except OverflowError:
        raise Unfit("is out of range") from None


def _in_range(moment: datetime) -> datetime:
    if moment.year < 1000:
        raise Unfit("is out of range")
    return moment


def _binary(attribute: Attribute, column: Declared) -> bytes:
    text = text_of(attribute) if column.get("as") == "base64" else member(attribute, "B")
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Unfit("is not base64") from None
    if len(content) > column["length"]:
        raise Unfit("is too long")
    return content


def _uuid(attribute: Attribute, column: Declared) -> str | bytes:
    text = text_of(attribute)
    if not re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", text, re.ASCII):
        raise Unfit("is not a UUID")
    return bytes.fromhex(text.replace("-", "")) if column.get("stored") == "bytes" else text


def _enum(attribute: Attribute, column: Declared) -> str:
    text = text_of(attribute)
    if text not in column["values"]:
        raise Unfit("is not one of the values")
    return text


def _json(attribute: Attribute, column: Declared) -> Json:
    return Json(json_content(attribute, numbers_as_strings=column.get("numbers") == "string"))


def json_content(attribute: Attribute, *, numbers_as_strings: bool = False) -> Any:
    """The JSON of a DynamoDB value. Raises Unfit for a number that MySQL's JSON would round."""

    def number(text: str) -> Any:
        return plain_text(Decimal(text)) if numbers_as_strings else _json_number(Decimal(text))

    def content(value: Attribute) -> Any:
        ((kind, of_kind),) = value.items()
        return {
            "S": lambda: text_of(value),
            "N": lambda: number(of_kind),
            "BOOL": lambda: of_kind,
            "NULL": lambda: None,
            "B": lambda: of_kind,
            "M": lambda: {name: content(inner) for name, inner in of_kind.items()},
            "L": lambda: [content(inner) for inner in of_kind],
            "SS": lambda: sorted(of_kind),
            "NS": lambda: [number(text) for text in sorted(of_kind, key=Decimal)],
            "BS": lambda: sorted(of_kind, key=base64.b64decode),
        }[kind]()

    return content(attribute)


def _json_number(number: Decimal) -> Decimal:
    whole = not EXACT.remainder(number, Decimal(1))
    if (whole and -(2**63) <= number < 2**64) or Decimal(repr(float(number))) == number:
        return number
    raise Unfit("is a number that JSON would round")


def json_of_text(text: str) -> Json:
    """The document of a text. Raises ValueError where the text is not the canonical one."""

    class Number(str):
        __slots__ = ()

    def written(value: Any) -> str:
        if isinstance(value, Number):
            return str(value)
        if isinstance(value, list):
            return f"[{','.join(map(written, value))}]"
        if isinstance(value, dict):
            members = (f"{json.dumps(name, ensure_ascii=False)}:{written(value[name])}" for name in sorted(value))
            return f"{{{','.join(members)}}}"
        return json.dumps(value, ensure_ascii=False)

    if written(json.loads(text, parse_int=Number, parse_float=Number)) != text:
        raise ValueError("the text is not canonical JSON")
    return Json(json.loads(text, parse_int=Decimal, parse_float=Decimal))


def is_same(expected: Any, actual: Any) -> bool:
    """Whether a value is the one that the reference expects. The type counts; a JSON text must be canonical."""
    if isinstance(expected, Json):
        return isinstance(actual, str) and json_of_text(actual) == expected
    return type(expected) is type(actual) and expected == actual


CONVERSIONS: dict[str, Callable[[Attribute, Declared], Any]] = {
    "string": _string,
    "text": _text,
    "decimal": _decimal,
    **dict.fromkeys(INTEGERS, _integer),
    "boolean": _boolean,
    "date": _date,
    "time": _time,
    "datetime": _datetime,
    "binary": _binary,
    "uuid": _uuid,
    "json": _json,
    "enum": _enum,
}
