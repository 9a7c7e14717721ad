"""backstream completion: a script that completes commands and options in a shell."""

from __future__ import annotations

import argparse
from typing import Any

import shtab

from backstream.errors import ExitCode

SHELLS = ("bash", "zsh", "fish")
_INSTALL = """\
Print a script that completes commands and options. To install it:

  bash  backstream completion bash > ~/.local/share/bash-completion/completions/backstream
  zsh   backstream completion zsh > DIRECTORY/_backstream, a directory of $fpath
  fish  backstream completion fish > ~/.config/fish/completions/backstream.fish

In bash, eval "$(backstream completion bash)" completes in this session only.
"""


def add_to(commands: Any) -> None:
    parser = commands.add_parser("completion", help="print a script for shell completion", description=_INSTALL)
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    print(shtab.complete(options.parser, shell=options.shell))
    return ExitCode.DONE
