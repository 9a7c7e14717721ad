"""Exact decimal amounts and the decimal places of each currency (ISO 4217 minor units)."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

MINOR_DIGITS: dict[str, int] = json.loads(Path(__file__).with_name("currencies.json").read_bytes())


def fits(amount: Decimal, currency: str) -> bool:
    """Tell whether `currency` has the decimal places that `amount` needs. Trailing zeros do not count."""
    return _decimal_places(amount) <= MINOR_DIGITS[currency]


def text(amount: Decimal, currency: str) -> str:
    """Write `amount` exactly, with at least the decimal places of its currency: 200.00."""
    places = max(MINOR_DIGITS.get(currency, 0), _decimal_places(amount))
    return f"{amount:.{places}f}"


def _decimal_places(amount: Decimal) -> int:
    """Count decimal places without trailing zeros: 2 for 1.25 and for 1.2500.

    Not `normalize()`: it rounds to 28 digits first, so 1.(forty zeros)1 would count as 1.
    """
    _, digits, exponent = amount.as_tuple()
    if not isinstance(exponent, int):
        raise TypeError("an amount must be a finite number")
    significant = len("".join(map(str, digits)).rstrip("0"))
    trailing_zeros = len(digits) - significant
    return max(0, -exponent - trailing_zeros)
