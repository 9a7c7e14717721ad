"""Authentication: HTTP Basic against a secret, or the caller that API Gateway has verified (AWS_IAM)."""

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

# The secret is read again after MAX_AGE_SECONDS, or at a mismatch once it is older than MISMATCH_AGE_SECONDS.
MAX_AGE_SECONDS = 300.0
MISMATCH_AGE_SECONDS = 15.0

CHALLENGE = 'Basic realm="orders", charset="UTF-8"'

# Returns the name of the client that sent the request, or raises a Problem (401).
Authenticate = Callable[[Request], str]


class SecretError(Exception):
    """The secret is malformed."""

    hint = 'set the secret at API_SECRET_ARN to {"username": "...", "password": "..."}, with no colon in the username'


@dataclass(frozen=True)
class Credentials:
    """The expected credentials as a digest: all digests have one length, and no password stays in memory."""

    username: str
    digest: bytes


class Secret:
    """The credentials, read at first use and cached for a limited time.

    Not Powertools Parameters: importing it costs as much cold start as botocore's DynamoDB client, and it
    does not tell the age of a value, which `MISMATCH_AGE_SECONDS` needs.
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
        # A mismatch may mean that the secret has been rotated.
        for max_age in (MAX_AGE_SECONDS, MISMATCH_AGE_SECONDS):
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
    # A username cannot contain a colon (RFC 7617). An empty part means that the secret was never filled in.
    if not (isinstance(username, str) and isinstance(password, str) and username and password) or ":" in username:
        raise SecretError from None
    return Credentials(username, _digest(whole))


def _digest(credentials: bytes) -> bytes:
    return hashlib.sha256(credentials).digest()


def _unauthorized() -> Problem:
    detail = "The credentials are missing or wrong."
    return Problem(HTTPStatus.UNAUTHORIZED, detail, headers={"www-authenticate": CHALLENGE})
