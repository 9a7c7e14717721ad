"""A statement larger than max_allowed_packet: the server cuts the connection, which looks like an outage."""

from __future__ import annotations

import dataclasses

import pytest

from common.columns.string import StringType
from common.mysql.database import MySQLDatabase
from tests.support.records import record
from tests.support.tables import order

SMALLEST = 16_384  # the server's buffer: it accepts what fits there, whatever the setting


@pytest.fixture
def smallest_packet(tables):
    """The least that a server can be made to take; new connections have it."""
    before = tables.run("SELECT @@GLOBAL.max_allowed_packet")[0][0]
    tables.run(f"SET GLOBAL max_allowed_packet = {SMALLEST}")
    yield
    tables.run(f"SET GLOBAL max_allowed_packet = {before}")


def test_statements_fit_into_max_allowed_packet(tables, smallest_packet, new_consumer):
    """The packet size limits statements even where a larger size is configured."""
    consumer = new_consumer(statement_bytes=16_000_000)
    batch = [record(f"k{n:04}", n, merchant_id="'" * 64) for n in range(1, 1001)]

    assert consumer.deliver(*batch) == {"upserted": 1000}

    assert tables.orders() == [order(f"k{n:04}", merchant_id="'" * 64) for n in range(1, 1001)]


# The last two have fewer characters than the server takes bytes.
@pytest.mark.parametrize(
    "filling",
    ["x" * 17_000, "é" * 17_000, "'" * 17_000, "é" * 9_000, "😀" * 4_200],
    ids=["x", "é", "quotes", "few é", "few emojis"],
)
def test_a_row_larger_than_max_allowed_packet_is_parked(*, filling, tables, smallest_packet, new_consumer, s3, parked):
    """The reason names the setting to raise, and the rest of the batch is applied."""
    tables.run("ALTER TABLE tbl_orders MODIFY merchant_id TEXT NOT NULL")
    consumer = new_consumer()
    [entity] = consumer.mapping.entities
    key, merchant, *others = entity.columns
    wide = dataclasses.replace(merchant, type=StringType(20_000))
    entity = dataclasses.replace(entity, columns=(key, wide, *others))
    consumer.mapping = dataclasses.replace(consumer.mapping, entities=(entity,))
    consumer.database = MySQLDatabase(consumer.settings, consumer.parameters, consumer.mapping)

    counts = consumer.deliver(record("a", 1), record("b", 2, merchant_id=filling), record("c", 3))

    assert counts == {"upserted": 2, "parked": 1}
    assert tables.orders() == [order("a"), order("c")]
    assert tables.sidecar() == [("a", 1, 0), ("c", 3, 0)]
    [name] = parked()
    stored = s3.get_object(Bucket="failures", Key=name)["Body"].read().decode()
    assert '"errno":1153' in stored
    assert "max_allowed_packet" in stored
    consumer.database.drop()
