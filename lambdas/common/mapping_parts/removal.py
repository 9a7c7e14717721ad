"""What happens to the row of an item that is gone."""

from __future__ import annotations

from typing import Any

from common.columns import TYPES
from common.mapping import Action, Column, Instead, Removal
from common.mapping_parts.fields import Fields

_FLAG = TYPES["boolean"].with_options({})
_FLAG_TIME = TYPES["datetime"].with_options({})


def read_removal(fields: Fields, field: str, declared: Any) -> tuple[Removal, list[Column]]:
    if declared in ("delete", "ignore"):
        return Removal(Action(declared)), []
    with fields.within(field):
        if not isinstance(declared, dict):
            fields.problem("", 'must be "delete", "ignore" or {"flag": a column, "time": a column}')
        elif fields.is_object("", declared, ("flag",), ("time",)):
            flag, time = (fields.identifier(name, declared) for name in ("flag", "time"))
            columns = [Column(flag, (), _FLAG, const=Instead(0))] if flag else []
            columns += [Column(time, (), _FLAG_TIME, nullable=True, const=Instead(None))] if time else []
            return Removal(Action.FLAG, flag, time), columns
    return Removal(), []
