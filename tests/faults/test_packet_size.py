"""A statement larger than max_allowed_packet: the server cuts the connection, which looks like an outage."""

from __future__ import annotations

import dataclasses

import pytest

from common.columns.string import StringType
from common.mapping import Mapping
from tests.support.two_mappings import over_both

SMALLEST = 16_384  # the server's buffer: it accepts what fits there, whatever the setting


@pytest.fixture
def smallest_packet(tables):
    """The least that a server can be made to take; new connections have it."""
    before = tables.run("SELECT @@GLOBAL.max_allowed_packet")[0][0]
    tables.run(f"SET GLOBAL max_allowed_packet = {SMALLEST}")
    yield
    tables.run(f"SET GLOBAL max_allowed_packet = {before}")


@over_both
def test_statements_fit_into_max_allowed_packet(items, smallest_packet, new_consumer):
    """The packet size limits statements even where a larger size is configured."""
    consumer = new_consumer(statement_bytes=16_000_000)
    names = [f"k{n:04}" for n in range(1, 1001)]
    batch = [items.put(name, n, status="'" * 32) for n, name in enumerate(names, 1)]

    assert consumer.deliver(*batch) == {"upserted": 1000}

    assert items.rows() == [items.row(name, status="'" * 32) for name in names]


# The last two have fewer characters than the server takes bytes.
@pytest.mark.parametrize(
    "filling",
    ["x" * 17_000, "é" * 17_000, "'" * 17_000, "é" * 9_000, "😀" * 4_200],
    ids=["x", "é", "quotes", "few é", "few emojis"],
)
@over_both
def test_a_row_larger_than_max_allowed_packet_is_parked(*, filling, items, smallest_packet, new_consumer, s3, parked):
    """The reason names the setting to raise, and the rest of the batch is applied."""
    items.tables.run(f"ALTER TABLE {items.table} MODIFY status TEXT NOT NULL")
    consumer = new_consumer(declared=with_long_status(items.mapping))

    counts = consumer.deliver(items.put("a", 1), items.put("b", 2, status=filling), items.put("c", 3))

    assert counts == {"upserted": 2, "parked": 1}
    assert items.rows() == [items.row("a"), items.row("c")]
    assert items.versions("a", "c") == {"a": 1, "c": 3}
    [name] = parked()
    stored = s3.get_object(Bucket="failures", Key=name)["Body"].read().decode()
    assert '"errno":1153' in stored
    assert "max_allowed_packet" in stored


def with_long_status(mapping: Mapping) -> Mapping:
    [entity] = mapping.entities
    columns = tuple(
        dataclasses.replace(column, type=StringType(20_000)) if column.name == "status" else column
        for column in entity.columns
    )
    return dataclasses.replace(mapping, entities=(dataclasses.replace(entity, columns=columns),))
