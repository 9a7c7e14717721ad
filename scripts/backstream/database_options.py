"""The options that name a database, and commands that need packages of their own."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from typing import Any

import shtab

from backstream.errors import UsageError
from backstream.options import count

_DATABASE = """\
With a deployment (--env or --outputs) or the local stack (--local), the connection is that of its functions, with their
secret, which your credentials must be allowed to read. --host, --port, --user and --database override it, for example
for a tunnel. Without a deployment, give --host, --user and --database. The password of --user comes from MYSQL_PASSWORD
or a prompt.
"""
_EXTRA = ("pymysql", "jsonschema", "certifi")


def add_database(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("database", _DATABASE)
    add_local(group)
    group.add_argument("--host", help="database server")
    group.add_argument("--port", type=count, help="its port; default 3306")
    group.add_argument("--user", help="account; its password comes from MYSQL_PASSWORD or a prompt")
    group.add_argument("--database", metavar="NAME", help="name of the database on the server")
    group.add_argument(
        "--tls",
        choices=("verify", "require", "off"),
        help="check the server's certificate, only encrypt, or neither; default: as the functions do, else verify",
    )
    add_file(group, "--ca", "certificates (PEM) of a private authority; default: the public ones")


def add_local(parser: Any) -> None:
    parser.add_argument("--local", action="store_true", help="use the local stack that make up started")


def add_file(parser: Any, option: str, text: str) -> None:
    parser.add_argument(option, metavar="FILE", help=text).complete = shtab.FILE


def imported(command: str, module: str, function: str) -> Callable[[argparse.Namespace], int]:
    """Imports what it needs when it runs: the other commands do without PyMySQL and jsonschema."""

    def run(options: argparse.Namespace) -> int:
        try:
            commands = import_module(module)
        except ModuleNotFoundError as error:
            if error.name not in _EXTRA:
                raise
            raise UsageError(
                f"backstream {command} needs the package {error.name}: in the repository, pip install '.[mapping]'"
            ) from None
        return int(getattr(commands, function)(options))

    return run
