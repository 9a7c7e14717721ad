"""A smoke test on a real AWS account: deploy, an order, an outage, a replay, and destroy. It takes half an hour.

With --var-file it deploys first and destroys afterwards. With --outputs it tests an existing deployment.
It asks before it deploys or destroys anything. MySQL is private, so it asks you to compare rows and to stop MySQL,
unless --mysql, --stop-database and --start-database are commands that do it.
Use a separate Terraform state, env and database: the test includes an outage.

Exit codes: 0 every step passed; 1 a step failed, or you answered no; 2 wrong usage; 130 interrupted.
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

from backstream.deployment import Deployment, find_deployment, parse_outputs
from backstream.errors import ExitCode, UsageError
from backstream.execution import Execution
from backstream.progress import follow
from backstream.report import exit_code, text_report
from common.layout import FAILED
from scripts.local_stack.process import poll

RECORD_AGE = 60  # seconds; the least that AWS allows
ARRIVES_WITHIN, FAILS_WITHIN = 120, 1200
COLUMNS = ("order_id", "merchant_id", "amount", "currency", "status", "created_at", "updated_at")
ATTRIBUTES = ("p_key", *COLUMNS[1:])
_REPOSITORY = Path(__file__).resolve().parents[1]
_FOLDER = _REPOSITORY / "terraform"
Row = tuple[str, ...]


class SmokeError(Exception):
    """A step failed; the message says how."""


@dataclass(frozen=True)
class Commands:
    """Shell commands that take the place of a person."""

    mysql: str | None
    stop: str | None
    start: str | None


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parse(arguments)
    try:
        _deploy_and_try(given) if given.var_file else _try(find_deployment(outputs=given.outputs), _commands(given))
    except (SmokeError, ClientError, BotoCoreError, urllib3.exceptions.HTTPError) as error:
        print(f"smoke: {error}", file=sys.stderr)
        return ExitCode.FAILED
    except UsageError as error:
        print(f"smoke: {error}", file=sys.stderr)
        return ExitCode.USAGE
    except (KeyboardInterrupt, EOFError):
        print("\nsmoke: interrupted; the deployment still exists, and MySQL may be stopped", file=sys.stderr)
        return ExitCode.INTERRUPTED
    print("\nEvery step passed.")
    return ExitCode.DONE


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="smoke_aws", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--var-file", metavar="FILE", help="Terraform variables of a deployment to create and destroy")
    what.add_argument(
        "--outputs", metavar="FILE", help="terraform output -json of an existing deployment; - for standard input"
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


def _deploy_and_try(given: argparse.Namespace) -> None:
    file = Path(given.var_file).resolve()
    if not file.is_file():
        raise UsageError(f"no file {given.var_file}")
    variables = [f"-var-file={file}", f"-var=stream_maximum_record_age_seconds={RECORD_AGE}"]
    _say("Deploy. Terraform shows its plan and asks.")
    _terraform("init", *(f"-backend-config={one}" for one in given.backend_config))
    _terraform("apply", *variables)
    try:
        _try(_deployed(), _commands(given))
    except Exception as error:
        print(f"smoke: {error}", file=sys.stderr)  # the question below may raise another error
        raise
    finally:
        _destroy(variables)


def _destroy(variables: list[str]) -> None:
    _say("Destroy. The tables tbl_orders and replication_versions stay in MySQL.")
    if not _yes("Remove the deletion protection and destroy the deployment with every order in it?"):
        raise SmokeError("not destroyed: the deployment still exists and costs money")
    unprotected = ["-var=deletion_protection=false", "-var=failures_bucket_force_destroy=true"]
    _terraform("apply", *variables, *unprotected)
    _terraform("destroy", *variables, *unprotected)


def _terraform(verb: str, *arguments: str) -> None:
    if subprocess.run(["terraform", verb, *arguments], cwd=_FOLDER, env=_environment(), check=False).returncode:
        raise SmokeError(f"terraform {verb} failed, or you answered no")


def _deployed() -> Deployment:
    command = ["terraform", "output", "-json"]
    shown = subprocess.run(command, cwd=_FOLDER, env=_environment(), capture_output=True, text=True, check=False)
    if shown.returncode:
        raise SmokeError(f"terraform output failed: {shown.stderr.strip()[-500:]}")
    return parse_outputs(shown.stdout, "terraform output")


def _environment() -> dict[str, str]:
    """With a data folder of its own, so that init does not reuse the backend of another deployment."""
    return {**os.environ, "TF_DATA_DIR": str(_REPOSITORY / ".backstream" / "smoke")}


def _try(deployment: Deployment, commands: Commands) -> None:
    api = Api.of(deployment)
    _say("An order through the API reaches MySQL.")
    order = api.create("1.00")
    _compare(deployment, commands, [order])

    _say("MySQL stops; the API goes on.")
    already = _failed(deployment)
    _run_or_ask(commands.stop, "Make MySQL unreachable now (stop the test database, or lock its user)")
    try:
        api.change(order, amount="2.00")
        late = api.create("3.00")
        _wait_for_failure(deployment, already)
    finally:
        _run_or_ask(commands.start, "Make MySQL reachable again")

    _say("A newer change overtakes the failed batch.")
    api.change(order, amount="4.00")
    _compare(deployment, commands, [order])

    _say("The replay applies the failed batch and does not overwrite the newer change.")
    _replay(deployment)
    _compare(deployment, commands, [order, late])

    _say("Deletes reach MySQL.")
    for one in (order, late):
        api.delete(one)
    _compare(deployment, commands, [order, late])


@dataclass(frozen=True)
class Api:
    url: str
    headers: dict[str, str]

    @classmethod
    def of(cls, deployment: Deployment) -> Api:
        secret = deployment.outputs.get("api_secret_arn")
        if not secret:
            raise UsageError("the smoke test needs the API's secret to log in: deploy with api_auth = basic")
        found = deployment.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
        login = json.loads(found)
        headers = urllib3.make_headers(basic_auth=f"{login['username']}:{login['password']}")
        return cls(f"{deployment.outputs['api_url']}/v1/orders", {**headers, "Content-Type": "application/json"})

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


def _compare(deployment: Deployment, commands: Commands, orders: list[str]) -> None:
    """Raises SmokeError unless these orders' rows equal their items; an order may be missing on both sides."""
    expected = [row for order in sorted(orders) if (row := _item(deployment, order))]
    listed = ", ".join(f"'{order}'" for order in orders)
    sql = f"SELECT {', '.join(COLUMNS)} FROM tbl_orders WHERE order_id IN ({listed}) ORDER BY order_id;"
    for row in expected or [("no row",)]:
        print(f"   DynamoDB  {'  '.join(row)}")
    if not commands.mysql:
        print(f"   {sql}")
        if not _yes("Does MySQL return exactly these rows within two minutes?"):
            raise SmokeError("MySQL differs from the table")
        return
    command = commands.mysql
    if not poll(lambda: _rows(command, sql) == expected, ARRIVES_WITHIN, interval=1):
        raise SmokeError(f"MySQL differs from the table after {ARRIVES_WITHIN} s: {len(_rows(command, sql))} rows")
    print("   MySQL     the same")


