"""backstream mapping: help in writing a mapping file."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from textwrap import fill
from typing import Any

import shtab

from backstream.errors import UsageError

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
_DATABASE = """\
With a deployment (--env or --outputs) or the local stack (--local), the connection is that of its functions, with their
secret, which your credentials must be allowed to read. --host, --port, --user and --database override it, for example
for a tunnel. Without a deployment, give --host, --user and --database. The password of --user comes from MYSQL_PASSWORD
or a prompt.
"""
_ITEMS = (
    "an item, or several: DynamoDB JSON or plain JSON, a list, the output of aws dynamodb scan, or one item per line"
)
_EXTRA = ("pymysql", "jsonschema", "certifi")
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
    _add_database(parser)


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
    _add_file(source, "--items", f"check the items of this file: {_ITEMS}")
    _add_sample(parser)
    _add_database(parser)


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
    _add_database(parser)


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
    _add_file(source, "--item", "explain the item of this file")
    parser.add_argument("--table", metavar="TABLE", help="DynamoDB table of the item, read with its --key")
    _add_local(parser)


def _add_mapping(parser: argparse.ArgumentParser) -> None:
    mapping = parser.add_argument(
        "mapping", metavar="MAPPING", help="path of a mapping file, or its name in ./mappings"
    )
    mapping.complete = shtab.FILE  # type: ignore[attr-defined]


def _add_file(parser: Any, option: str, text: str) -> None:
    parser.add_argument(option, metavar="FILE", help=text).complete = shtab.FILE


def _add_sample(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sample", type=_count, default=_SAMPLE, metavar="N", help=f"read about N items of --table; default {_SAMPLE}"
    )


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise ValueError
    return count


_count.__name__ = "number"  # argparse says "invalid number value"


def _add_local(parser: Any) -> None:
    parser.add_argument("--local", action="store_true", help="use the local stack that make up started")


def _add_database(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("database", _DATABASE)
    _add_local(group)
    group.add_argument("--host", help="database server")
    group.add_argument("--port", type=_count, help="its port; default 3306")
    group.add_argument("--user", help="account; its password comes from MYSQL_PASSWORD or a prompt")
    group.add_argument("--database", metavar="NAME", help="name of the database on the server")
    group.add_argument(
        "--tls",
        choices=("verify", "require", "off"),
        help="check the server's certificate, only encrypt, or neither; default: as the functions do, else verify",
    )
    _add_file(group, "--ca", "certificates (PEM) of a private authority; default: the public ones")


def _add(subcommands: Any, name: str, text: str, more: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subcommands.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.\n\n{fill(more, 100)}"
    )
    parser.set_defaults(run=_command(name))
    return parser


def _command(name: str) -> Callable[[argparse.Namespace], int]:
    """Imports what it needs when it runs: the other commands do without PyMySQL and jsonschema."""

    def run(options: argparse.Namespace) -> int:
        try:
            commands = import_module("backstream.mapping.run")
        except ModuleNotFoundError as error:
            if error.name not in _EXTRA:
                raise
            raise UsageError(
                f"backstream mapping needs the package {error.name}: in the repository, pip install '.[mapping]'"
            ) from None
        return int(getattr(commands, name)(options))

    return run
