"""backstream seed: make items of the rows of an existing database."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from backstream.job_command import JobCommand

_DESCRIPTION = """\
Make an item of each row of the target tables, while the legacy application still writes them.
No row is changed, and an item that anybody else has written stays as it is.
Seed all rows once, then the rows that have changed since, until the cutover.

Exit codes:
  0    done
  1    the seed failed, or AWS did not answer; nothing is lost, start it again
  2    wrong usage or input, or the mapping, the stream or the consumer is not ready; nothing was changed
  3    another seed is running
  4    done, but some rows have no item; the report lists them
  130  interrupted; a seed that was started goes on
"""


def _details(report: dict[str, Any]) -> Iterator[str]:
    for entity, value in report.get("since", {}).items():
        yield f"{entity} since {value}"
    for one in report.get("problems", ()):
        yield f"unseedable: {one['key']}: {one['reason']}"


_COMMAND = JobCommand(
    name="seed",
    noun="seed",
    help="make items of the rows of an existing database",
    description=_DESCRIPTION,
    attention=("unseedable",),
    details=_details,
    inputs=("entities", "since"),
    rate="write_units_per_second",
    rate_help="the most write units of the table to consume in a second",
)


def add_to(commands: Any) -> None:
    _COMMAND.add_to(commands, _add_options)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--entity",
        action="append",
        dest="entities",
        metavar="NAME",
        help="only the rows of this entity of the mapping; may be given again",
    )
    parser.add_argument(
        "--since",
        type=_since,
        metavar="COLUMN[=VALUE]",
        help="only rows whose column is at or after the value; without it, those that have changed since the last seed",
    )


def _since(text: str) -> dict[str, str]:
    column, has_value, value = text.partition("=")
    return {"column": column} | ({"value": value} if has_value else {})
