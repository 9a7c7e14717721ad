"""A TCP proxy that hands on everything late by a fixed time, each way: python delay_proxy.py <port> <seconds>.

A process of its own, so that it takes no time from the one that is measured. Prints the port it listens on.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections import deque
from typing import NamedTuple

CHUNK = 1 << 18


class Late(NamedTuple):
    due: float
    data: bytes
    receiver: socket.socket


class Proxy:
    def __init__(self, port: int, delay: float) -> None:
        self.delay, self.port = delay, port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.other: dict[socket.socket, socket.socket] = {}  # the other end of each connection
        self.waiting: deque[Late] = deque()  # one delay for all, so they leave in the order they came in

    def run(self) -> None:
        while True:
            timeout = max(0.0, self.waiting[0].due - time.monotonic()) if self.waiting else None
            # select() and not epoll, which waits whole milliseconds only.
            for readable in select.select([self.listener, *self.other], [], [], timeout)[0]:
                if readable is self.listener:
                    self.accept()
                else:
                    self.take(readable)
            self.send()

    def accept(self) -> None:
        client, _ = self.listener.accept()
        server = socket.create_connection(("127.0.0.1", self.port))
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.other |= {client: server, server: client}

    def take(self, readable: socket.socket) -> None:
        try:
            data = readable.recv(CHUNK)
        except ConnectionError:
            data = b""
        self.waiting.append(Late(time.monotonic() + self.delay, data, self.other[readable]))
        if not data:
            del self.other[readable]

    def send(self) -> None:
        while self.waiting and self.waiting[0].due <= time.monotonic():
            _, data, receiver = self.waiting.popleft()
            try:
                receiver.sendall(data) if data else receiver.shutdown(socket.SHUT_WR)
            except OSError:
                continue  # it has gone; its own end is read as such


if __name__ == "__main__":
    proxy = Proxy(int(sys.argv[1]), float(sys.argv[2]))
    print(proxy.listener.getsockname()[1], flush=True)
    proxy.run()
