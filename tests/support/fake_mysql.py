"""A server without TLS that asks for a login as MySQL does for an account of another plugin than the tests' own.

The MariaDB of the tests has no accounts of `caching_sha2_password`. This server accepts no login: it asks a client
of that plugin for the whole password, which a client without TLS must encrypt with the server's public key.
Source: https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html
"""

from __future__ import annotations

import socket
import struct
import threading

from pymysql.constants import CLIENT

from scripts.local_stack.process import LOOPBACK

CACHING_SHA2 = b"caching_sha2_password"
_CAPABILITIES = (
    CLIENT.LONG_PASSWORD
    | CLIENT.CONNECT_WITH_DB
    | CLIENT.PROTOCOL_41
    | CLIENT.TRANSACTIONS
    | CLIENT.SECURE_CONNECTION
    | CLIENT.PLUGIN_AUTH
)
_SALT = b"12345678" + b"901234567890"
_FULL_LOGIN = b"\x01\x04"
_PUBLIC_KEY = b"\x01-----BEGIN PUBLIC KEY-----\n"


def _greeting() -> bytes:
    """https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_v10.html"""
    low, high = _CAPABILITIES & 0xFFFF, _CAPABILITIES >> 16
    fixed = struct.pack("<HBHHB10x", low, 255, 2, high, len(_SALT) + 1)
    return b"\x0a8.4.0\0" + struct.pack("<I", 1) + _SALT[:8] + b"\0" + fixed + _SALT[8:] + b"\0" + CACHING_SHA2 + b"\0"


class FakeMySQL:
    """Listens on `port` until `close()`. `plugin` is the accounts' own; `logins` counts who asked to be let in."""

    def __init__(self) -> None:
        self.plugin = CACHING_SHA2
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self.logins = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept()
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                self._refuse(client)

    def _refuse(self, client: socket.socket) -> None:
        asks = _FULL_LOGIN if self.plugin == CACHING_SHA2 else b"\xfe" + self.plugin + b"\0" + _SALT + b"\0"
        for number, answer in ((0, _greeting()), (2, asks), (4, _PUBLIC_KEY)):
            client.sendall(len(answer).to_bytes(3, "little") + bytes([number]) + answer)
            if not client.recv(65536):
                return
            self.logins += number == 0
