"""Every request: routing, errors, logs, metrics, and the forms of API Gateway's events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError

from api import auth
from tests.unit.api.harness import GOOD_ORDER, Client, PatchedClient, basic


def failing(error: Exception) -> Any:
    def call(**_: Any) -> Any:
        raise error

    return call


def client_error(code: str, status: int = 400) -> ClientError:
    metadata = {"HTTPStatusCode": status}
    return ClientError({"Error": {"Code": code, "Message": "merchant-102"}, "ResponseMetadata": metadata}, "PutItem")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/v1/orders", "GET, POST"),
        ("PATCH", "/v1/orders", "GET, POST"),
        ("DELETE", "/v1/orders", "GET, POST"),
        ("HEAD", "/v1/orders", "GET, POST"),
        ("OPTIONS", "/v1/orders", "GET, POST"),
        ("POST", "/v1/orders/order-1", "DELETE, GET, PATCH"),
        ("PUT", "/v1/orders/order-1", "DELETE, GET, PATCH"),
        ("", "/v1/orders/order-1", "DELETE, GET, PATCH"),
    ],
)
def test_another_method_is_a_405_that_lists_the_allowed_ones(client, harness, method, path, allow):
    answer = client(method, path, GOOD_ORDER)
    assert (answer.status, answer.headers["allow"]) == (405, allow)
    assert harness.everything() == ([], [])


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/v1",
        "/v1/order",
        "/v1/orders/",
        "/v1/orders//",
        "/v2/orders",
        "/x/v1/orders",
        "/V1/orders",
        "v1/orders/a/b",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_an_unknown_path_is_a_404(client, method, path):
    answer = client(method, path, GOOD_ORDER)
    assert (answer.status, answer.json["title"]) == (404, "Not Found")


@pytest.mark.parametrize(
    "error",
    [
        client_error("ProvisionedThroughputExceededException"),
        client_error("ThrottlingException"),
        client_error("RequestLimitExceeded"),
        client_error("InternalServerError", 500),
        client_error("Anything", 503),
        EndpointConnectionError(endpoint_url="x"),
        ConnectTimeoutError(endpoint_url="x"),
        ReadTimeoutError(endpoint_url="x"),
    ],
)
def test_a_dynamodb_outage_is_a_503_with_retry_after(make_api, harness, error):
    client = Client(make_api(PatchedClient(harness.dynamodb, put_item=failing(error))), basic())
    answer = client.post()
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert harness.everything() == ([], [])


@pytest.mark.parametrize(
    "error",
    [RuntimeError("merchant-102"), client_error("AccessDeniedException"), client_error("ResourceNotFoundException")],
)
def test_an_unexpected_error_is_a_500_without_internals(make_api, harness, caplog, error):
    client = Client(make_api(PatchedClient(harness.dynamodb, put_item=failing(error))), basic())
    answer = client.post()
    assert (answer.status, answer.json["request_id"], answer.headers["x-request-id"]) == (500, "request-1", "request-1")
    assert set(answer.json) == {"type", "title", "status", "detail", "request_id"}
    assert type(error).__name__ not in answer.body
    (line,) = caplog.records
    assert (line.levelname, line.error, line.status) == ("ERROR", type(error).__name__, 500)
    assert line.frames[-1].startswith("call ")
    assert "merchant-102" not in str(vars(line))


def test_a_request_logs_one_line_without_content_or_secrets(client, caplog):
    order_id = client.post(Idempotency_Key="key-1").json["order_id"]
    (line,) = caplog.records
    logged = (line.levelname, line.getMessage(), line.method, line.status, line.order_id, line.request_id)
    assert logged == ("INFO", "request", "POST", 201, order_id, "request-1")
    assert line.latency_ms >= 0
    for private in ("merchant-102", "200", "INR", "Zm9vOmJhcg", "bar", "key-1"):
        assert private not in json.dumps({name: vars(line)[name] for name in ("msg", "method", "resource", "order_id")})


@pytest.mark.parametrize(
    ("act", "metric"),
    [
        (lambda c: c.post(), "OrdersCreated"),
        (lambda c: c.patch("order-1", '{"status": "PAID"}'), "OrdersUpdated"),
        (lambda c: c.delete("order-1"), "OrdersDeleted"),
        (lambda c: (c.post(Idempotency_Key="k"), c.post(Idempotency_Key="k")), "OrdersReplayed"),
    ],
)
def test_each_write_is_counted(client, harness, capsys, act, metric):
    harness.put()
    act(client)
    assert f'"{metric}":[1.0]' in capsys.readouterr().out


def test_a_refused_request_is_not_counted(client, capsys):
    client.post("{}")
    assert "CloudWatchMetrics" not in capsys.readouterr().out


def test_optional_parts_of_an_event_may_be_missing(make_api):
    client = Client(make_api(authenticate=auth.iam), None)
    assert client.send({}).status == 404
    assert client.send({"httpMethod": "GET", "path": "/v1/orders/x"}).status == 404
    assert client.send({"httpMethod": "GET", "path": "/v1/orders"}).status == 400
    assert client.send({"httpMethod": "POST", "path": "/v1/orders"}).status == 415
    headers = {"content-type": "application/json"}
    event = {"httpMethod": "POST", "path": "/v1/orders", "headers": headers, "body": GOOD_ORDER}
    assert client.send(event).status == 201
    query = {"queryStringParameters": {"merchant_id": "merchant-102"}}
    assert len(client.send({"httpMethod": "GET", "path": "/v1/orders", **query}).json["orders"]) == 1


@pytest.mark.parametrize(
    ("resource", "parameters"),
    [
        ("/v1/orders/{order_id}", {"order_id": "order-1"}),
        ("/v1/{proxy+}", {"proxy": "orders/order-1"}),
        ("/{proxy+}", {"proxy": "v1/orders/order-1"}),
    ],
)
@pytest.mark.parametrize("base", ["", "/shop"])
def test_paths_work_under_any_resource_and_base_path(client, harness, resource, parameters, base):
    harness.put()
    answer = client("GET", f"{base}/v1/orders/order-1", resource=resource, pathParameters=parameters)
    assert answer.status == 200


def test_repeated_headers_form_one_list(client, harness):
    harness.put()
    tag = client.get("order-1").headers["etag"]
    lines = {"authorization": [basic()], "If-Match": ['"x"', tag]}
    assert client("DELETE", "/v1/orders/order-1", multiValueHeaders=lines).status == 204
