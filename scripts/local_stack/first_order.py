"""The check that a stack works: an order is posted with curl and its row arrives in MySQL."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from base64 import b64encode
from typing import Any

import pymysql

from scripts.local_stack.database import Account, DatabaseAccess
from scripts.local_stack.process import poll
from scripts.local_stack.terminal import StackError, say

ORDER = '{"merchant_id": "merchant-102", "amount": 200.00, "currency": "INR"}'
TIMEOUT = 120  # seconds, over all attempts
ATTEMPT_TIMEOUT = 15
Row = dict[str, Any]


def require_curl() -> None:
    if shutil.which("curl") is None:
        raise StackError("curl is needed to post the first order: install it")


def first_order(api_url: str, account: Account, access: DatabaseAccess) -> Row:
    """The row of the order. Another one is posted when it does not arrive: a new stream can miss its first records."""
    command = _curl(api_url, account)
    say("\n" + _printable(command) + "\n")
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        order_id = _post(command)
        row = poll(lambda: _row(access, order_id), ATTEMPT_TIMEOUT, interval=0.1)  # noqa: B023 - polled before the next turn
        if row:
            return row
        say(f"         order {order_id} is not in MySQL after {ATTEMPT_TIMEOUT} s: sending another")
    raise StackError(f"no order arrived in MySQL within {TIMEOUT} s")


def _curl(api_url: str, account: Account) -> list[str]:
    token = b64encode(f"{account.user}:{account.password}".encode()).decode()
    return [
        "curl",
        "--location",
        f"{api_url}/v1/orders",
        "--header",
        "Content-Type: application/json",
        "--header",
        f"Authorization: Basic {token}",
        "--data",
        ORDER,
    ]


def _printable(command: list[str]) -> str:
    """The command as a user types it: one option and its value a line."""
    program, *words = command
    pairs = zip(words[::2], words[1::2], strict=True)
    return f"{program} " + " \\\n  ".join(f"{option} '{value}'" for option, value in pairs)


def _post(command: list[str]) -> str:
    silenced = [*command, "--silent", "--show-error", "--max-time", "60", "--noproxy", "*"]
    done = subprocess.run(silenced, capture_output=True, text=True, check=False)
    try:
        return str(json.loads(done.stdout)["order_id"])
    except (ValueError, KeyError, TypeError) as error:
        raise StackError(f"the API answered {done.stdout.strip() or done.stderr.strip()!r}") from error


def _row(access: DatabaseAccess, order_id: str) -> Row | None:
    with access.connect(cursorclass=pymysql.cursors.DictCursor) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM tbl_orders WHERE order_id = %s", (order_id,))
        row: Row | None = cursor.fetchone()
        return row
