"""Mappings that the build accepts, and records of items near them: many fit, many just do not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from tests.support.attribute_strategies import attributes, base64_of, numbers, texts
from tests.support.column_strategies import KEY_TYPES, columns, const, fitting, key_column, options
from tests.support.records import ARN, START, TTL_IDENTITY

Document = Mapping[str, Any]

# Reserved words too: every statement must quote its names.
COLUMN_NAMES = ("a", "b", "c", "d", "select", "key", "order", "Group", "x_1", "rank", "values", "row")
ATTRIBUTES = ("name", "a.b", "Größe", "🦊", "with space", "nested", "list", "value", "type", "x")
LITERALS = ("#", "|", "::", "-L-", "/", "#x#", "%", "é")
MOST_INDEX_BYTES = 3072
KINDS = {"string": "S", "number": "N", "binary": "B"}


# Mappings


@st.composite
def mappings(draw: st.DrawFn, most: int = 3) -> dict[str, Any]:
    """The JSON of a mapping file with one to `most` entities, without `prepare`."""
    document: dict[str, Any] = {"partition_key": {"attribute": "pk", "type": draw(st.sampled_from(list(KINDS)))}}
    if draw(st.booleans()):
        document["sort_key"] = {"attribute": "sk", "type": draw(st.sampled_from(list(KINDS)))}
    if draw(st.booleans()):
        document["ttl_attribute"] = "expires"
    conditions = draw(_conditions(document, most))
    document["entities"] = {
        f"entity_{number}": draw(_entities(document, condition, f"table_{number}"))
        for number, condition in enumerate(conditions)
    }
    return document


@st.composite
def _conditions(draw: st.DrawFn, document: Document, most: int) -> list[dict[str, Any]]:
    """`when` of one to `most` entities, of which no item can match two."""
    number = draw(st.integers(1, most))
    ways = ["attribute"] + [
        role for role in ("partition_key", "sort_key") if role in document and document[role]["type"] != "binary"
    ]
    if number == 1 and draw(st.booleans()):
        return [{}]
    # The partition key of a table without sort key must stay free, as a row needs a key column.
    way = draw(st.sampled_from(ways))
    alone = way != "attribute" and not (way == "sort_key" or "sort_key" in document)
    if way == "attribute":
        path = draw(st.sampled_from((["type"], ["nested", "type"], ["list", 0], ["a.b"])))
        values = draw(
            st.lists(
                st.sampled_from(("line", "", "🦊", 1, 0, -2.5, True, False)),
                min_size=number,
                max_size=number,
                unique_by=lambda value: (type(value) is bool, type(value) is str, value),
            )
        )
        return [{"attribute": {"path": path, "equals": value}} for value in values]
    if document[way]["type"] == "number":
        if alone:
            return [{}]
        values = draw(st.lists(st.integers(-3, 3), min_size=number, max_size=number, unique=True))
        return [{way: {"equals": value}} for value in values]
    prefixes = draw(st.permutations(("A#", "BB", "🦊-")))[:number]
    kinds = ["starts_with"] if alone else ["starts_with", "equals"]
    return [{way: {draw(st.sampled_from(kinds)): prefix}} for prefix in prefixes]


@st.composite
def _entities(draw: st.DrawFn, document: Document, when: dict[str, Any], table: str) -> dict[str, Any]:
    names = iter(draw(st.permutations(COLUMN_NAMES)))
    templates, key_columns = {}, []
    for role in ("partition_key", "sort_key"):
        if role in document and "equals" not in when.get(role, {}):
            templates[role], made = draw(_template(document[role]["type"], when.get(role, {}), names))
            key_columns += made
    if sum(map(_index_bytes, key_columns)) > MOST_INDEX_BYTES:
        for column in [one for one in key_columns if "length" in one]:
            column["length"] = min(column["length"], 64)
    entity: dict[str, Any] = {"when": when} if when else {}
    entity["target"] = {"table": table, "key": templates, "key_columns": draw(st.permutations(key_columns))}
    entity["columns"] = [draw(_mapped_column(next(names))) for _ in range(draw(st.integers(0, 4)))]
    unmapped = draw(st.sampled_from((None, "ignore", "quarantine", {"column": "extra"})))
    if unmapped is not None:
        entity["unmapped"] = unmapped
    removals: tuple[Any, ...] = (None, "delete", "ignore", {"flag": "gone"}, {"flag": "gone", "time": "gone_at"})
    entity |= {policy: one for policy in ("deletes", "ttl") if (one := draw(st.sampled_from(removals))) is not None}
    if "flag" in entity.get("deletes", ()) and "flag" in entity.get("ttl", ()):
        entity["ttl"] = entity["deletes"]
    if "attribute" in entity.get("when", {}):
        _agree(entity)
    return entity


def _index_bytes(column: Document) -> int:
    return int(column.get("length", 20)) * (1 if column.get("ascii") or column["type"] == "binary" else 4)


@st.composite
def _template(draw: st.DrawFn, kind: str, condition: dict[str, Any], names: Any) -> tuple[str, list[dict[str, Any]]]:
    if kind != "string":
        column = draw(key_column(next(names), KEY_TYPES[kind]))
        return f"{{{column['column']}}}", [column]
    # A template may begin with a part of the text that `when` asks for, or continue it.
    prefix = condition.get("starts_with", "")
    cut = draw(st.integers(0, len(prefix)))
    template = prefix[:cut] if cut < len(prefix) else prefix + draw(st.sampled_from(("", "", "", *LITERALS)))
    key_columns = [draw(key_column(next(names), KEY_TYPES[kind])) for _ in range(draw(st.integers(1, 3)))]
    template += f"{{{key_columns[0]['column']}}}"
    for column in key_columns[1:]:
        template += f"{draw(st.sampled_from(LITERALS))}{{{column['column']}}}"
    return template + draw(st.sampled_from(("", "", "", *LITERALS))), key_columns


@st.composite
def _mapped_column(draw: st.DrawFn, name: str) -> dict[str, Any]:
    column = {"column": name} | draw(columns())
    if draw(st.integers(0, 9)) == 0:
        return {"const": draw(const(column))} | column
    column["from"] = draw(_paths)
    for policy in ("absent", "null"):
        match draw(st.sampled_from(("", "", "reject", "null", "default"))):
            case "default":
                column[policy] = {"default": draw(const(column))}
            case "":
                pass
            case stated:
                column[policy] = stated
    return column


_paths = st.one_of(
    st.sampled_from([[name] for name in ATTRIBUTES]),
    st.lists(st.one_of(st.sampled_from(ATTRIBUTES), st.integers(0, 2)), max_size=4).map(lambda rest: ["nested", *rest]),
    st.lists(st.one_of(st.sampled_from(ATTRIBUTES), st.integers(0, 2)), max_size=2).map(
        lambda rest: ["list", 0, *rest]
    ),
)


# Items and records


@st.composite
def records(draw: st.DrawFn, document: Document) -> dict[str, Any]:
    """A stream record of an item that is near one of the entities, often with all that its columns need."""
    entity = document["entities"][draw(st.sampled_from(list(document["entities"])))]
    keys = draw(_keys(document, entity))
    event = draw(st.sampled_from(("INSERT", "MODIFY", "MODIFY", "REMOVE")))
    time = START + draw(st.integers(0, 1000))
    body: dict[str, Any] = {
        "ApproximateCreationDateTime": time,
        "Keys": keys,
        "SequenceNumber": str(8 * 10**20 + draw(st.integers(1, 1000))),
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    }
    if event != "REMOVE":
        body["NewImage"] = draw(_images(document, entity, keys))
    if event != "INSERT" and draw(st.booleans()):
        body["OldImage"] = draw(_images(document, entity, keys))
    record = {"eventName": event, "eventSource": "aws:dynamodb", "eventSourceARN": ARN, "dynamodb": body}
    if event == "REMOVE" and draw(st.booleans()):
        record["userIdentity"] = draw(st.sampled_from((TTL_IDENTITY, {"type": "Service", "principalId": "other"})))
    return record


@st.composite
def _keys(draw: st.DrawFn, document: Document, entity: Document) -> dict[str, Any]:
    return {
        document[role]["attribute"]: draw(_key(document, entity, role, longest))
        for role, longest in (("partition_key", 2048), ("sort_key", 1024))
        if role in document
    }


@st.composite
def _key(draw: st.DrawFn, document: Document, entity: Document, role: str, longest: int) -> dict[str, Any]:
    kind = KINDS[document[role]["type"]]
    condition = entity.get("when", {}).get(role, {})
    if draw(st.integers(0, 19)) == 0:
        return draw(
            {"S": _key_texts(longest), "N": numbers, "B": _key_bytes(longest)}[kind].map(lambda value: {kind: value})
        )
    if "equals" in condition:
        return {kind: str(condition["equals"])}
    template = entity["target"]["key"][role]
    declared = {column["column"]: column for column in entity["target"]["key_columns"]}
    if kind != "S":
        return draw(fitting(declared[template.strip("{}")]))
    parts = re.split(r"\{(\w+)\}", template)
    drawn = [
        part if number % 2 == 0 else draw(_captures(declared[part], parts[number + 1]))
        for number, part in enumerate(parts)
    ]
    text = "".join(drawn)
    if draw(st.integers(0, 9)) == 0:
        text += draw(st.sampled_from(("#", "0", " ", "::", "x#")))
    return {"S": _cut(text, longest) or "-"}


def _key_texts(longest: int) -> st.SearchStrategy[str]:
    return texts(longest, least=1).map(lambda text: _cut(text, longest))


def _key_bytes(longest: int) -> st.SearchStrategy[str]:
    return base64_of(1, longest)


def _cut(text: str, longest: int) -> str:
    return text.encode()[:longest].decode(errors="ignore")


def _captures(column: Document, literal: str) -> st.SearchStrategy[str]:
    """Texts that a template may capture for a column: canonical ones, and their near misses."""
    natural = options(column)
    if column["type"] == "string":
        ascii_only = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8)
        wide = texts(column["length"], least=1)
        full = ascii_only.map(lambda drawn: drawn * column["length"])
        text = st.one_of(ascii_only, full if column.get("ascii") else wide)
        return text.map(lambda drawn: (drawn.replace(literal[0], "_") if literal else drawn)[: column["length"]])
    canonical = fitting(natural).map(lambda value: str(next(iter(value.values()))))
    if column["type"] == "datetime":
        return st.one_of(canonical, canonical.map(lambda text: re.sub(r"\.0*Z$", "Z", text)))
    return st.one_of(canonical, canonical, st.sampled_from(("007", "+7", "-0", "0", "1.0", "7", "1e3", "٣", "12 ")))


@st.composite
def _images(draw: st.DrawFn, document: Document, entity: Document, keys: dict[str, Any]) -> dict[str, Any]:
    image: dict[str, Any] = {}
    for column in entity["columns"]:
        match draw(st.integers(0, 19)):
            case 0:
                continue
            case 1:
                value = draw(attributes)
            case 2:
                value = {"NULL": True}
            case _:
                value = draw(fitting(column))
        if "from" in column:
            _put(image, column["from"], value)
    if (condition := entity.get("when", {}).get("attribute")) and draw(st.integers(0, 4)):
        _put(image, condition["path"], _as_attribute(condition["equals"]))
    for name in draw(st.lists(st.sampled_from((*ATTRIBUTES, "other", "more")), max_size=2)):
        image.setdefault(name, draw(attributes))
    if "ttl_attribute" in document and draw(st.booleans()):
        image["expires"] = draw(
            st.one_of(st.integers(START - 5, START + 2000).map(lambda time: {"N": str(time)}), attributes)
        )
    return image | keys


def with_agreeing_removals(document: dict[str, Any]) -> dict[str, Any]:
    """The mapping, where no entity flags one kind of removal and ignores the other."""
    for entity in document["entities"].values():
        _agree(entity)
    return document


def _agree(entity: dict[str, Any]) -> None:
    policies = entity.get("deletes", "delete"), entity.get("ttl", "ignore")
    flags = [one for one in policies if isinstance(one, dict)]
    if flags and "ignore" in policies:
        entity["deletes"] = entity["ttl"] = flags[0]


def _as_attribute(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"BOOL": value}
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def _put(image: dict[str, Any], path: list[str | int], value: Any) -> None:
    """Place a value at a path, making maps and lists on the way. What is there in another shape stays."""
    here: Any = {"M": image}
    for segment, following in zip(path, [*path[1:], None], strict=True):
        kind = "M" if isinstance(segment, str) else "L"
        if kind not in here:
            return
        inner = here[kind]
        while kind == "L" and len(inner) <= segment:
            inner.append({"NULL": True})
        if following is None:
            inner[segment] = value
            return
        fresh: dict[str, Any] = {"M": {}} if isinstance(following, str) else {"L": []}
        if kind == "L":
            inner[segment] = fresh if "NULL" in inner[segment] else inner[segment]
        here = inner.setdefault(segment, fresh) if kind == "M" else inner[segment]
