"""A server some distance away: a TCP proxy that delivers everything late by a fixed time, each way.

python -m scripts.bench.delay_proxy <port of the server> <seconds>

The proxy is a process of its own, so that it takes no time from the one that is measured. It prints its port.
"""

from __future__ import annotations

import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from scripts.bench.server import Endpoint

CHUNK_BYTES = 1 << 18
PINGS = 200


@contextmanager
def delayed(endpoint: Endpoint, seconds: float) -> Iterator[Endpoint]:
    """`endpoint` with `seconds` added to its round trip. The time that the proxy itself takes is part of them."""
    direct = round_trip(endpoint)
    with _proxy(endpoint, 0.0) as undelayed:
        own = round_trip(undelayed) - direct
    with _proxy(endpoint, max(0.0, (seconds - own) / 2)) as distant:
        yield distant


def round_trip(endpoint: Endpoint) -> float:
    """Seconds of a COM_PING, the least work for a server."""
    with endpoint.connect() as connection:
        taken = []
        for _ in range(PINGS):
            started = time.perf_counter()
            connection.ping(reconnect=False)
            taken.append(time.perf_counter() - started)
    return median(taken)


@contextmanager
def _proxy(endpoint: Endpoint, delay: float) -> Iterator[Endpoint]:
    command = [sys.executable, "-m", "scripts.bench.delay_proxy", str(endpoint.port), str(delay)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield endpoint.at(int(process.stdout.readline()))  # type: ignore[union-attr]
        finally:
            process.kill()


class Chunk(NamedTuple):
    due: float
    data: bytes
    receiver: socket.socket


class DelayProxy:
    def __init__(self, port: int, delay: float) -> None:
        self.delay, self.port = delay, port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.peers: dict[socket.socket, socket.socket] = {}  # the other end of each connection
        self.chunks: deque[Chunk] = deque()  # the delay is one, so the first in is the first due

    def run(self) -> None:
        while True:
            timeout = max(0.0, self.chunks[0].due - time.monotonic()) if self.chunks else None
            # select() and not epoll, which waits whole milliseconds only.
            for readable in select.select([self.listener, *self.peers], [], [], timeout)[0]:
                if readable is self.listener:
                    self.accept()
                else:
                    self.receive(readable)
            self.send()

    def accept(self) -> None:
        client, _ = self.listener.accept()
        server = socket.create_connection(("127.0.0.1", self.port))
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.peers |= {client: server, server: client}

    def receive(self, readable: socket.socket) -> None:
        try:
            data = readable.recv(CHUNK_BYTES)
        except ConnectionError:
            data = b""
        self.chunks.append(Chunk(time.monotonic() + self.delay, data, self.peers[readable]))
        if not data:
            del self.peers[readable]

    def send(self) -> None:
        while self.chunks and self.chunks[0].due <= time.monotonic():
            _, data, receiver = self.chunks.popleft()
            try:
                receiver.sendall(data) if data else receiver.shutdown(socket.SHUT_WR)
            except OSError:
                continue  # it is closed, which receive() notices too


if __name__ == "__main__":
    proxy = DelayProxy(int(sys.argv[1]), float(sys.argv[2]))
    print(proxy.listener.getsockname()[1], flush=True)
    proxy.run()
