"""Measure load and verification with a million items, for some minutes: make bench-million ARGS="--only table-rate".

The table and the exit code are those of `make bench`. See docs/performance.md.
"""

from __future__ import annotations

import sys

from scripts.bench.__main__ import main, part_at
from scripts.bench.environment import prepare

PARTS = {
    "table-growth": "table_growth:rows_of_million",
    "table-memory": "table_growth:rows_of_memory_of_million",
    "table-rate": "table_rate:rows_of_a_minute",
}

if __name__ == "__main__":
    prepare()
    sys.exit(main((__doc__ or "").strip(), {name: part_at(place) for name, place in PARTS.items()}))
