"""The options that every command has."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import shtab

from backstream.deployment import DEFAULT_NAME, Deployment, find_deployment


class Parser(argparse.ArgumentParser):
    """A parser with the shared options. `default_command` runs where no subcommand is given."""

    default_command: str | None = None

    def __init__(self, *, shared_default: Any = argparse.SUPPRESS, **given: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **given)
        # A subparser has no defaults of its own: they would override options given before the command.
        add_shared(self, shared_default)

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        if self.default_command and args is not None and _lacks_command(args):
            args = [self.default_command, *args]
        return super().parse_known_args(args, namespace)


def add_shared(parser: argparse.ArgumentParser, default: Any) -> None:
    group = parser.add_argument_group("deployment (default: the local stack; for mapping only with --local)")
    outputs = group.add_argument(
        "--outputs",
        metavar="FILE",
        default=default,
        help="file with the output of terraform output -json or make outputs; - for standard input",
    )
    outputs.complete = shtab.FILE  # type: ignore[attr-defined]
    group.add_argument("--env", default=default, help="Terraform's env; finds the outputs in an SSM parameter")
    group.add_argument("--name", default=default, help=f"Terraform's name, with --env; default {DEFAULT_NAME}")
    group.add_argument(
        "--pipeline", default=default, help="pipeline of modules/pipeline, with --env; default the orders"
    )
    group.add_argument("--region", default=default, help="AWS Region, with --env; default as for the AWS CLI")
    parser.add_argument("--json", action="store_true", default=default, help="print JSON instead of text")


def count(text: str) -> int:
    """A number of things. The message of the error is that of wrong usage."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def deployment_of(options: argparse.Namespace) -> Deployment:
    """Raises as `find_deployment` does."""
    return find_deployment(
        outputs=options.outputs,
        name=options.name,
        env=options.env,
        region=options.region,
        pipeline=options.pipeline,
    )


def _lacks_command(arguments: Sequence[str]) -> bool:
    """True where an option comes instead of a subcommand. `--help` without one is the group's own."""
    shared = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    add_shared(shared, None)
    try:
        _, rest = shared.parse_known_args(arguments)
    except argparse.ArgumentError:  # the command's own parser reports it
        return False
    return not rest or (rest[0].startswith("-") and rest[0] not in ("-h", "--help"))
