"""Checks planned values against AWS's own constraints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support import aws_models
from tests.support.aws_translation import DOCUMENTED, RELATED, TRANSLATIONS, UNSET, Translation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.support.plans import Planned

Untranslated = set[tuple[str, str]]


@dataclass(frozen=True)
class Violation:
    plan: str
    address: str
    attribute: str
    said_by: str
    error: str


def violations(planned: Iterable[Planned]) -> list[Violation]:
    """In the order of the plans. A value that two models refuse is listed twice."""
    return [
        Violation(resource.plan, resource.address, attribute, said_by, error)
        for resource in planned
        for attribute, said_by, error in _refused(resource)
    ]


def untranslated(planned: Iterable[Planned]) -> Untranslated:
    """Type and attribute of every planned value that no model knows."""
    return {
        (resource.type, attribute)
        for resource in planned
        for attribute, _ in attributes(resource.values)
        if not any(_nodes(translation, attribute) for translation in TRANSLATIONS.get(resource.type, ()))
    }


def attributes(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its path. A block is a list of mappings. Another mapping is one value."""
    for name, value in values.items():
        path = prefix + name
        if value in (None, "", [], {}):
            continue  # not set, and not sent
        if isinstance(value, list) and isinstance(value[0], dict):
            for block in value:
                yield from attributes(block, f"{path}.")
        else:
            yield path, value


def _refused(resource: Planned) -> Iterator[tuple[str, str, str]]:
    """Attribute, the model or page that refuses it, and the error."""
    found = dict(attributes(resource.values))
    for attribute, value in attributes(resource.values):
        key = (resource.type, attribute)
        if key in UNSET and UNSET[key] == value:
            continue
        for translation in TRANSLATIONS.get(resource.type, ()):
            root = aws_models.schema_of(translation.model)
            for node in _nodes(translation, attribute):
                yield from ((attribute, translation.model, error) for error in aws_models.errors(root, node, value))
        if key in DOCUMENTED:
            rule = DOCUMENTED[key]
            yield from ((attribute, rule.source, error) for error in aws_models.errors({}, rule.schema, value))
    relation = RELATED.get(resource.type)
    if relation and found.get(relation.smaller, 0) > found[relation.larger]:
        error = f"{found[relation.smaller]} is above {relation.larger}, {found[relation.larger]}"
        yield relation.smaller, relation.source, error


def _nodes(translation: Translation, attribute: str) -> list[aws_models.Schema]:
    """The schemas of the model for an attribute. Empty when the model has no such member."""
    root = aws_models.schema_of(translation.model)
    nodes = [root]
    for name in _translate(translation.names, attribute).split("."):
        nodes = [child for node in nodes for child in aws_models.children(root, node, name)]
    return nodes


def _translate(names: Mapping[str, str], attribute: str) -> str:
    """Replaces the longest first part that has a name in `names`."""
    parts = attribute.split(".")
    for length in range(len(parts), -1, -1):
        own = names.get(".".join(parts[:length]))
        if own is not None:
            return ".".join([own, *parts[length:]])
    return attribute
