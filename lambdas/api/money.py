"""Amounts: exact decimals that fit the minor unit of their currency (ISO 4217)."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

MINOR_DIGITS: dict[str, int] = json.loads(Path(__file__).with_name("currencies.json").read_bytes())


def misfit(amount: Decimal, currency: str) -> str:
    """Say why `amount` cannot be paid in `currency`; empty if it can. Trailing zeros do not count."""
    digits = MINOR_DIGITS[currency]
    if _decimals(amount) <= digits:
        return ""
    return f"must have {f'at most {digits}' if digits else 'no'} decimals in this currency"


def text(amount: Decimal, currency: str) -> str:
    """Write `amount` exactly, with at least the decimals its currency has: 200.00."""
    decimals = max(MINOR_DIGITS.get(currency, 0), _decimals(amount))
    return f"{amount:.{decimals}f}"


def _decimals(amount: Decimal) -> int:
    """Count the decimals that matter: 2 for 1.25 and for 1.2500.

    Not `normalize()`, which rounds to 28 digits first and would let 1.(forty zeros)1 pass as 1.
    """
    _, digits, exponent = amount.as_tuple()
    if not isinstance(exponent, int):
        raise TypeError("an amount is a finite number")
    significant = len("".join(map(str, digits)).rstrip("0"))
    trailing_zeros = len(digits) - significant
    return max(0, -exponent - trailing_zeros)
