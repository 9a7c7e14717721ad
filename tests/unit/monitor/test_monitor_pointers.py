"""The monitor looks at the pointers in the queue, and a replay finds each of them all the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from monitor.pointers import Pointers, Queue
from tests.support.aws import SQS

URL = "https://sqs/failures"


@pytest.fixture
def sqs() -> SQS:
    return SQS(lambda: 0.0)


def send(sqs: SQS, arrived: str, failed: str = "2026-01-31T08:00:00.000Z") -> str:
    info = {"shardId": "shardId-1", "approximateArrivalOfFirstRecord": arrived}
    return sqs.send(json.dumps({"timestamp": failed, "DDBStreamBatchInfo": info}))


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 1, 31, hour, minute, tzinfo=UTC)


def test_an_empty_queue_has_no_pointers(sqs: SQS) -> None:
    assert Queue(sqs, URL).look() == Pointers(0, None, None, unseen=False)


def test_the_earliest_arrival_and_failure_are_found(sqs: SQS) -> None:
    send(sqs, "2026-01-31T06:30:00Z")
    send(sqs, "2026-01-31T02:00:00Z", failed="2026-01-31T09:00:00Z")
    assert Queue(sqs, URL).look() == Pointers(2, at(2), at(8), unseen=False)


def test_looking_takes_and_hides_no_message(sqs: SQS) -> None:
    """A replay that runs meanwhile receives and deletes each."""
    sent = [send(sqs, "2026-01-31T06:30:00Z") for _ in range(3)]
    Queue(sqs, URL).look()
    assert sqs.visible == sent
    received = sqs.receive_message(QueueUrl=URL, MaxNumberOfMessages=10, VisibilityTimeout=180, WaitTimeSeconds=0)
    Queue(sqs, URL).look()
    for message in received["Messages"]:
        sqs.delete_message(QueueUrl=URL, ReceiptHandle=message["ReceiptHandle"])
    assert sqs.messages == {}


def test_messages_that_a_replay_has_taken_are_counted(sqs: SQS) -> None:
    """They are in the queue until their records are safe. Their times are not seen."""
    send(sqs, "2026-01-31T02:00:00Z")
    sqs.receive_message(QueueUrl=URL, MaxNumberOfMessages=1, VisibilityTimeout=180, WaitTimeSeconds=0)
    send(sqs, "2026-01-31T06:00:00Z")
    assert Queue(sqs, URL).look() == Pointers(2, at(6), at(8), unseen=True)


def test_unseen_messages_are_told(sqs: SQS) -> None:
    """SQS may answer with the same messages again and again: the requests of one call are bounded."""
    for minute in range(25):
        send(sqs, f"2026-01-31T06:{minute:02d}:00Z")
    assert Queue(sqs, URL).look() == Pointers(25, at(6), at(8), unseen=True)
    assert max(message.receives for message in sqs.messages.values()) == 4


def test_requests_end_when_all_messages_keep_coming(sqs: SQS) -> None:
    """A queue that always has a new message does not hold the call."""

    class Endless(SQS):
        asked = 0

        def receive_message(self, **_: Any) -> dict[str, Any]:
            self.asked += 1
            return {"Messages": [{"MessageId": str(self.asked), "Body": "{}"}]}

    queue = Endless(lambda: 0.0)
    assert Queue(queue, URL).look().number == queue.asked == 40


@pytest.mark.parametrize(
    "body", ["no JSON", "[1]", "{}", '{"DDBStreamBatchInfo": 1}', '{"DDBStreamBatchInfo": {}}', "[" * 100_000]
)
def test_a_message_that_is_no_pointer_is_counted(sqs: SQS, body: str) -> None:
    """A replay reports it as a problem. It has no time."""
    sqs.send(body)
    assert Queue(sqs, URL).look() == Pointers(1, None, None, unseen=False)
