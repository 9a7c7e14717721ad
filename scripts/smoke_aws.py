"""A smoke test on a real AWS account: apply, an order, an outage, a replay, and destroy. About half an hour.

Give --var-file to deploy first and destroy afterwards, or --outputs to try a deployment that is there. You are asked
before anything is deployed or destroyed. MySQL is private, so you look at its rows and stop it yourself, unless
--mysql, --stop-database and --start-database are commands that do it. The deployment needs a Terraform state and an
env of its own. An outage is part of the test: the database must not be one that others use.

Exit codes: 0 every step came out as it should; 1 one did not, or you said no; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import urllib3
from botocore.exceptions import BotoCoreError, ClientError

from backstream.execution import Execution
from backstream.reach import Reach, UsageError, reach
from backstream.replay import ATTENTION, DONE, as_text, follow, verdict
from scripts.local_stack.aws import no_proxy
from scripts.local_stack.failure import StackError
from scripts.local_stack.settings import REPOSITORY
from scripts.local_stack.waiting import poll

FAILED, WRONG, INTERRUPTED = 1, 2, 130
# Short enough to see an outage through; the least that AWS takes.
RECORD_AGE = 60
ARRIVES_WITHIN, FAILS_WITHIN = 120, 1200
COLUMNS = ("order_id", "merchant_id", "amount", "currency", "status", "created_at", "updated_at")
ATTRIBUTES = ("p_key", *COLUMNS[1:])
_FOLDER = REPOSITORY / "terraform"
Row = tuple[str, ...]


class SmokeError(Exception):
    """A step did not come out as it should; the message says how."""


@dataclass(frozen=True)
class Commands:
    """What does a person's part, where it is given."""

    mysql: str | None
    stop: str | None
    start: str | None


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parse(arguments)
    os.environ.update(no_proxy(os.environ))
    try:
        _whole(given) if given.var_file else _try(reach(given.outputs), _commands(given))
    except (SmokeError, StackError, ClientError, BotoCoreError, urllib3.exceptions.HTTPError) as error:
        print(f"smoke: {error}", file=sys.stderr)
        return FAILED
    except UsageError as error:
        print(f"smoke: {error}", file=sys.stderr)
        return WRONG
    except (KeyboardInterrupt, EOFError):
        print("\nsmoke: interrupted; what was deployed is still there, and MySQL may be stopped", file=sys.stderr)
        return INTERRUPTED
    print("\nAll of it came out as it should.")
    return DONE


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="smoke_aws", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--var-file", metavar="FILE", help="Terraform variables of a deployment to make and destroy")
    what.add_argument(
        "--outputs", metavar="FILE", help="terraform output -json of a deployment that is there; - for stdin"
    )
    parser.add_argument(
        "--backend-config", action="append", default=[], metavar="KEY=VALUE", help="for terraform init; may be repeated"
    )
    parser.add_argument("--mysql", metavar="COMMAND", help="reads SQL on stdin, prints rows with tabs and no header")
    parser.add_argument("--stop-database", metavar="COMMAND", help="makes MySQL unreachable for the functions")
    parser.add_argument("--start-database", metavar="COMMAND", help="undoes it")
    given = parser.parse_args(arguments)
    if bool(given.stop_database) != bool(given.start_database):
        parser.error("--stop-database and --start-database go together")
    return given


def _commands(given: argparse.Namespace) -> Commands:
    return Commands(given.mysql, given.stop_database, given.start_database)


def _whole(given: argparse.Namespace) -> None:
    file = Path(given.var_file).resolve()
    if not file.is_file():
        raise UsageError(f"there is no file {given.var_file}")
    variables = [f"-var-file={file}", f"-var=stream_maximum_record_age_seconds={RECORD_AGE}"]
    _say("Deploy. Terraform shows its plan and asks.")
    _terraform("init", *(f"-backend-config={one}" for one in given.backend_config))
    _terraform("apply", *variables)
    try:
        _try(Reach(_deployed()), _commands(given))
    except Exception as error:
        print(f"smoke: {error}", file=sys.stderr)  # before the question, which may end otherwise
        raise
    finally:
        _destroy(variables)


