"""backstream prune: delete the versions that the sidecar keeps of items that are long gone."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from backstream.job_command import JobCommand
from backstream.options import count

_DESCRIPTION = """\
Delete the rows of the sidecar whose items are long gone. Live traffic goes on.
A row goes when nothing can bring an older change of its item any more, and no row of the target needs it.

Exit codes:
  0    done
  1    the prune failed, or AWS did not answer; nothing is lost, start it again
  2    wrong usage or input, or failed batches wait; nothing was deleted
  3    another job of the reconciler is running
  130  interrupted; a prune that was started goes on
"""


def _details(report: dict[str, Any]) -> Iterator[str]:
    if report.get("before"):
        yield f"removals before {report['before']}"
    if report.get("held_by"):
        yield f"held by {report['held_by']}"


_COMMAND = JobCommand(
    name="prune",
    noun="prune",
    help="delete the versions of items that are long gone",
    description=_DESCRIPTION,
    attention=(),
    details=_details,
    inputs=("older_than_days",),
    rate="rows_per_second",
    rate_help="the most rows to delete in a second",
    dry_run_help="walk through the sidecar and count; delete nothing",
    has_workers=False,
)


def add_to(commands: Any) -> None:
    _COMMAND.add_to(commands, _add_options)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--older-than-days",
        type=count,
        metavar="N",
        help="delete only rows of items that have been gone for so many days, at least 37; default as deployed",
    )
