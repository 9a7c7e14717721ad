"""From the database's return to the first replayed row, with `auto_replay` on and nothing else changed."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.bench.rows import Row, not_measured


def rows() -> Iterator[Row]:
    yield not_measured("x", "needs AWS_ENDPOINT_URL")
