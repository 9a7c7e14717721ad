"""What waits outside the stream."""

from __future__ import annotations

from backstream.status.snapshot import Counted, Snapshot, known


def waiting(snapshot: Snapshot) -> Counted:
    """Failed batches in the bucket, and pointers to failed batches in the queue."""
    failed, pointers = known(snapshot.failed, Counted(0)), known(snapshot.queue, 0)
    return Counted(failed.count + pointers, failed.more, failed.oldest)
