"""One page on this machine that refreshes itself."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from backstream.errors import UsageError

_LOOPBACK = "127.0.0.1"
PAGE = Path(__file__).parent / "page.html"


class StatusServer(ThreadingHTTPServer):
    """Serves the page and `/status.json`, which is what `read` returns.

    It listens on the loopback address only. It answers only requests that name it: a page of the web whose name was
    made to lead to this address (DNS rebinding) gets nothing.
    """

    daemon_threads = True

    def __init__(self, port: int, read: Callable[[], dict[str, Any]]) -> None:
        """`port` 0 takes a free one. Raises UsageError where the port is taken."""
        self.read = read
        try:
            super().__init__((_LOOPBACK, port), _Handler)
        except OSError as error:
            raise UsageError(f"cannot listen on port {port} ({error.strerror}): give another --port") from None

    @property
    def url(self) -> str:
        return f"http://{_LOOPBACK}:{self.server_port}/"

    @property
    def hosts(self) -> tuple[str, str]:
        return f"{_LOOPBACK}:{self.server_port}", f"localhost:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: StatusServer
    server_version, sys_version = "backstream", ""

    def do_GET(self) -> None:
        if self.headers.get("Host") not in self.server.hosts:
            self._send(HTTPStatus.FORBIDDEN, "text/plain", b"Use the address that backstream status prints.\n")
        elif self.path == "/":
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", _page())
        elif self.path == "/status.json":
            self._send(HTTPStatus.OK, "application/json", json.dumps(self.server.read()).encode())
        else:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"Not found.\n")

    def __getattr__(self, name: str) -> Any:
        """http.server looks for a method for each HTTP method: all others are refused alike."""
        if not name.startswith("do_"):
            raise AttributeError(name)
        return self._refuse

    def _refuse(self) -> None:
        self._send(HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", b"Method not allowed.\n", Allow="GET")

    def _send(self, status: HTTPStatus, content_type: str, body: bytes, **more: str) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": content_type,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "Content-Security-Policy": _policy(),
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            **more,
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """The terminal is for the address of the page."""


@cache
def _page() -> bytes:
    return PAGE.read_bytes()


@cache
def _policy() -> str:
    """Only the page's own style and script, and requests to this server."""
    text = _page().decode()
    return "; ".join(
        (
            "default-src 'none'",
            "connect-src 'self'",
            "img-src data:",
            f"style-src {_hash(text, 'style')}",
            f"script-src {_hash(text, 'script')}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _hash(text: str, element: str) -> str:
    found = re.search(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
    digest = hashlib.sha256(found[1].encode()).digest() if found else b""
    return f"'sha256-{base64.b64encode(digest).decode()}'"
