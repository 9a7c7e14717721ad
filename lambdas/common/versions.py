"""Versions: strings that order the changes of one item."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from common.characters import DIGITS, only
from common.poison import PoisonError
from common.source import Source

# Of a loaded row. Sorts before the version of every stream record, so a load never wins over a live change.
LOWEST_VERSION = "0"
# What the sidecar holds of a key whose row was never written: it is locked, or a removal that leaves the row is noted.
NO_VERSION = ""

_MOST_DIGITS = 99
_are_digits = only(DIGITS)
_NO_NUMBER = f"SequenceNumber is not a decimal string of at most {_MOST_DIGITS} digits"
_OTHER_TABLE = "the event source mapping delivers the stream of another table: correct it, or correct STREAM_ARN"


def version(stream_arn: str, sequence_number: str, source: Source | None = None) -> str:
    """The version of one change: see `versions`."""
    return versions([stream_arn], [sequence_number], source)[0]


def versions(stream_arns: Sequence[str], sequence_numbers: Sequence[str], source: Source | None = None) -> list[str]:
    """The version of each change: `<stream label>_<digits of the number>_<number>`.

    A generation of `source` above 0 comes first, `g0001_`, and so sorts after every lower one.

    A re-created stream has a later label, so its records sort after those of the old stream. Sequence numbers are
    decimal strings of varying length (21 to 40 digits on AWS). The digit count in front makes plain string order
    their numeric order, in Python as in an ascii_bin column.

    Raises PoisonError when either part is malformed, or of another table than `source`.
    """
    together = "".join(sequence_numbers)
    if not together or "" in sequence_numbers or not _are_digits(together):
        raise PoisonError(_NO_NUMBER)
    if min(sequence_numbers) < "1":
        sequence_numbers = [number.lstrip("0") for number in sequence_numbers]
    lengths = {len(number) for number in sequence_numbers}
    if max(lengths) > _MOST_DIGITS:
        raise PoisonError(_NO_NUMBER)
    if len(lengths) == 1 and stream_arns.count(stream_arns[0]) == len(stream_arns):
        prefix = _prefix(stream_arns[0], *lengths, source)
        return [prefix + number for number in sequence_numbers]
    return [
        _prefix(arn, len(number), source) + number for arn, number in zip(stream_arns, sequence_numbers, strict=True)
    ]


@cache
def _prefix(stream_arn: str, digits: int, source: Source | None) -> str:
    match = re.fullmatch(r"arn:.+/stream/(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})", stream_arn)
    if not match:
        raise PoisonError("eventSourceARN does not end in a stream label such as 2026-01-31T00:00:00.000")
    if source and not source.owns(stream_arn):
        raise PoisonError("eventSourceARN belongs to another table", _OTHER_TABLE)
    return f"{source.prefix if source else ''}{match[1]}_{digits:02d}_"
