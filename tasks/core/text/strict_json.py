"""Strict where Python's json is lax: NaN and Infinity are not JSON, and other parsers refuse them."""

from __future__ import annotations


def refuse_constant(constant: str) -> float:
    """For `parse_constant` of json's readers: raise ValueError."""
    raise ValueError(constant)
