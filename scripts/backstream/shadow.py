"""`backstream shadow`: which keys are compared, where, and how the result is told."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from backstream.aws import client, default_region
from backstream.deployment import Deployment, emulator_endpoint
from backstream.errors import ExitCode, FailedError, UsageError
from backstream.mapping.connection import access_of, consumer_environment, uses_deployment
from backstream.mapping.explain import exact_text
from backstream.mapping.files import find_mapping, load_mapping
from backstream.options import deployment_of
from common.changes import Value
from common.config import ConfigError
from common.database import DatabaseError
from common.item_reader import ItemReader
from common.key_parser import RowKey
from common.mapping import DEFAULT, Mapping
from common.mysql.database import MySQLDatabase
from common.raw_items import keep_items_raw
from common.shadow import Difference, ShadowReads, ShadowReport

_COUNTS = ("keys", "agreed", "agreed_later", "differs", "seed_outdated", "refused", "unsettled")
_SHOWN_KEYS = 5


def compare(options: argparse.Namespace) -> ExitCode:
    try:
        report, mapping = _compare(options)
    except (ClientError, BotoCoreError) as error:
        raise FailedError(f"AWS refused or did not answer: {error}") from None
    except (DatabaseError, ConfigError) as error:
        raise FailedError(str(error)) from None
    found = _document(report, mapping, with_values=options.values)
    print(json.dumps(found, indent=2, ensure_ascii=False) if options.json else "\n".join(_lines(found)))
    return ExitCode.DONE if report.is_equal else ExitCode.NEEDS_ATTENTION


def _compare(options: argparse.Namespace) -> tuple[ShadowReport, Mapping]:
    options.local = options.local or not (options.outputs or options.env or options.host)
    deployment = deployment_of(options) if uses_deployment(options) else None
    mapping = _mapping(options, deployment)
    access = access_of(options, deployment)
    if access is None:
        raise UsageError("no database: give --host, or --env, --outputs or --local")
    database = MySQLDatabase(*access, mapping)
    reads = ShadowReads(mapping, database, _items(options, deployment), wait=options.wait)
    keys = list(_sampled(_keys(options), options.sample))
    if not keys:
        raise UsageError("there is no key to compare: give more keys, or a larger --sample")
    try:
        return reads.check(_parsed(reads, keys)), mapping
    finally:
        database.drop()


def _mapping(options: argparse.Namespace, deployment: Deployment | None) -> Mapping:
    """As the deployment's consumer has it."""
    environment = consumer_environment(deployment) if deployment else {}
    mapping = load_mapping(find_mapping(options.mapping or environment.get("MAPPING", DEFAULT)))
    return mapping.mirroring_expiry() if environment.get("MIRROR_TTL_DELETES") == "true" else mapping


def _items(options: argparse.Namespace, deployment: Deployment | None) -> ItemReader:
    table = options.table or (deployment and deployment.outputs.get("table_name"))
    if not table:
        raise UsageError("no DynamoDB table: give --table, or --env, --outputs or --local")
    if deployment:
        return ItemReader(keep_items_raw(deployment.client("dynamodb")), str(table))
    region = options.region or default_region()
    if region is None:
        raise UsageError(f"no Region in which to look for the table {table}: give --region or set AWS_REGION")
    return ItemReader(keep_items_raw(client("dynamodb", region, emulator_endpoint())), str(table))


def _keys(options: argparse.Namespace) -> Iterator[str]:
    if options.keys:
        yield from options.keys
        return
    if options.outputs == "-":
        raise UsageError("standard input holds the outputs: give the keys as arguments")
    for line in sys.stdin:
        if text := line.strip():
            yield text


def _sampled(keys: Iterator[str], share: float) -> Iterator[str]:
    return keys if share == 1 else (key for key in keys if random.random() < share)  # noqa: S311 - not secret


def _parsed(reads: ShadowReads, texts: list[str]) -> list[RowKey]:
    """Raises UsageError with the first of those that are no keys."""
    keys, problems = [], []
    for text in texts:
        try:
            keys.append(reads.parse(text))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        more = len(problems) - _SHOWN_KEYS
        raise UsageError("\n".join([*problems[:_SHOWN_KEYS], *([f"and {more} more"] if more > 0 else [])]))
    return keys


def _document(report: ShadowReport, mapping: Mapping, *, with_values: bool) -> dict[str, Any]:
    return {
        "counts": {name: report.counts[name] for name in _COUNTS},
        "differences": [_difference(one, mapping, with_values=with_values) for one in report.differences],
        "refused": [{"key": key, "reason": reason} for key, reason in report.refused.items()],
        "unsettled": report.unsettled,
    }


def _difference(one: Difference, mapping: Mapping, *, with_values: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"key": one.finding.key, "kind": one.kind, "columns": list(one.finding.columns)}
    if with_values:
        values = one.values(mapping)
        told["values"] = {name: {"item": _plain(item), "row": _plain(row)} for name, (item, row) in values.items()}
    return told


def _plain(value: Value) -> str | int | None:
    return value if value is None or isinstance(value, int) else exact_text(value)


def _lines(found: dict[str, Any]) -> Iterator[str]:
    for one in found["differences"]:
        columns = f" ({', '.join(one['columns'])})" if one["columns"] else ""
        yield f"differs: {one['key']}: {one['kind']}{columns}"
        for name, sides in one.get("values", {}).items():
            item, row = (json.dumps(sides[side], ensure_ascii=False) for side in ("item", "row"))
            yield f"  {name}: item {item}, row {row}"
    yield from (f"refused: {one['key']}: {one['reason']}" for one in found["refused"])
    yield from (f"unsettled: {key}" for key in found["unsettled"])
    yield from (f"{name.replace('_', ' '):<14} {count:>8,}" for name, count in found["counts"].items() if count)
