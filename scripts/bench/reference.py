"""The reference's way: a connection per invocation, a statement per record, autocommit; decoded by boto3."""

from __future__ import annotations

from boto3.dynamodb.types import TypeDeserializer

from scripts.bench.orders import Event
from scripts.bench.server import TABLE, Where

_COLUMNS = [column.name for column in TABLE.columns]
_UPSERT = (
    f"INSERT INTO {TABLE.name} ({', '.join(_COLUMNS)}) VALUES ({', '.join(['%s'] * len(_COLUMNS))})"
    f" ON DUPLICATE KEY UPDATE {', '.join(f'{name} = VALUES({name})' for name in _COLUMNS[1:])}"
)
_deserialize = TypeDeserializer().deserialize


def write(where: Where, event: Event) -> None:
    connection = where.connect(autocommit=True)
    with connection, connection.cursor() as cursor:
        for record in event["Records"]:
            item = {name: _deserialize(value) for name, value in record["dynamodb"]["NewImage"].items()}
            cursor.execute(_UPSERT, [item[column.attribute] for column in TABLE.columns])
