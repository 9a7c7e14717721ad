"""The values of key columns, from the keys of records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as Json
from typing import Any

from common.changes import Value
from common.columns.column_type import ContentDecoder
from common.keys import key_text
from common.mapping import Column, Entity, KeyAttribute, Mapping
from common.poison import PoisonError
from common.templates import Template

Keys = Sequence[Json[str, Any]]
Columns = list[Sequence[Value]]

_HINT = "a key cannot be changed: write the item again under a valid key, delete this item, then discard its records"


class KeyDecoder:
    """The keys of one entity."""

    def __init__(self, mapping: Mapping, entity: Entity) -> None:
        self._entity = entity.name
        by_name = {column.name: column for column in entity.key}
        self._parts = [
            (key, template, [_content_decoder(key, template, by_name[name]) for name in template.columns])
            for key, template in _templates(mapping, entity)
        ]
        captured = [name for _, template in _templates(mapping, entity) for name in template.columns]
        self._order = [captured.index(name) for name in by_name]
        self._in_order = self._order == sorted(self._order)

    def __call__(self, keys: Keys) -> Columns:
        """The values of each key column, side by side, in the order of the primary key.

        Raises PoisonError, and KeyError or TypeError for what DynamoDB never sends.
        """
        columns: Columns = []
        for key, template, decoders in self._parts:
            contents = key.contents(keys)
            try:
                parts = _split(key, template, contents)
                columns += [decode(part) for decode, part in zip(decoders, parts, strict=True)]
            except PoisonError as error:
                raise PoisonError(str(error), _HINT) from None
        return columns if self._in_order else [columns[index] for index in self._order]

    def text(self, keys: Json[str, Any]) -> str:
        """The text of one key. If its values do not fit, the text is made of the key attributes as they are.

        Raises KeyError, TypeError or AttributeError for what DynamoDB never sends.
        """
        try:
            return key_text(self._entity, [values[0] for values in self([keys])])
        except PoisonError:
            return key_text(self._entity, [key.contents([keys])[0] for key, _, _ in self._parts])


def _templates(mapping: Mapping, entity: Entity) -> Iterator[tuple[KeyAttribute, Template]]:
    for key, template in (
        (mapping.partition_key, entity.templates.partition_key),
        (mapping.sort_key, entity.templates.sort_key),
    ):
        if key and template:
            yield key, template


def _split(key: KeyAttribute, template: Template, contents: Sequence[Any]) -> Sequence[Sequence[Any]]:
    try:
        return template.split(contents)
    except ValueError as error:
        raise PoisonError(f"key {key.attribute} {error}") from None


def _content_decoder(key: KeyAttribute, template: Template, column: Column) -> ContentDecoder[Value]:
    subject = f"key {key.attribute}" if template.is_whole else f"column {column.name} of key {key.attribute}"
    decoder: Callable[[str], ContentDecoder[Value]]
    decoder = column.type.key_decoder if key.type == "S" else column.type.content_decoder
    return decoder(subject)