def _item(deployment: Deployment, order: str) -> Row | None:
    key = {"p_key": {"S": order}, "s_key": {"S": "ORDER"}}
    found = deployment.client("dynamodb").get_item(
        TableName=deployment.outputs["table_name"], Key=key, ConsistentRead=True
    )
    item = found.get("Item")
    return _normalised(next(iter(item[name].values())) for name in ATTRIBUTES) if item else None


def _rows(command: str, sql: str) -> list[Row]:
    lines = _shell(command, sql).splitlines()
    try:
        return [_normalised(line.split("\t")) for line in lines if line]
    except (ValueError, ArithmeticError) as error:
        raise SmokeError(f"{command} must print {len(COLUMNS)} tab-separated columns and no header") from error


def _normalised(values: Any) -> Row:
    """With amounts normalised: 2, 2.00 and 2.0000 are equal."""
    row = dict(zip(COLUMNS, values, strict=True))
    return tuple(f"{Decimal(text).normalize():f}" if name == "amount" else str(text) for name, text in row.items())


def _wait_for_failure(deployment: Deployment, already: int) -> None:
    age = (
        "the record age"
        if deployment.outputs.get("endpoint_url")
        else f"the record age ({RECORD_AGE} s in a smoke test)"
    )
    print(f"   Waiting until Lambda gives the batch up: after {age}, or a few minutes more.")
    began = time.monotonic()
    if not poll(lambda: _failed(deployment) > already, FAILS_WITHIN, interval=5):
        raise SmokeError(f"no batch was given up within {FAILS_WITHIN} s: check that MySQL is unreachable")
    print(f"   Given up after {time.monotonic() - began:.0f} s.")


def _failed(deployment: Deployment) -> int:
    """Failed batches in the bucket and messages in the queue."""
    pages = deployment.client("s3").get_paginator("list_objects_v2").paginate(Bucket=deployment.bucket, Prefix=FAILED)
    batches = sum(int(page.get("KeyCount", 0)) for page in pages)
    queue = deployment.outputs.get("failures_queue_url")
    if not queue:
        return batches
    name = "ApproximateNumberOfMessages"
    return batches + int(
        deployment.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=[name])["Attributes"][name]
    )


def _replay(deployment: Deployment) -> None:
    execution = Execution.start(deployment, {})
    sys.stdout.flush()
    follow(execution)
    result = execution.result()
    print("\n".join(f"   {line}" for line in text_report(result).splitlines()), flush=True)
    if exit_code(result) not in (ExitCode.DONE, ExitCode.NEEDS_ATTENTION):
        raise SmokeError("the replay failed; nothing is lost")


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
