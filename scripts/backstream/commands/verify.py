"""backstream verify: compare MySQL with the DynamoDB table, and repair what differs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

from backstream.job_command import JobCommand

_DESCRIPTION = """\
Compare MySQL with the DynamoDB table while changes flow.
A change that is on its way is no difference: what differs is read again until it agrees, or has stood still.

Exit codes:
  0    both sides are equal, or were made equal
  1    the verification failed, or AWS did not answer; start it again
  2    wrong usage or input, or the stream or the consumer is off; nothing was compared
  3    another verification is running
  4    done, and something differs; the report lists it
  130  interrupted; a verification that was started goes on
"""


def _details(report: dict[str, Any]) -> Iterator[str]:
    for one in report.get("findings", ()):
        columns = f" ({', '.join(one['columns'])})" if one["columns"] else ""
        reason = f": {one['reason']}" if one.get("reason") else ""
        yield f"{one['outcome']}: {one['key'] or json.dumps(one['item_key'])}: {one['kind']}{columns}{reason}"
    if report.get("scan_reason"):
        yield f"the whole table was read: {report['scan_reason']}"
    if report.get("verified_through"):
        yield f"every change up to {report['verified_through']} is in MySQL"


_COMMAND = JobCommand(
    name="verify",
    noun="verification",
    help="compare MySQL with the table, and repair what differs",
    description=_DESCRIPTION,
    attention=("drift", "pending", "refused", "item_refused", "unsettled", "cut_keys"),
    details=_details,
    inputs=(
        "slice",
        "changed_from",
        "changed_until",
        "repair",
        "delete_strangers",
        "delete_removed",
        "keep_removed",
        "after_cutover",
        "columns",
    ),
)


def add_to(commands: Any) -> None:
    _COMMAND.add_to(commands, _add_options)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--slice",
        metavar="PART/PARTS",
        help="only a part of the table, as in 1/30; next/30 is the one tried longest ago",
    )
    parser.add_argument(
        "--changed-from",
        metavar="TIME",
        help="only items changed at or after this time, as in 2026-01-31T12:00:00Z; with --changed-until",
    )
    parser.add_argument("--changed-until", metavar="TIME", help="only items changed before this time")
    parser.add_argument(
        "--repair", action="store_true", default=None, help="bring MySQL to the table's state where that is safe"
    )
    parser.add_argument(
        "--delete-strangers",
        action="store_true",
        default=None,
        help="with --repair, also delete rows of which there never was an item",
    )
    parser.add_argument(
        "--delete-removed",
        action="store_true",
        default=None,
        help="with --repair, also delete rows whose items are gone, deleted or expired",
    )
    parser.add_argument(
        "--keep-removed",
        action="store_true",
        default=None,
        help="with --repair, keep rows whose items are gone, deleted or expired, and report them no more",
    )
    parser.add_argument(
        "--after-cutover",
        action="store_true",
        default=None,
        help="the table is the truth, also for rows whose items are exactly as a seed wrote them",
    )
    parser.add_argument(
        "--columns",
        type=lambda text: text.split(","),
        metavar="NAMES",
        help="with --repair, only fill these columns, separated by commas",
    )
