"""When each entity was last seeded: from then on, a seed of changed rows has to look.

Only a seed that has finished counts. One of a given value does not, because it may have left rows out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from common.bucket import Bucket, GoneError
from common.layout import LAST_SEEDS

# What is earlier than the start of the last seed by so much is read again. A transaction may write its time long before
# it commits, clocks differ, and a call of a seed that was stopped may write for a quarter of an hour.
OVERLAP = timedelta(hours=1)
# In place of a column: all rows were read.
_ALL_ROWS = ""


@dataclass(frozen=True)
class LastSeeds:
    """`mapping` is the digest of the entities: what was seeded under another mapping has other items.

    `stream` is the ARN of the table's stream: what was seeded under another one may be in another table.
    """

    bucket: Bucket
    mapping: str
    stream: str

    def start_of(self, entity: str, column: str) -> datetime | None:
        """From when on rows may have changed since they were seeded; None where they were not seeded yet."""
        found = self._read().get(entity, {})
        times = [datetime.fromisoformat(found[name]) for name in (_ALL_ROWS, column) if name in found]
        return max(times) - OVERLAP if times else None

    def note(self, entities: Iterable[str], column: str | None, started: str) -> None:
        """A seed has finished that began at `started`, of all rows or of those that `column` says have changed."""
        found = self._read()
        for entity in entities:
            found[entity] = {_ALL_ROWS: started} if column is None else {**found.get(entity, {}), column: started}
        self.bucket.write_json(LAST_SEEDS, {"mapping": self.mapping, "stream": self.stream, "entities": found})

    def _read(self) -> dict[str, Any]:
        try:
            stored = self.bucket.read_json(LAST_SEEDS)
        except GoneError:
            return {}
        found: dict[str, Any] = stored["entities"]
        return found if (stored["mapping"], stored.get("stream")) == (self.mapping, self.stream) else {}
