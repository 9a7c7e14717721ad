"""A server one millisecond away: the delay proxy, set so that the round trip through it is what was asked for."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from scripts.bench.server import Where

PROXY = Path(__file__).with_name("delay_proxy.py")
PINGS = 200


@contextmanager
def away(where: Where, added: float) -> Iterator[Where]:
    """`where` with `added` seconds of round trip more. What the proxy itself takes is measured, and counts as such."""
    direct = ping(where)
    with _proxied(where, 0.0) as bare:
        own = ping(bare) - direct
    with _proxied(where, max(0.0, (added - own) / 2)) as distant:
        yield distant


def ping(where: Where) -> float:
    """Seconds of a COM_PING, the least that can be asked of a server: a round trip."""
    with where.connect() as connection:
        taken = []
        for _ in range(PINGS):
            started = time.perf_counter()
            connection.ping(reconnect=False)
            taken.append(time.perf_counter() - started)
    return median(taken)


@contextmanager
def _proxied(where: Where, delay: float) -> Iterator[Where]:
    command = [sys.executable, str(PROXY), str(where.port), str(delay)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
        try:
            yield where.through(int(proxy.stdout.readline()))  # type: ignore[union-attr]
        finally:
            proxy.kill()
