"""python -m backstream."""

import sys

from backstream.cli import main

sys.exit(main())
