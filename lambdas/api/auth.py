"""Who asks: HTTP Basic against a secret, or whomever API Gateway has let through (AWS_IAM)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from api.gateway import Request
from api.problems import Problem

# How long a rotated secret may go unnoticed, and how often a wrong password may make us look again.
MAX_AGE_SECONDS = 300.0
LOOK_AGAIN_SECONDS = 15.0

CHALLENGE = 'Basic realm="orders", charset="UTF-8"'

# Names the client of a request, or raises a Problem.
Authenticate = Callable[[Request], str]


class SecretError(Exception):
    """The secret is not what the API needs."""

    hint = 'the secret at API_SECRET_ARN must be {"username": "...", "password": "..."}, no colon in the username'


@dataclass(frozen=True)
class Credentials:
    """What `Authorization` must hold, as a digest: equal in length for all, and no password stays in memory."""

    username: str
    digest: bytes


class Secret:
    """The credentials, read when first needed and again when they have grown old.

    Not Powertools Parameters: importing it costs as much at cold start as all of botocore's DynamoDB
    client does, and it cannot say how old a value is, which `LOOK_AGAIN_SECONDS` needs.
    """

    def __init__(self, read: Callable[[], str], clock: Callable[[], float]) -> None:
        self._read = read
        self._clock = clock
        self._credentials: Credentials | None = None
        self._read_at = 0.0

    def credentials(self, max_age: float = MAX_AGE_SECONDS) -> Credentials:
        if self._credentials is None or self._clock() - self._read_at >= max_age:
            self._credentials = _parse(self._read())
            self._read_at = self._clock()
        return self._credentials


def basic(secret: Secret) -> Authenticate:
    def authenticate(request: Request) -> str:
        given = _digest(_decode(request.headers.get("authorization", "")))
        # A mismatch may mean that the secret was rotated.
        for max_age in (MAX_AGE_SECONDS, LOOK_AGAIN_SECONDS):
            expected = secret.credentials(max_age)
            if hmac.compare_digest(given, expected.digest):
                return expected.username
        raise _unauthorized()

    return authenticate


def iam(request: Request) -> str:
    return request.caller


def _decode(header: str) -> bytes:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "basic":
        raise _unauthorized()
    try:
        return base64.b64decode(token.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise _unauthorized() from None


def _parse(text: str) -> Credentials:
    try:
        document = json.loads(text)
        username, password = document["username"], document["password"]
        whole = f"{username}:{password}".encode()
    except (ValueError, TypeError, KeyError):
        username = password = ""
    # A colon would end the username early (RFC 7617); an empty part would let nobody in, or everybody.
    if not (isinstance(username, str) and isinstance(password, str) and username and password) or ":" in username:
        raise SecretError from None
    return Credentials(username, _digest(whole))


def _digest(credentials: bytes) -> bytes:
    return hashlib.sha256(credentials).digest()


def _unauthorized() -> Problem:
    detail = "The credentials are missing or wrong."
    return Problem(HTTPStatus.UNAUTHORIZED, detail, headers={"www-authenticate": CHALLENGE})
