"""Authentication by HTTP Basic or AWS_IAM."""

from __future__ import annotations

import base64

import pytest
from botocore.exceptions import ClientError

from api import auth
from tests.unit.api.harness import Client, SettableClock, basic

SECRET = '{"username": "foo", "password": "bar"}'


class CountingSecret:
    """Returns the text of a secret and counts the reads."""

    def __init__(self, text: str = SECRET) -> None:
        self.text = text
        self.reads = 0

    def __call__(self) -> str:
        self.reads += 1
        return self.text


@pytest.fixture
def secret():
    return CountingSecret()


@pytest.fixture
def guarded(make_api, harness, secret):
    return Client(make_api(authenticate=auth.basic(auth.Secret(secret, harness.clock))), basic())


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Basic",
        "Basic ",
        "Basic %%%",
        "Basic é",
        "Bearer " + encoded(b"foo:bar"),
        encoded(b"foo:bar"),
        "Basic " + encoded(b"foo:"),
        "Basic " + encoded(b":bar"),
        "Basic " + encoded(b"foo"),
        "Basic " + encoded(b"foo:bar:"),
        "Basic " + encoded(b"Foo:bar"),
        "Basic " + encoded(b"\xff:\xff"),
        basic("foo", "ba"),
        basic("fo", "o:bar"),
        basic("", ""),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/orders"), ("GET", "/v1/orders/x"), ("PUT", "/v1/orders"), ("GET", "/other")]
)
def test_wrong_credentials_get_401_with_a_challenge_on_any_path(client, authorization, method, path):
    client.authorization = authorization
    answer = client(method, path)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="orders", charset="UTF-8"'
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
@pytest.mark.parametrize("header", ["Authorization", "authorization"])
def test_scheme_and_header_name_are_case_insensitive(client, scheme, header):
    client.authorization = None
    assert client.post(**{header: f"{scheme} {encoded(b'foo:bar')}"}).status == 201


def test_a_password_may_contain_colons_and_unicode(make_api, harness):
    secret = CountingSecret('{"username": "foo", "password": "b:ä:✓"}')
    client = Client(make_api(authenticate=auth.basic(auth.Secret(secret, harness.clock))), basic("foo", "b:ä:✓"))
    assert client.post().status == 201


def test_the_secret_is_cached(guarded, secret, harness):
    for _ in range(20):
        assert guarded.post().status == 201
        harness.clock.now += 14
    assert secret.reads == 1


def test_a_rotated_secret_is_read_at_its_first_use(guarded, secret, harness):
    assert guarded.post().status == 201
    secret.text = SECRET.replace("bar", "new")
    harness.clock.now += 15
    guarded.authorization = basic("foo", "new")
    assert guarded.post().status == 201
    guarded.authorization = basic()
    assert guarded.post().status == 401


def test_a_cached_secret_expires_after_five_minutes(guarded, secret, harness):
    assert guarded.post().status == 201
    secret.text = SECRET.replace("bar", "new")
    harness.clock.now += 300
    assert guarded.post().status == 401


def test_wrong_passwords_read_the_secret_every_15_s_at_most(guarded, secret, harness):
    guarded.authorization = basic("foo", "wrong")
    for _ in range(30):
        assert guarded.post().status == 401
        harness.clock.now += 1
    assert secret.reads == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bar",
        "[]",
        "null",
        "{}",
        '{"username": "foo"}',
        '{"username": "foo", "password": ""}',
        '{"username": "", "password": "x"}',
        '{"username": "a:b", "password": "x"}',
        '{"username": 1, "password": 2}',
        '{"username": "\\ud800", "password": "x"}',
    ],
)
def test_a_malformed_secret_is_a_500_with_a_hint_in_the_log(make_api, text, caplog):
    client = Client(make_api(authenticate=auth.basic(auth.Secret(lambda: text, SettableClock()))), basic("foo", ""))
    answer = client.post()
    assert answer.status == 500
    assert (caplog.records[-1].error, caplog.records[-1].hint) == ("SecretError", auth.SecretError.hint)


def test_a_secrets_manager_outage_is_a_503(make_api):
    def read() -> str:
        raise ClientError({"Error": {"Code": "InternalServiceError"}}, "GetSecretValue")

    client = Client(make_api(authenticate=auth.basic(auth.Secret(read, SettableClock()))), basic())
    assert client.post().status == 503


def test_iam_callers_are_authenticated_by_api_gateway(make_api, harness):
    client = Client(make_api(authenticate=auth.iam), None)
    assert client.post().status == 201


@pytest.mark.parametrize(
    ("arns", "orders"),
    [
        (["arn:aws:sts::1:assumed-role/shop/a", "arn:aws:sts::1:assumed-role/shop/b"], 1),
        (["arn:aws:sts::1:assumed-role/shop/a", "arn:aws:sts::1:assumed-role/other/a"], 2),
        (["arn:aws:iam::1:user/team/a", "arn:aws:iam::1:user/team/b"], 2),
    ],
)
def test_iam_keys_belong_to_the_user_or_role_not_the_session(make_api, harness, arns, orders):
    client = Client(make_api(authenticate=auth.iam), None)
    for arn in arns:
        context = {"requestId": "r", "identity": {"userArn": arn}}
        assert (
            client(
                "POST",
                body='{"merchant_id": "m", "amount": 1, "currency": "EUR"}',
                headers={"Idempotency-Key": "k"},
                requestContext=context,
            ).status
            == 201
        )
    assert len(harness.items()) == orders
