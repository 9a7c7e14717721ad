"""backstream shadow: compare both sides for the keys of live requests."""

from __future__ import annotations

from typing import Any

from backstream.database_options import add_database, imported

_WAIT = 30.0

_DESCRIPTION = """\
Compare MySQL with the DynamoDB table for a sample of live requests.
Both sides are read by key. Nothing is changed, and nothing is locked.
A difference is read again until it agrees, or has stood still for longer than --wait.

KEY is a key as reports show it, such as order/8f14.
Where the mapping has one entity with one key column, the value is enough: 8f14.
Without KEY, keys are read from standard input, one a line.

The deployment or the options name the database and the DynamoDB table, which are read with your rights.

Exit codes:
  0    all keys agree
  1    AWS or the database did not answer
  2    wrong usage or input; nothing was compared
  4    some keys differ, or could not be decided
  130  interrupted
"""


def add_to(commands: Any) -> None:
    parser = commands.add_parser(
        "shadow", help="compare both sides for the keys of live requests", description=_DESCRIPTION
    )
    parser.add_argument("keys", nargs="*", metavar="KEY", help="a key; without one, from standard input")
    parser.add_argument(
        "--sample", type=_share, default=1.0, metavar="SHARE", help="compare this share of the keys, such as 0.01"
    )
    parser.add_argument(
        "--wait",
        type=_seconds,
        default=_WAIT,
        metavar="SECONDS",
        help=f"the longest that a change takes to MySQL; default {_WAIT:g}",
    )
    parser.add_argument("--values", action="store_true", help="also show the values that differ")
    parser.add_argument("--mapping", help="path or name of the mapping; default: the deployment's, in ./mappings")
    parser.add_argument("--table", help="DynamoDB table; default: the deployment's")
    add_database(parser)
    parser.set_defaults(run=imported("shadow", "backstream.shadow", "compare"))


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share <= 1:
        raise ValueError
    return share


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < 86_400:  # noqa: PLR2004 - a day
        raise ValueError
    return seconds


_share.__name__, _seconds.__name__ = "share", "number"  # argparse says "invalid share value"
