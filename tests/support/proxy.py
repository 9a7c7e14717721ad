"""A TCP proxy before MySQL that fails on demand, at a chosen statement where the wire is plain text."""

from __future__ import annotations

import selectors
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue

from scripts.local_stack.process import LOOPBACK, free_port

Action = Callable[[], object]

_CLIENT_SSL = 0x0800
_COM_QUERY = 3
# Closing a socket with this set sends RST instead of FIN.
_RST_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass
class _Trap:
    """What to do, once, when a statement that starts so comes by; `after`: when its answer has come.

    `countdown` of them come by first.
    """

    start: str
    action: Action
    after: bool
    countdown: int


class Proxy:
    """Forwards to `host:port`. `statements` lists the SQL that was forwarded without TLS.

    One thread does everything, so no thread waits on a socket when it is closed: the kernel would delay the RST until
    that wait ends. Actions run in this thread too, between two packets.
    """

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self.statements: list[str] = []
        self.connections = 0
        self.strips_tls = False
        # Not one that the system chooses: it could give that one away while the proxy refuses.
        self.port = free_port()
        self._hung = self._closed = False
        self._traps: list[_Trap] = []
        self._links: set[_Link] = set()
        self._listener: socket.socket | None = None
        self._selector = selectors.DefaultSelector()
        self._orders: SimpleQueue[tuple[Action, Future[None]]] = SimpleQueue()
        self._ear, self._mouth = socket.socketpair()
        self._selector.register(self._ear, selectors.EVENT_READ, self._obey)
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()
        self.listen()

    def forward_to(self, port: int) -> None:
        """Connections from now on go to another port of the same host."""
        self._tell(lambda: setattr(self, "_upstream", (self._upstream[0], port)))

    def listen(self) -> None:
        """Accept connections, on the same port as before."""
        self._tell(self._listen)

    def refuse(self) -> None:
        """Close the port and reset open connections, as if no server ran."""
        self._tell(self._refuse)

    def reset(self) -> None:
        """Reset (RST) every open connection, on both sides."""
        self._tell(self._reset)

    def hang(self) -> None:
        """Accept connections and keep them open, and swallow every byte from now on."""
        self._tell(lambda: setattr(self, "_hung", True))

    def flow(self) -> None:
        """Let bytes through again. Swallowed bytes are lost, so open connections are reset."""
        self._tell(self._reset)
        self._tell(lambda: setattr(self, "_hung", False))

    def before(self, start: str, action: Action, *, skip: int = 0) -> None:
        """Call `action()` once, before a statement that starts with `start` is forwarded. `skip` of them pass first."""
        self._traps.append(_Trap(start, action, after=False, countdown=skip))

    def after(self, start: str, action: Action, *, skip: int = 0) -> None:
        """Call `action()` once, when the server has answered such a statement, before the answer is forwarded."""
        self._traps.append(_Trap(start, action, after=True, countdown=skip))

    def close(self) -> None:
        self.refuse()
        self._tell(lambda: setattr(self, "_closed", True))
        self._thread.join()

    def _tell(self, order: Action) -> None:
        if threading.current_thread() is self._thread:
            order()
            return
        done: Future[None] = Future()
        self._orders.put((order, done))
        self._mouth.send(b"!")
        done.result(timeout=30)

    def _loop(self) -> None:
        while not self._closed:
            for key, _ in self._selector.select():
                if key.fileobj.fileno() >= 0:  # else its link was ended earlier in this round
                    key.data()
        for sock in (self._ear, self._mouth, self._selector):
            sock.close()

    def _obey(self) -> None:
        self._ear.recv(1)
        order, done = self._orders.get()
        try:
            order()
        except Exception as error:  # noqa: BLE001 - the one who asked gets it
            done.set_exception(error)
        else:
            done.set_result(None)

    def _listen(self) -> None:
        self._listener = socket.create_server((LOOPBACK, self.port))
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def _refuse(self) -> None:
        if self._listener:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None
        self._reset()

    def _reset(self) -> None:
        for link in list(self._links):
            self._end(link, _RST_ON_CLOSE)

    def _accept(self) -> None:
        assert self._listener
        client, _ = self._listener.accept()
        self.connections += 1
        try:
            server = socket.create_connection(self._upstream)
        except OSError:
            client.close()
            return
        link = _Link(client, server)
        self._links.add(link)
        for sock, pump in ((client, self._from_client), (server, self._from_server)):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(sock, selectors.EVENT_READ, lambda pump=pump: self._pump(pump, link))

    def _pump(self, pump: Callable[[_Link], bool], link: _Link) -> None:
        try:
            alive = pump(link)
        except OSError:
            alive = False
        if not alive:
            self._end(link)

    def _end(self, link: _Link, linger: bytes | None = None) -> None:
        if link not in self._links:
            return
        self._links.remove(link)
        for sock in (link.client, link.server):
            self._selector.unregister(sock)
            if linger:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            sock.close()

    def _from_client(self, link: _Link) -> bool:
        data = link.client.recv(65536)
        if self._hung:
            return bool(data)
        for packet in link.packets.feed(data):
            self._see(packet, link)
            if link in self._links and not self._hung:
                link.server.sendall(packet)
        return bool(data)

    def _from_server(self, link: _Link) -> bool:
        data = link.server.recv(65536)
        if self._hung:
            return True
        while data and link.answers_awaited:
            link.answers_awaited.pop(0)()
        if link in self._links and not self._hung:
            link.client.sendall(_without_tls(data) if self.strips_tls and not link.greeted else data)
        link.greeted = True
        return bool(data)

    def _see(self, packet: bytes, link: _Link) -> None:
        if len(packet) < 5 or packet[3] != 0 or packet[4] != _COM_QUERY:
            return
        statement = packet[5:].decode(errors="replace")
        self.statements.append(statement)
        for trap in [trap for trap in self._traps if statement.startswith(trap.start)]:
            trap.countdown -= 1
            if trap.countdown >= 0:
                continue
            self._traps.remove(trap)
            if trap.after:
                link.answers_awaited.append(trap.action)
            else:
                trap.action()


