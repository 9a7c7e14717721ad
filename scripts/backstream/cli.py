"""The command line: parses it, runs the command, and turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from botocore.exceptions import BotoCoreError, ClientError

from backstream import __version__
from backstream.commands import COMMANDS
from backstream.errors import ExitCode, FailedError, UsageError
from backstream.options import Parser
from common.bucket import UnreadableError

_DESCRIPTION = """\
Operate a Backstream deployment: see its status, replay failed batches, load, verify or seed a table,
see to parked records, prune old versions, write mapping files.

The deployment is one of these:
  --outputs FILE               its Terraform outputs
  --env ENV [--name, --region] its outputs as Terraform stores them in SSM
  none of these                the local stack that make up started: .backstream/outputs.json
                               in this folder or one above it, or in BACKSTREAM_HOME
"""
_EPILOG = """\
With AWS_ENDPOINT_URL set, commands call the emulator at that address, with test credentials.

Shell completion: backstream completion --help
"""


def main(arguments: Sequence[str] | None = None) -> int:
    if isinstance(sys.stdout, TextIOWrapper):  # a key may hold what the terminal's encoding does not have
        sys.stdout.reconfigure(errors="backslashreplace")
    options = build_parser().parse_args(list(sys.argv[1:] if arguments is None else arguments))
    try:
        return int(options.run(options))
    except UsageError as error:
        _say(str(error))
        return ExitCode.USAGE
    except (ClientError, BotoCoreError) as error:
        _say(f"AWS refused or did not answer; what was started goes on: {error}")
        return ExitCode.FAILED
    except (UnreadableError, FailedError) as error:
        _say(str(error))
        return ExitCode.FAILED
    except KeyboardInterrupt:
        print(file=sys.stderr)
        _say("interrupted; what was started goes on, and watch follows it")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader has closed the pipe, as in `list | head -1`; keep Python from flushing into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="backstream", description=_DESCRIPTION, epilog=_EPILOG, shared_default=None)
    parser.add_argument("--version", action="version", version=f"backstream {__version__}")
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_to(commands)
    return parser


def _say(text: str) -> None:
    print(f"backstream: {text}", file=sys.stderr)
