"""The values that a column of an existing table would not store as they are. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from common.mapping import Column, Entity
from common.mysql.columns import ActualColumn, Rule, holds_null
from common.mysql.target import ValueCheck


def checks(entity: Entity, columns: Mapping[str, ActualColumn]) -> tuple[ValueCheck, ...]:
    """The checks of values that the server would store changed, without an error."""
    return tuple(_value_checks(entity, columns, lambda column: column.type.mysql.checks))


def limits(entity: Entity, columns: Mapping[str, ActualColumn]) -> tuple[ValueCheck, ...]:
    """The checks of values that the server would refuse, with its error number."""
    return tuple(_value_checks(entity, columns, lambda column: (holds_null, *column.type.mysql.limits)))


def _value_checks(
    entity: Entity, columns: Mapping[str, ActualColumn], rules_of: Callable[[Column], Iterable[Rule]]
) -> Iterator[ValueCheck]:
    for index, column in enumerate(entity.columns):
        actual = columns.get(column.name)
        if actual:
            for check in filter(None, (rule(actual) for rule in rules_of(column))):
                yield ValueCheck(column.name, actual.full_type, index, *check)