def _destroy(variables: list[str]) -> None:
    _say("Destroy. Its tables in MySQL stay: tbl_orders and replication_versions.")
    if not _yes("Lift the protection and destroy the deployment with every order in it?"):
        raise SmokeError("not destroyed: it is still there, and costs money")
    lifted = ["-var=deletion_protection=false", "-var=failures_bucket_force_destroy=true"]
    _terraform("apply", *variables, *lifted)
    _terraform("destroy", *variables, *lifted)


def _terraform(verb: str, *arguments: str) -> None:
    if subprocess.run(["terraform", verb, *arguments], cwd=_FOLDER, env=_environment(), check=False).returncode:
        raise SmokeError(f"terraform {verb} failed, or was refused by you")


def _deployed() -> dict[str, Any]:
    command = ["terraform", "output", "-json"]
    shown = subprocess.run(command, cwd=_FOLDER, env=_environment(), capture_output=True, text=True, check=False)
    if shown.returncode:
        raise SmokeError(f"terraform output failed: {shown.stderr.strip()[-500:]}")
    return {name: one["value"] for name, one in json.loads(shown.stdout).items()}


def _environment() -> dict[str, str]:
    """A folder of its own for what init writes: it never meets the backend of another deployment."""
    return {**os.environ, "TF_DATA_DIR": str(REPOSITORY / ".backstream" / "smoke")}


def _try(stack: Reach, commands: Commands) -> None:
    api = Api.of(stack)
    _say("An order through the API reaches MySQL.")
    order = api.create("1.00")
    _compare(stack, commands, [order])

    _say("MySQL goes away; the API does not notice.")
    already = _failed(stack)
    _run_or_ask(commands.stop, "Make MySQL unreachable now (stop the test database, or lock its user)")
    try:
        api.change(order, amount="2.00")
        late = api.create("3.00")
        _wait_for_failure(stack, already)
    finally:
        _run_or_ask(commands.start, "Make MySQL reachable again")

    _say("A newer change overtakes what has failed.")
    api.change(order, amount="4.00")
    _compare(stack, commands, [order])

    _say("The replay drains the rest, and writes nothing older over it.")
    _replay(stack)
    _compare(stack, commands, [order, late])

    _say("A delete reaches MySQL, too.")
    for one in (order, late):
        api.delete(one)
    _compare(stack, commands, [order, late])


@dataclass(frozen=True)
class Api:
    url: str
    headers: dict[str, str]

    @classmethod
    def of(cls, stack: Reach) -> Api:
        secret = stack.outputs.get("api_secret_arn")
        if not secret:
            raise UsageError("the smoke test signs in with the API's secret: deploy with api_auth = basic")
        found = stack.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
        login = json.loads(found)
        headers = urllib3.make_headers(basic_auth=f"{login['username']}:{login['password']}")
        return cls(f"{stack.outputs['api_url']}/v1/orders", {**headers, "Content-Type": "application/json"})

    def create(self, amount: str) -> str:
        body = f'{{"merchant_id": "merchant-smoke", "amount": {amount}, "currency": "EUR"}}'
        return str(self._request("POST", "", body, expected=201)["order_id"])

    def change(self, order: str, amount: str) -> None:
        self._request("PATCH", f"/{order}", f'{{"amount": {amount}}}', expected=200)

    def delete(self, order: str) -> None:
        self._request("DELETE", f"/{order}", None, expected=204)

    def _request(self, method: str, path: str, body: str | None, expected: int) -> dict[str, Any]:
        answer = urllib3.request(
            method, self.url + path, body=body, headers=self.headers, timeout=30, retries=False, redirect=False
        )
        if answer.status != expected:
            raise SmokeError(f"{method} {self.url}{path}: {answer.status}, not {expected}")
        return dict(json.loads(answer.data)) if answer.data else {}


