"""What the consumer measures of itself: CloudWatch's metrics on AWS, lines of the log on an emulator.

Emulators make no metrics of the lines in the embedded metric format.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from backstream.status.snapshot import Flow

# Counts of the consumer that are shown as totals.
TOTALS = (
    "received",
    "upserted",
    "deleted",
    "seeded",
    "stale",
    "redelivered",
    "superseded",
    "parked",
    "deferred",
    "unknown",
    "clock_tripped",
    "held",
    "stopped",
)
# Counts of errors that hold or stop the consumer, by class.
CAUSES = (
    "database_unreachable",
    "connection_lost",
    "database_busy",
    "rows_locked",
    "database_read_only",
    "storage_full",
    "login_refused",
    "tls_refused",
)
NOT_APPLIED = "batch not applied"


class Measures(Protocol):
    def read(self, now: datetime) -> Flow:
        """Raises ClientError or BotoCoreError."""
