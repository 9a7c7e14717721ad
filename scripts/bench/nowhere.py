"""Where the functions' log lines and metrics go: they are made and written, and read by nobody."""

from __future__ import annotations

import os
from contextlib import redirect_stdout
from pathlib import Path

_NOWHERE = Path(os.devnull).open("w")  # noqa: SIM115 - as long as the process


def silence() -> redirect_stdout[object]:
    return redirect_stdout(_NOWHERE)


with silence():  # the logger keeps the stream that it finds while being imported
    import common.telemetry  # noqa: F401
