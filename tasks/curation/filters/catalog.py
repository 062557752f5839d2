"""All filter rules in the order in which they are asked: of several that a row breaks, the first here is told.

A rule is one file that ends in `RULE = Filter(...)`, and one line here. The list is a module of its own, and not the
package's __init__, since a step that takes only a part of the package would have every rule in its cache key.
"""

from __future__ import annotations

from tasks.curation.filters import (
    boilerplate,
    control_characters,
    echo,
    empty,
    language,
    repetition,
    too_long,
    truncated,
    unrated,
    unwritable,
)
from tasks.curation.filters.base import Filter

FILTERS: list[Filter] = [
    empty.RULE,
    unrated.RULE,
    control_characters.RULE,
    boilerplate.RULE,
    echo.RULE,
    repetition.RULE,
    truncated.RULE,
    language.RULE,
    unwritable.RULE,
    too_long.RULE,
]
