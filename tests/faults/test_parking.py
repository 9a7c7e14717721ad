"""The bucket for what can never be written is out of reach. Then nothing may be acknowledged, and nothing is lost."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.config import Config

from common.database import HoldError
from common.layout import QUARANTINE, folder_of
from common.quarantine import ParkError
from tests.support.deliveries import BUCKET, PLAIN
from tests.support.records import record
from tests.support.tables import order
from tests.support.two_mappings import over_both


class FailingS3:
    """A boto3 client whose first `failures` puts fail, each with an error of the real client."""

    def __init__(self, s3: Any, failures: int) -> None:
        self._s3, self._failures = s3, failures

    def put_object(self, **request: Any) -> Any:
        self._failures -= 1
        return self._s3.put_object(**request | ({"Bucket": "no-such-bucket"} if self._failures >= 0 else {}))


@over_both
@pytest.mark.parametrize("poison", [1, 3])
def test_a_failed_parking_leaves_the_batch_unacknowledged(*, poison, items, log, proxy, new_consumer, s3, parked):
    """The next delivery parks the record."""
    bucket = FailingS3(s3, failures=1)
    consumer = new_consumer(port=proxy.port, username=PLAIN, tls="off", s3=lambda: bucket)
    bad = [items.put(f"bad{n}", 10 + n, amount="0.00001") for n in range(poison)]
    batch = [items.put("a", 1), *bad, items.put("z", 2)]

    with pytest.raises(ParkError, match=r"^cannot park a record as s3://failures/quarantine/\w+/.*: NoSuchBucket: "):
        consumer.deliver(*batch)
    assert items.rows() == [items.row("a"), items.row("z")]
    assert items.versions("a", "z") == {"a": 1, "z": 2}

    assert consumer.deliver(*batch) == {"redelivered": 2, "parked": poison}
    assert log() == [("a", "NEW"), ("z", "NEW")]
    folders = [folder_of(items.key(f"bad{n}"), QUARANTINE) for n in range(poison)]
    assert [name.rpartition("/")[0] for name in parked()] == [folder.rstrip("/") for folder in folders]
    stored = [json.loads(s3.get_object(Bucket=BUCKET, Key=name)["Body"].read()) for name in parked()]
    assert [found["record"] for found in stored] == bad
    assert proxy.connections == 1


def test_an_unreachable_bucket_holds_as_well(tables, new_consumer):
    once = Config(retries={"total_max_attempts": 1}, connect_timeout=1)
    unreachable = boto3.client("s3", endpoint_url="http://127.0.0.1:1", config=once)
    consumer = new_consumer(s3=lambda: unreachable)

    with pytest.raises(ParkError, match=r"(EndpointConnection|ConnectTimeout)Error"):
        consumer.deliver(record("a", 1), record("bad", 2, status=None))

    assert tables.orders() == [order("a")]


def test_nothing_is_parked_while_the_database_is_down(tables, proxy, consumer, parked):
    """A newer record may supersede it before the database answers."""
    proxy.refuse()
    for _ in range(2):
        with pytest.raises(HoldError, match="MySQL error 2003"):
            consumer.deliver(record("a", 1), record("bad", 2, amount="0.00001"))
    assert parked() == []
    proxy.listen()

    assert consumer.deliver(record("a", 1), record("bad", 2, amount="0.00001")) == {"upserted": 1, "parked": 1}


@over_both
def test_redelivered_poison_is_parked_under_the_same_name(items, log, proxy, consumer, parked):
    batch = [items.put("a", 1), items.put("bad", 2, amount="0.00001")]

    assert consumer.deliver(*batch) == {"upserted": 1, "parked": 1}
    proxy.reset()
    assert consumer.deliver(*batch) == {"redelivered": 1, "parked": 1}

    assert len(parked()) == 1
    assert log() == [("a", "NEW")]
