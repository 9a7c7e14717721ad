"""Looks at the pointers in the failures queue without taking any.

A message is received with a visibility timeout of 0, so it stays visible, and a replay receives it meanwhile. The
handle that a replay has is then the newer one, and the only one that deletes the message. Messages that a replay has
taken are not seen, but counted: they leave the queue after their records are safe.
Sources: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessage.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from common.arrivals import parse_time

# Requests in one call. SQS answers from a part of its servers, so it takes some to see each message.
_MOST_REQUESTS = 40
_FRUITLESS_REQUESTS = 3
_COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")


class Pointers(NamedTuple):
    """About how many pointers the queue holds, and the earliest arrival of a record that those seen state.

    `failed` is when the first of those seen was given up. With `unseen`, some were not looked at, or a replay has them.
    """

    number: int = 0
    arrived: datetime | None = None
    failed: datetime | None = None
    unseen: bool = False


@dataclass(frozen=True)
class Queue:
    """`sqs` is a boto3 client."""

    sqs: Any
    url: str

    def look(self) -> Pointers:
        """Raises ClientError or BotoCoreError.

        Where there are more messages than one call sees, the next call sees others: SQS moves a message that was
        received three times to the back of the queue.
        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
        """
        seen = self._seen()
        visible, hidden = self._counts()
        arrivals = [time for body in seen.values() if (time := _arrival(body))]
        failures = [time for body in seen.values() if (time := parse_time(body.get("timestamp")))]
        number = max(visible, len(seen)) + hidden
        return Pointers(number, min(arrivals, default=None), min(failures, default=None), number > len(seen))

    def _seen(self) -> dict[str, Mapping[str, Any]]:
        """The bodies of messages, by message id. It ends when some requests in a row bring no new one."""
        seen: dict[str, Mapping[str, Any]] = {}
        fruitless = 0
        for _ in range(_MOST_REQUESTS):
            answer = self.sqs.receive_message(
                QueueUrl=self.url, MaxNumberOfMessages=10, VisibilityTimeout=0, WaitTimeSeconds=1
            )
            messages = answer.get("Messages", [])
            if not messages:
                break
            before = len(seen)
            seen |= {message["MessageId"]: _parse(message["Body"]) for message in messages}
            fruitless = 0 if len(seen) > before else fruitless + 1
            if fruitless == _FRUITLESS_REQUESTS:
                break
        return seen

    def _counts(self) -> tuple[int, int]:
        """About how many messages are visible, and how many a replay has taken."""
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=list(_COUNTS))["Attributes"]
        visible, hidden = (int(found[name]) for name in _COUNTS)
        return visible, hidden


def _parse(body: str) -> Mapping[str, Any]:
    """Empty for a message that is no pointer, which a replay reports as a problem."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _arrival(body: Mapping[str, Any]) -> datetime | None:
    info = body.get("DDBStreamBatchInfo")
    return parse_time(info.get("approximateArrivalOfFirstRecord")) if isinstance(info, dict) else None
