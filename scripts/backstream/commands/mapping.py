"""backstream mapping: help in writing a mapping file."""

from __future__ import annotations

import argparse
from textwrap import fill
from typing import Any

import shtab

from backstream.database_options import add_database, add_file, add_local, imported
from backstream.options import count

_DESCRIPTION = """\
Help in writing a mapping file, which says which item becomes which row.
Nothing is changed: not the DynamoDB table, not the database.

MAPPING is the path of a mapping file, or the name of one in ./mappings.

Tables and databases are those of a deployment (--env or --outputs), or of the local stack (only with --local).
Without a deployment, --table is a DynamoDB table in --region, and --host names the database.

Exit codes:
  0    done; for check: no errors, perhaps warnings; for explain: the item becomes a row
  1    for check: errors found; for explain: the item gets no row; or AWS or the database did not answer
  2    wrong usage or input
"""
_ITEMS = (
    "an item, or several: DynamoDB JSON or plain JSON, a list, the output of aws dynamodb scan, or one item per line"
)
_SAMPLE = 300


def add_to(commands: Any) -> None:
    parser = commands.add_parser("mapping", help="help in writing a mapping file", description=_DESCRIPTION)
    subcommands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_draft(subcommands)
    _add_check(subcommands)
    _add_ddl(subcommands)
    _add_explain(subcommands)


def _add_draft(subcommands: Any) -> None:
    parser = _add(
        subcommands,
        "draft",
        "write a first mapping file from a sample of items",
        'Each field "comment" of the file is an open question: decide, then delete it. The sample is an eventually'
        " consistent scan. It takes half a read unit for each 4 KB of items, and is billed like any read.",
    )
    parser.add_argument("--table", metavar="TABLE", required=True, help="DynamoDB table")
    _add_sample(parser)
    parser.add_argument(
        "--like",
        action="append",
        metavar="DATABASE_TABLE",
        help="take names and types from this table; may be repeated",
    )
    output = parser.add_argument("--output", metavar="FILE", help="write the file here; default: standard output")
    output.complete = shtab.FILE  # type: ignore[attr-defined]
    add_database(parser)


def _add_check(subcommands: Any) -> None:
    parser = _add(
        subcommands,
        "check",
        "check a mapping file by itself, against a database, and against items",
        "Checks the file. With a database, checks its tables too. With --table or --items, also says how many items"
        " become rows, and why others do not.",
    )
    _add_mapping(parser)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--table", metavar="TABLE", help="check a sample of the items of this DynamoDB table")
    add_file(source, "--items", f"check the items of this file: {_ITEMS}")
    _add_sample(parser)
    add_database(parser)


def _add_ddl(subcommands: Any) -> None:
    parser = _add(
        subcommands,
        "ddl",
        "print the CREATE and ALTER statements that a mapping needs; run none",
        "Without a database, prints a CREATE statement for each table. With one, prints statements for what is missing"
        " or too narrow there. A statement never narrows a column.",
    )
    _add_mapping(parser)
    parser.add_argument("--sidecar", action="store_true", help="also the tables of Backstream itself")
    add_database(parser)


def _add_explain(subcommands: Any) -> None:
    parser = _add(
        subcommands,
        "explain",
        "show the row that one item becomes, or why it gets none",
        "Prints the values of the item. Says what a delete and an expiry of it would do.",
    )
    _add_mapping(parser)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--key", metavar="JSON", help='key of an item of --table, such as {"pk": "ORDER#1", "sk": "A"}')
    add_file(source, "--item", "explain the item of this file")
    parser.add_argument("--table", metavar="TABLE", help="DynamoDB table of the item, read with its --key")
    add_local(parser)


def _add_mapping(parser: argparse.ArgumentParser) -> None:
    mapping = parser.add_argument(
        "mapping", metavar="MAPPING", help="path of a mapping file, or its name in ./mappings"
    )
    mapping.complete = shtab.FILE  # type: ignore[attr-defined]


def _add_sample(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sample", type=count, default=_SAMPLE, metavar="N", help=f"read about N items of --table; default {_SAMPLE}"
    )


def _add(subcommands: Any, name: str, text: str, more: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subcommands.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.\n\n{fill(more, 100)}"
    )
    parser.set_defaults(run=imported("mapping", "backstream.mapping.run", name))
    return parser
