"""The commands of `backstream mapping`: parsed options to an exit code."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from backstream.aws import client, default_region
from backstream.deployment import emulator_endpoint
from backstream.errors import ExitCode, FailedError, UsageError
from backstream.mapping import findings
from backstream.mapping.check_database import check_database
from backstream.mapping.check_file import check_file
from backstream.mapping.check_items import check_items
from backstream.mapping.connection import inspector_of, require_inspector, uses_deployment
from backstream.mapping.draft import draft as draft_mapping
from backstream.mapping.draft_key import LegacyTable, TableKeys
from backstream.mapping.dynamodb import SourceTable
from backstream.mapping.explain import exact_text, is_row, text_of
from backstream.mapping.explain import explain as explain_item
from backstream.mapping.files import find_mapping, load_mapping, render
from backstream.mapping.findings import Finding
from backstream.mapping.items import Item, parse_key, read_item, read_items
from backstream.mapping.statements import statements
from backstream.options import deployment_of
from common.config import ConfigError
from common.database import DatabaseError
from common.mapping import Mapping, MappingError
from common.mapping_file import read_file, read_text
from common.mysql.ddl import create_own
from common.mysql.inspection import Inspector


def draft(options: argparse.Namespace) -> int:
    output = Path(options.output) if options.output else None
    if output and output.exists():
        raise UsageError(f"{output} exists, and a draft overwrites nothing: give another --output")
    with _asking():
        table = _table(options)
        keys = TableKeys(table.partition_key, table.sort_key, table.ttl_attribute, table.index_attributes)
        tables = _legacy_tables(options)
        sample = table.sample(options.sample)
    if not sample.items:
        raise UsageError(f"the table {table.name} has no items to draft from")
    text = render(draft_mapping(keys, sample.items, tables))
    _require_valid(output.stem if output else "draft", text)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
        _say(f"wrote {output}")
    else:
        print(text, end="")
    _say(
        f"read {len(sample.items)} items of {table.name}, {sample.read_units:g} read units;"
        f" {text.count(_COMMENT)} comments to decide"
    )
    return ExitCode.DONE


def _require_valid(name: str, text: str) -> None:
    """Before anything is written. Raises FailedError."""
    try:
        read_text(name, text, Path())
    except MappingError as error:
        raise FailedError("\n".join(["the draft is not valid:", *error.problems])) from None


_COMMENT = '"comment": '


def check(options: argparse.Namespace) -> int:
    file = find_mapping(options.mapping)
    found = check_file(file)
    if findings.exit_code(found) is ExitCode.DONE:
        found += _live_findings(options, read_file(file))
    findings.print_findings(found, as_json=bool(options.json))
    return findings.exit_code(found)


def _live_findings(options: argparse.Namespace, mapping: Mapping) -> list[Finding]:
    with _asking(), _closing(inspector_of(options)) as inspector:
        found = check_database(mapping, inspector) if inspector else []
        items = _items(options)
        return found + (check_items(mapping, items, inspector) if items else [])


def ddl(options: argparse.Namespace) -> int:
    mapping = load_mapping(find_mapping(options.mapping))
    with _asking(), _closing(inspector_of(options)) as inspector:
        found = list(statements(mapping, inspector))
        if options.sidecar:
            found += create_own(inspector.own_tables() if inspector else {})
    if options.json:
        print(json.dumps(found, indent=2))
    elif found:
        print("\n\n".join(found))
    else:
        _say("nothing is missing or too narrow")
    return ExitCode.DONE


def explain(options: argparse.Namespace) -> int:
    mapping = load_mapping(find_mapping(options.mapping))
    found = explain_item(mapping, _item(options))
    if options.json:
        print(json.dumps(found, indent=2, ensure_ascii=False, default=exact_text))
    else:
        print("\n\n".join(map(text_of, found)))
    return ExitCode.DONE if all(map(is_row, found)) else ExitCode.FAILED


def _item(options: argparse.Namespace) -> Item:
    if options.item:
        return read_item(options.item)
    key = parse_key(options.key)
    if not options.table:
        raise UsageError("--key needs --table, the DynamoDB table of the item")
    with _asking():
        item = _table(options).item(key)
    if item is None:
        raise UsageError(f"{options.table} has no item with this key")
    return item


def _items(options: argparse.Namespace) -> list[Item]:
    if options.items:
        return read_items(options.items)
    return _table(options).sample(options.sample).items if options.table else []


def _table(options: argparse.Namespace) -> SourceTable:
    if uses_deployment(options):
        return SourceTable(deployment_of(options).client("dynamodb"), options.table)
    region = options.region or default_region()
    if region is None:
        raise UsageError(f"no Region in which to look for the table {options.table}: give --region or set AWS_REGION")
    return SourceTable(client("dynamodb", region, emulator_endpoint()), options.table)


def _legacy_tables(options: argparse.Namespace) -> list[LegacyTable]:
    if not options.like:
        return []
    with _closing(require_inspector(options, "for --like")) as inspector:
        found = {name: inspector.table(name) for name in options.like}
    if absent := [name for name, table in found.items() if table is None]:
        raise UsageError(f"the database has no table {', '.join(absent)}, or its account may not see it")
    return [LegacyTable(name, table.columns, table.primary_key) for name, table in found.items() if table]


@contextmanager
def _asking() -> Iterator[None]:
    """What AWS or the database refuses, as one line."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise FailedError(f"AWS refused or did not answer: {error}") from None
    except (DatabaseError, ConfigError) as error:
        raise FailedError(str(error)) from None


@contextmanager
def _closing(inspector: Inspector | None) -> Iterator[Any]:
    try:
        yield inspector
    finally:
        if inspector:
            inspector.close()


def _say(text: str) -> None:
    print(text, file=sys.stderr)
