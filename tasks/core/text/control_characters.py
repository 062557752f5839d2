"""Characters that no keyboard types and no reader sees."""

from __future__ import annotations

# For the inside of a pattern's brackets, in Python and in Polars: all but tab and line breaks.
CONTROL = "\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f"
