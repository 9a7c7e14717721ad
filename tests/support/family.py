"""Lines that refer to parcels. The entity of a line comes before that of its parcel in key order."""

from __future__ import annotations

from typing import Any

from tests.support.item_tables import mapping_of


def _entity(table: str, prefix: str, *columns: dict[str, Any]) -> dict[str, Any]:
    return {
        "when": {"partition_key": {"starts_with": prefix}},
        "target": {
            "table": table,
            "key": {"partition_key": prefix + "{id}"},
            "key_columns": [{"column": "id", "type": "int"}],
        },
        "columns": list(columns),
    }


FAMILY = mapping_of(
    "family",
    {
        "partition_key": {"attribute": "pk", "type": "string"},
        "entities": {
            "parcel": _entity("family_parcels", "PARCEL#"),
            "line": _entity("family_lines", "LINE#", {"column": "parcel", "from": ["parcel"], "type": "int"}),
        },
    },
)
