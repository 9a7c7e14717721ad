"""What an operator does with a deployed stack from a terminal."""

import sys

from scripts.local.settings import REPOSITORY

# The functions' own code knows how the bucket is laid out. Not by PYTHONPATH: the embedded emulator would hand it on.
if (_LAMBDAS := str(REPOSITORY / "lambdas")) not in sys.path:
    sys.path.append(_LAMBDAS)