def _compare(stack: Reach, commands: Commands, orders: list[str]) -> None:
    """The items of these orders and their rows are the same; both may be missing."""
    expected = [row for order in sorted(orders) if (row := _item(stack, order))]
    listed = ", ".join(f"'{order}'" for order in orders)
    sql = f"SELECT {', '.join(COLUMNS)} FROM tbl_orders WHERE order_id IN ({listed}) ORDER BY order_id;"
    for row in expected or [("no row",)]:
        print(f"   DynamoDB  {'  '.join(row)}")
    if not commands.mysql:
        print(f"   {sql}")
        if not _yes("Does MySQL answer with exactly that, within two minutes?"):
            raise SmokeError("MySQL differs from the table")
        return
    command = commands.mysql
    if not poll(lambda: _rows(command, sql) == expected, ARRIVES_WITHIN, interval=1):
        raise SmokeError(f"MySQL differs from the table after {ARRIVES_WITHIN} s: {len(_rows(command, sql))} rows")
    print("   MySQL     the same")


def _item(stack: Reach, order: str) -> Row | None:
    key = {"p_key": {"S": order}, "s_key": {"S": "ORDER"}}
    found = stack.client("dynamodb").get_item(TableName=stack.outputs["table_name"], Key=key, ConsistentRead=True)
    item = found.get("Item")
    return _plain(next(iter(item[name].values())) for name in ATTRIBUTES) if item else None


def _rows(command: str, sql: str) -> list[Row]:
    lines = _shell(command, sql).splitlines()
    try:
        return [_plain(line.split("\t")) for line in lines if line]
    except (ValueError, ArithmeticError) as error:
        raise SmokeError(f"{command}: it must print {len(COLUMNS)} columns with tabs, and no header") from error


def _plain(values: Any) -> Row:
    """Amounts without the zeros at their end: 2, 2.00 and 2.0000 are one."""
    row = dict(zip(COLUMNS, values, strict=True))
    return tuple(f"{Decimal(text).normalize():f}" if name == "amount" else str(text) for name, text in row.items())


def _wait_for_failure(stack: Reach, already: int) -> None:
    age = "the record age" if stack.outputs.get("endpoint_url") else f"the record age ({RECORD_AGE} s in a smoke test)"
    print(f"   Waiting until the batch is given up: after {age}, and some minutes at most.")
    began = time.monotonic()
    if not poll(lambda: _failed(stack) > already, FAILS_WITHIN, interval=5):
        raise SmokeError(f"no batch was given up within {FAILS_WITHIN} s: is MySQL really unreachable?")
    print(f"   Given up after {time.monotonic() - began:.0f} s.")


def _failed(stack: Reach) -> int:
    """Batches in the bucket and pointers in the queue."""
    pages = stack.client("s3").get_paginator("list_objects_v2").paginate(Bucket=stack.bucket, Prefix="aws/lambda/")
    batches = sum(int(page.get("KeyCount", 0)) for page in pages)
    queue = stack.outputs.get("failures_queue_url")
    if not queue:
        return batches
    name = "ApproximateNumberOfMessages"
    return batches + int(
        stack.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=[name])["Attributes"][name]
    )


def _replay(stack: Reach) -> None:
    execution = Execution.start(stack, {})
    sys.stdout.flush()
    follow(execution)
    ended = execution.end()
    print("\n".join(f"   {line}" for line in as_text(ended).splitlines()), flush=True)
    if verdict(ended) not in (DONE, ATTENTION):
        raise SmokeError("the replay did not get through; nothing is lost")


def _run_or_ask(command: str | None, what: str) -> None:
    if command:
        _shell(command, "")
    else:
        input(f"   {what}, then press Enter. ")


def _shell(command: str, text: str) -> str:
    done = subprocess.run(command, shell=True, input=text, capture_output=True, text=True, check=False)  # noqa: S602
    if done.returncode:
        raise SmokeError(f"{command}: exit code {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


def _yes(question: str) -> bool:
    return input(f"   {question} [yes/no] ").strip().lower() in ("y", "yes")


def _say(text: str) -> None:
    print(f"\n* {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
