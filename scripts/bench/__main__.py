"""Measure Backstream against its goals: make bench ARGS="--only writer,post --skip up".

Prints a table on stdout and exits non-zero where a goal is missed or was not measured. See docs/performance.md.
"""

from __future__ import annotations

import sys

from scripts.bench.environment import prepare

prepare()

# Functions read the environment while being imported.
from scripts.bench.main import main  # noqa: E402
from scripts.bench.parts import PARTS  # noqa: E402

if __name__ == "__main__":
    sys.exit(main((__doc__ or "").strip(), PARTS))
