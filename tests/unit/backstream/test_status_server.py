"""The page's server, over real HTTP on the loopback address."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from backstream.errors import UsageError
from backstream.status import server as servers
from backstream.status.server import StatusServer

PAGE = (Path(servers.__file__).parent / "page.html").read_text(encoding="utf-8")
HOSTILE = {"headline": '</script><img src=x onerror="alert(1)">'}


@pytest.fixture
def server() -> Iterator[StatusServer]:
    with StatusServer(0, lambda: HOSTILE) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def ask(server: StatusServer, method: str, path: str, **headers: str) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def test_it_listens_on_the_loopback_address_only(server: StatusServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.url == f"http://127.0.0.1:{server.server_port}/"


def test_the_page_and_its_status_are_all_there_is(server: StatusServer) -> None:
    page, text = ask(server, "GET", "/")
    status, document = ask(server, "GET", "/status.json")
    assert (page.status, page.getheader("Content-Type"), text.decode()) == (200, "text/html; charset=utf-8", PAGE)
    assert (status.status, status.getheader("Content-Type")) == (200, "application/json")
    assert json.loads(document) == HOSTILE
    for path in ("/status.json?x", "/../page.html", "/favicon.ico", "/status"):
        assert ask(server, "GET", path)[0].status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "ANYTHING"])
def test_other_methods_are_refused(server: StatusServer, method: str) -> None:
    answer, body = ask(server, method, "/status.json")
    assert (answer.status, answer.getheader("Allow")) == (405, "GET")
    assert body == (b"" if method == "HEAD" else b"Method not allowed.\n")


def test_the_answer_to_a_head_has_no_body(server: StatusServer) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=5) as connection:
        connection.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", "evil.example:PORT", ""])
@pytest.mark.parametrize("path", ["/", "/status.json"])
def test_a_request_to_another_host_gets_nothing(server: StatusServer, host: str, path: str) -> None:
    """A page of the web may make its own name lead to the loopback address (DNS rebinding)."""
    answer, body = ask(server, "GET", path, Host=host.replace("PORT", str(server.server_port)))
    assert (answer.status, body) == (403, b"Use the address that backstream status prints.\n")


def test_localhost_is_a_name_of_it(server: StatusServer) -> None:
    assert ask(server, "GET", "/", Host=f"localhost:{server.server_port}")[0].status == 200


@pytest.mark.parametrize("path", ["/", "/status.json", "/none"])
def test_nothing_is_cached_and_no_other_site_reads_it(server: StatusServer, path: str) -> None:
    answer, _ = ask(server, "GET", path, Origin="https://evil.example")
    headers = {name: value for name, value in answer.getheaders() if name not in ("Date", "Content-Length")}
    assert headers.pop("Content-Security-Policy").startswith("default-src 'none'; connect-src 'self'; ")
    assert headers.pop("Content-Type")
    assert headers == {
        "Server": "backstream ",
        "Cache-Control": "no-store",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


def test_only_the_own_script_and_style_run(server: StatusServer) -> None:
    """No inline code that a text smuggles in, no frame, no other origin."""
    policy = ask(server, "GET", "/")[0].getheader("Content-Security-Policy") or ""
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    for element, rule in (("style", "style-src"), ("script", "script-src")):
        (text,) = re.findall(rf"<{element}>(.*?)</{element}>", PAGE, re.DOTALL)
        assert rules[rule] == f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
    assert {name: rules[name] for name in ("default-src", "base-uri", "form-action", "frame-ancestors")} == {
        "default-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


def test_the_page_writes_texts_as_texts() -> None:
    """Keys and reasons are of others: nothing is parsed as HTML. Nothing comes from elsewhere."""
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|\son\w+=", PAGE) == []
    assert set(re.findall(r"(?:https?:)?//[\w./]+", PAGE)) == {"http://www.w3.org/2000/svg"}, "a name, no address"
    assert re.findall(r'(?:src|href)="([^"]*)"', PAGE) == ["data:,"]


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port: Any = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"cannot listen on port {port} .*give another --port"):
            StatusServer(port, dict)
