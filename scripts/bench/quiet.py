"""Log lines and metrics of the functions are written, as in Lambda, but to the null device."""

from __future__ import annotations

import logging
import os
from contextlib import redirect_stdout
from pathlib import Path
from typing import TextIO

from common.telemetry import logger

_NULL_DEVICE: TextIO = Path(os.devnull).open("w")  # noqa: SIM115 - as long as the process

# The logger keeps the stdout that it found when it was made.
for handler in logger.handlers:
    if isinstance(handler, logging.StreamHandler):
        handler.setStream(_NULL_DEVICE)


def quiet() -> redirect_stdout[TextIO]:
    return redirect_stdout(_NULL_DEVICE)
