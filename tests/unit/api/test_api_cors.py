"""CORS: pages of the configured origins may call the API, and no other page."""

from __future__ import annotations

from typing import Any

import pytest

from api import auth
from api.cors import REQUEST_HEADERS, SIGNED_HEADERS, Cors, origins
from tests.unit.api.harness import GOOD_ORDER, Client, PatchedClient, basic

SHOP, OFFICE = "https://shop.example.com", "http://localhost:8080"
PREFLIGHT = {"Origin": SHOP, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


def cors_headers(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith("access-control-") or name == "vary"}


@pytest.fixture
def page(make_api):
    """A client of an API that two origins may call."""
    return Client(make_api(cors=Cors((SHOP, OFFICE))), basic())


@pytest.fixture
def anonymous(make_api):
    return Client(make_api(cors=Cors((SHOP, OFFICE))), None)


@pytest.mark.parametrize(
    ("path", "methods"), [("/v1/orders", "GET, POST"), ("/v1/orders/order-1", "DELETE, GET, PATCH")]
)
def test_a_preflight_needs_no_credentials(anonymous, harness, path, methods):
    """It learns the methods of its path and the request headers, and nothing of an order."""
    answer = anonymous("OPTIONS", path, headers=PREFLIGHT)
    assert (answer.status, answer.body) == (204, "")
    assert cors_headers(answer.headers) == {
        "vary": "Origin",
        "access-control-allow-origin": SHOP,
        "access-control-allow-methods": methods,
        "access-control-allow-headers": "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match",
        "access-control-expose-headers": "Accept, Allow, ETag, Idempotency-Replayed, Location, Retry-After, "
        "X-Request-Id",
        "access-control-max-age": "600",
    }
    assert harness.everything() == ([], [])


@pytest.mark.parametrize("origin", [SHOP, OFFICE])
def test_each_allowed_origin_is_answered_by_its_name(page, origin):
    """A wildcard would let any page read orders."""
    answer = page.post(Origin=origin)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (201, origin)


@pytest.mark.parametrize("origin", ["https://evil.example.com", f"{SHOP}.evil.com", "null", "*", "", SHOP.upper()])
def test_another_origin_gets_no_permission(page, anonymous, origin):
    assert cors_headers(page.post(Origin=origin).headers) == {"vary": "Origin"}
    refused = cors_headers(anonymous("OPTIONS", headers=PREFLIGHT | {"Origin": origin}).headers)
    assert "access-control-allow-origin" not in refused


def test_cookies_are_never_allowed(page, anonymous):
    for answer in (page.post(Origin=SHOP), anonymous("OPTIONS", headers=PREFLIGHT)):
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/orders", "{", 400),
        ("GET", "/v1/orders/none", None, 404),
        ("GET", "/v2", None, 404),
        ("PUT", "/v1/orders", GOOD_ORDER, 405),
    ],
)
def test_a_page_can_read_an_error(page, method, path, body, status):
    answer = page(method, path, body, headers={"Origin": SHOP})
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (status, SHOP)


def test_a_page_can_read_a_401_and_a_500(make_api, harness):
    def failing(**_: Any) -> Any:
        raise RuntimeError

    broken = make_api(dynamodb=PatchedClient(harness.dynamodb, get_item=failing), cors=Cors((SHOP,)))
    wrong, right = Client(broken, basic("foo", "wrong")), Client(broken, basic())
    answers = [one.get("order-1", Origin=SHOP) for one in (wrong, right)]
    assert [answer.status for answer in answers] == [401, 500]
    assert [answer.headers["access-control-allow-origin"] for answer in answers] == [SHOP, SHOP]


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": SHOP}, {"Access-Control-Request-Method": "POST"}], ids=["neither", "origin", "method"]
)
def test_options_that_is_no_preflight_needs_credentials(anonymous, page, headers):
    assert anonymous("OPTIONS", headers=headers).status == 401
    assert page("OPTIONS", headers=headers).status == 405


def test_another_method_with_preflight_headers_needs_credentials(anonymous):
    assert anonymous("GET", headers=PREFLIGHT).status == 401


def test_a_preflight_of_an_unknown_path_is_a_404(anonymous):
    assert anonymous("OPTIONS", "/v2", headers=PREFLIGHT).status == 404


def test_without_origins_there_is_no_cors(make_api):
    """Not even a preflight request passes without credentials."""
    api = make_api()
    assert Client(api, None)("OPTIONS", headers=PREFLIGHT).status == 401
    assert cors_headers(Client(api, basic()).post(Origin=SHOP).headers) == {}


def test_a_signed_request_may_send_the_headers_of_its_signature(make_api):
    api = make_api(authenticate=auth.iam, cors=Cors((SHOP,), REQUEST_HEADERS + SIGNED_HEADERS))
    answer = Client(api, None)("OPTIONS", headers=PREFLIGHT)
    assert answer.headers["access-control-allow-headers"].endswith(
        "If-None-Match, X-Amz-Content-Sha256, X-Amz-Date, X-Amz-Security-Token"
    )


def test_origins_are_separated_by_commas():
    assert origins(f"{SHOP}, {OFFICE}") == (SHOP, OFFICE)


@pytest.mark.parametrize("value", ["*", f"{SHOP},*", "https://*.example.com", "shop.example.com", f"{SHOP},"])
def test_a_wildcard_is_no_origin(value):
    with pytest.raises(ValueError, match="origins such as"):
        origins(value)
