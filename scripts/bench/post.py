"""POST in a warm API handler against a bare boto3 `put_item` of the same item: CPU, with HTTP stubbed for both."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from api import aws
from scripts.bench.quiet import quiet
from scripts.bench.results import Row, at_most
from scripts.bench.server import Bench
from scripts.bench.timing import interleaved

CALLS = 200
REPETITIONS = 15
CREATED = 201

_CREDENTIALS = {"username": "bench", "password": "bench"}
_BASIC = base64.b64encode(":".join(_CREDENTIALS.values()).encode()).decode()
EVENT = {
    "resource": "/v1/orders",
    "path": "/v1/orders",
    "httpMethod": "POST",
    "headers": {
        "Accept": "*/*",
        "Authorization": f"Basic {_BASIC}",
        "Content-Type": "application/json",
        "Host": "api.example.com",
        "User-Agent": "curl/8.5.0",
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Proto": "https",
    },
    "multiValueHeaders": {},
    "queryStringParameters": None,
    "multiValueQueryStringParameters": None,
    "pathParameters": None,
    "stageVariables": None,
    "requestContext": {"requestId": "bench", "identity": {"sourceIp": "192.0.2.1"}, "stage": "v1"},
    "body": '{"merchant_id": "merchant-102", "amount": 200.00, "currency": "INR"}',
    "isBase64Encoded": False,
}
ITEM = {
    "p_key": {"S": "c0ffee00-0000-4000-8000-000000000001"},
    "s_key": {"S": "ORDER"},
    "merchant_id": {"S": "merchant-102"},
    "amount": {"N": "200.00"},
    "currency": {"S": "INR"},
    "status": {"S": "NEW"},
    "created_at": {"N": "1770000000"},
    "updated_at": {"N": "1770000000"},
    "record_ttl": {"N": "1770259200"},
}


def rows(_: Bench) -> Iterator[Row]:
    ours, bare = _handler(), _put_item()
    with quiet():
        status = ours()["statusCode"]
    if status != CREATED:
        raise RuntimeError(f"the handler answers {status} instead of {CREATED}")
    seconds = interleaved(
        {"ours": lambda: partial(_repeat, ours), "bare": lambda: partial(_repeat, bare)}, REPETITIONS, time.process_time
    )
    note = f"{1e6 * seconds['ours'] / CALLS:.0f} us against {1e6 * seconds['bare'] / CALLS:.0f} us"
    ratio = seconds["ours"] / seconds["bare"]
    yield at_most("POST in the API handler, of a bare put_item's CPU", ratio, 2.0, " times", note)


def _repeat(work: Callable[[], Any]) -> None:
    with quiet():
        for _ in range(CALLS):
            work()


def _handler() -> Callable[[], dict[str, Any]]:
    """The clients are caught while the handler is imported, which makes them."""
    original = aws.clients
    made: list[Any] = []

    def clients() -> Any:
        made.extend(original())
        return tuple(made)

    aws.clients = clients
    try:
        from api import handler  # noqa: PLC0415
    finally:
        aws.clients = original
    for client in made:
        _stub(client)
    return lambda: handler.handler(EVENT, None)


def _put_item() -> Callable[[], Any]:
    client = boto3.client("dynamodb")
    _stub(client)
    return partial(client.put_item, TableName="orders", Item=ITEM, ConditionExpression="attribute_not_exists(p_key)")


class _Raw(io.BytesIO):
    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        yield self.read()


def _stub(client: Any) -> None:
    """Answer calls without HTTP: botocore calls this hook before it sends a request, and sends none if it answers."""
    client.meta.events.register("before-send", _answer)


def _answer(request: Any, **_: object) -> AWSResponse:
    body = json.dumps({"SecretString": json.dumps(_CREDENTIALS)} if "secretsmanager" in request.url else {}).encode()
    headers = HTTPHeaders.from_dict({"Content-Type": "application/x-amz-json-1.0"})
    return AWSResponse(request.url, 200, headers, _Raw(body))