class _Packets:
    """Splits what a client sends into MySQL packets, so that a statement is seen whole. TLS passes unchanged.

    Source: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html
    """

    def __init__(self) -> None:
        self._rest = b""
        self._encrypted = False

    def feed(self, data: bytes) -> list[bytes]:
        self._rest += data
        packets = []
        while self._rest and not self._encrypted:
            end = 4 + int.from_bytes(self._rest[:3], "little")
            if len(self._rest) < max(4, end):
                return packets
            packet, self._rest = self._rest[:end], self._rest[end:]
            packets.append(packet)
            # The request for TLS is a login cut short: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_ssl_request.html
            wants_tls = int.from_bytes(packet[4:8], "little") & _CLIENT_SSL
            self._encrypted = bool(packet[3] == 1 and len(packet) == 36 and wants_tls)
        rest, self._rest = self._rest, b""
        return [*packets, rest] if rest else packets


@dataclass(eq=False)
class _Link:
    """One client and its connection to the server."""

    client: socket.socket
    server: socket.socket
    packets: _Packets = field(default_factory=_Packets)
    answers_awaited: list[Action] = field(default_factory=list)
    greeted: bool = False


def _without_tls(greeting: bytes) -> bytes:
    """The greeting as a server would send it that cannot do TLS.

    Source: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_v10.html
    """
    # header, protocol, version text and its zero, thread id, first part of the salt, filler
    flags = greeting.index(b"\0", 5) + 1 + 4 + 8 + 1
    kept = int.from_bytes(greeting[flags : flags + 2], "little") & ~_CLIENT_SSL
    return greeting[:flags] + kept.to_bytes(2, "little") + greeting[flags + 2 :]
