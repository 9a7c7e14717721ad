"""A stand-in for API Gateway on a local port, for HTTP clients."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from api.app import serve
from api.routes import OrdersApi
from tests.unit.api.harness import rest_event

STAGE = "/dev"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")


@contextmanager
def gateway(api: OrdersApi) -> Iterator[str]:
    """Serve `api` and yield its URL, the counterpart of the Terraform output `api_url`."""
    answers = {f"do_{method}": _answer for method in METHODS}
    handler = type("Handler", (BaseHTTPRequestHandler,), answers | {"api": api, "log_message": lambda *_: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{STAGE}"
        server.shutdown()


def _answer(self: BaseHTTPRequestHandler) -> None:
    url = urlsplit(self.path)
    body = self.rfile.read(int(self.headers.get("content-length") or 0))
    query = parse_qs(url.query, keep_blank_values=True)
    event = rest_event(self.command, unquote(url.path.removeprefix(STAGE)), body or None, {}, query)
    event["multiValueHeaders"] = {name: self.headers.get_all(name) for name in self.headers}
    reply = serve(self.api, event)  # type: ignore[attr-defined]
    self.send_response(reply["statusCode"])
    for name, value in reply["headers"].items():
        self.send_header(name, value)
    self.end_headers()
    self.wfile.write(reply["body"].encode())
