"""The proof that a stack is up: an order posted with curl, and its row in MySQL."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pymysql

from scripts.local_stack.failure import StackError
from scripts.local_stack.progress import say
from scripts.local_stack.waiting import poll

if TYPE_CHECKING:
    from scripts.local_stack.access import Access, Account

ORDER = '{"merchant_id": "merchant-102", "amount": 200.00, "currency": "INR"}'
TOTAL_PATIENCE = 120
PATIENCE = 15
Row = dict[str, Any]


def demand_curl() -> None:
    if shutil.which("curl") is None:
        raise StackError("curl is needed to post the first order: install it")


def first_order(api_url: str, account: Account, access: Access) -> Row:
    """Sent again when it does not arrive: a stream can miss what is written in its first seconds."""
    command = _curl(api_url, account)
    say("\n" + _printable(command) + "\n")
    deadline = time.monotonic() + TOTAL_PATIENCE
    while time.monotonic() < deadline:
        order_id = _post(command)
        row = poll(lambda: _row(access, order_id), PATIENCE, interval=0.1)  # noqa: B023 - polled before the next turn
        if row:
            return row
        say(f"         order {order_id} is not in MySQL after {PATIENCE} s: sending another")
    raise StackError(f"no order arrived in MySQL within {TOTAL_PATIENCE} s")


def as_table(row: Row) -> str:
    texts = {name: str(value) for name, value in row.items()}
    widths = {name: max(len(name), len(text)) for name, text in texts.items()}
    rule = "+" + "+".join("-" * (width + 2) for width in widths.values()) + "+"
    head = _line({name: name for name in texts}, widths)
    return "\n".join([rule, head, rule, _line(texts, widths), rule])


def _line(texts: dict[str, str], widths: dict[str, int]) -> str:
    return "|" + "|".join(f" {texts[name]:<{width}} " for name, width in widths.items()) + "|"


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
    """As one would type it: an option and its value on each line."""
    program, *words = command
    pairs = zip(words[::2], words[1::2], strict=True)
    return f"{program} " + " \\\n  ".join(f"{option} '{value}'" for option, value in pairs)


def _post(command: list[str]) -> str:
    quietly = [*command, "--silent", "--show-error", "--max-time", "60", "--noproxy", "*"]
    done = subprocess.run(quietly, capture_output=True, text=True, check=False)
    try:
        return str(json.loads(done.stdout)["order_id"])
    except (ValueError, KeyError, TypeError) as error:
        raise StackError(f"the API answered {done.stdout.strip() or done.stderr.strip()!r}") from error


def _row(access: Access, order_id: str) -> Row | None:
    with access.connect(cursorclass=pymysql.cursors.DictCursor) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM tbl_orders WHERE order_id = %s", (order_id,))
        row: Row | None = cursor.fetchone()
        return row
