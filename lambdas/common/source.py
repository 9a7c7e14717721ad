"""Where changes come from: a DynamoDB table, and the operator's count of how often another one took its place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

HIGHEST_GENERATION = 9_999

_STREAM = re.compile(
    r"(arn:[\w-]+:dynamodb:[\w-]+:\w+:table/[\w.-]{1,255})/stream/(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})", re.ASCII
)


class Stream(NamedTuple):
    """A table's ARN, Region and account included, and the label of its stream, the time when that was enabled."""

    table_arn: str
    label: str

    @property
    def enabled(self) -> datetime:
        """When the stream was enabled."""
        return datetime.fromisoformat(self.label).replace(tzinfo=UTC)


def parse_stream(arn: str) -> Stream:
    """Raises ValueError."""
    match = _STREAM.fullmatch(arn)
    if not match:
        raise ValueError("must be the ARN of a DynamoDB stream")
    return Stream(match[1], match[2])


@dataclass(frozen=True, slots=True)
class Source:
    """A table whose changes are written. Every version of a generation is higher than all of the generations before.

    Labels and sequence numbers order the changes of one table only. The operator raises the generation when another
    table, or an older stream, takes over.
    """

    table_arn: str
    generation: int = 0

    @property
    def prefix(self) -> str:
        """The prefix of versions. Letters sort after the digit that a label begins with."""
        return f"g{self.generation:04d}_" if self.generation else ""

    def owns(self, stream_arn: str) -> bool:
        """Whether it is a stream of this table, whatever its label."""
        return stream_arn.startswith(f"{self.table_arn}/stream/")
