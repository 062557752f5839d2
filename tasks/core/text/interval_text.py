"""A share or a number with its interval in words, for tables and sentences."""

from __future__ import annotations

import math


def percent_with_interval(value: float, low: float, high: float, *, digits: int = 0, sign: str = "") -> str:
    """`94 % [89, 98]`; the ends are rounded outwards, so that what is shown is never narrower than what was computed.

    sign: "+" is for a difference, which is then in points: `+53 points [+44, +61]`.
    """
    scale = 100 * 10**digits
    ends = math.floor(round(low * scale, 6)) * 100 / scale, math.ceil(round(high * scale, 6)) * 100 / scale
    told = [f"{number:{sign}.{digits}f}" for number in (value * 100, *ends)]
    return f"{told[0]} {'points' if sign else '%'} [{told[1]}, {told[2]}]"


def number_with_interval(value: float, low: float, high: float, *, sign: str = "") -> str:
    """`1.03 [0.98, 1.08]`, with two digits of the width; the ends are rounded outwards too.

    sign: "+" is for a difference: `+0.21 [+0.15, +0.27]`.
    """
    digits = decimals(low, high)
    scale = 10**digits
    ends = math.floor(round(low * scale, 6)) / scale, math.ceil(round(high * scale, 6)) / scale
    told = [f"{one:{sign},.{digits}f}" for one in (value, *ends)]
    return f"{told[0]} [{told[1]}, {told[2]}]"


def decimals(low: float, high: float) -> int:
    """Digits after the point that show two of the width of an interval; three where it has no width."""
    width = high - low
    return 3 if width <= 0 else min(6, max(0, 1 - math.floor(math.log10(width))))
