"""backstream load: bring the items of an existing table into MySQL."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

from backstream.job_command import JobCommand

_DESCRIPTION = """\
Load the items of the DynamoDB table into MySQL while changes flow.
A live change always wins over a loaded item. A load that was stopped goes on where it was.

Exit codes:
  0    done
  1    the load failed, or AWS did not answer; nothing is lost, start it again
  2    wrong usage or input, or the stream or the consumer is off; nothing was changed
  3    another load is running
  4    done, but some items were refused or wait for other rows; the report lists them
  130  interrupted; a load that was started goes on
"""


def _details(report: dict[str, Any]) -> Iterator[str]:
    for one in report.get("problems", ()):
        yield f"refused: {one['key'] or json.dumps(one['item_key'])}: {one['reason']}"


_COMMAND = JobCommand(
    name="load",
    noun="load",
    help="load the items of the table into MySQL",
    description=_DESCRIPTION,
    attention=("refused", "waiting"),
    details=_details,
)


def add_to(commands: Any) -> None:
    _COMMAND.add_to(commands, _add_options)


def _add_options(_: argparse.ArgumentParser) -> None:
    """It has those of all jobs."""
