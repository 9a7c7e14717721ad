"""When a repair last deleted rows. Rows that refer to them may have gone with them, and nothing names these.

The note is one object without content, and its time is that of S3. So two runs that note at once lose nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from common.bucket import Bucket
from common.layout import LAST_DELETION
from common.verified import last_deletion


@dataclass(frozen=True)
class Deletions:
    bucket: Bucket

    def note(self) -> None:
        """Note that rows are deleted now: before it, because a call may die in between, and after it."""
        self.bucket.write_json(LAST_DELETION, {})

    def last(self) -> datetime | None:
        """None where no repair ever deleted a row."""
        return last_deletion(self.bucket)
