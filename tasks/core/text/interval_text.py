"""A share with its interval in words, for tables and sentences."""

from __future__ import annotations

import math


def percent(value: float, low: float, high: float, *, digits: int = 0, sign: str = "") -> str:
    """`94 % [89, 98]`; the ends are rounded outwards, so that what is shown is never narrower than what was computed.

    sign: "+" is for a difference, which is then in points: `+53 points [+44, +61]`.
    """
    scale = 100 * 10**digits
    ends = math.floor(round(low * scale, 6)) * 100 / scale, math.ceil(round(high * scale, 6)) * 100 / scale
    told = [f"{number:{sign}.{digits}f}" for number in (value * 100, *ends)]
    return f"{told[0]} {'points' if sign else '%'} [{told[1]}, {told[2]}]"
