"""What a person typed into a form or after a command, looked at before anything is done with it.

    file = typed_path("~/ours/recipe.yaml", "parameter: recipe_path")
    why = typed_line(" slow since nine ", "parameter: reason")

A path of ten thousand characters, the home of a user who is not there, a text with a NUL byte: Python says of each with
an exception of its own, and of the last two only when it is used.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path

from tasks.core.errors import RecipeError
from tasks.core.text.display import short, visible
from tasks.core.urls import check_address, is_address, masked

QUOTED = 80  # characters of a wrong text that are repeated


def quoted(text: str) -> str:
    """`text` as a message repeats it: between quotes, what is invisible named, no key of a URL, at most QUOTED
    characters.
    """
    return f"'{short(visible(masked(text)), QUOTED)}'"


def typed_source(text: str, where: str) -> str:
    """`text`, by which data is named: a path, a URL or env:NAME. Raises RecipeError for no path, and for a URL with a
    key.
    """
    try:
        check_address(text)
    except ValueError as error:
        raise RecipeError(
            f"The data cannot be read: {error}.",
            where=where,
            allowed="a path, a URL that anybody may see, or env:NAME",
            todo="set a variable where this runs, and write env: and its name",
        ) from None
    if not is_address(text):
        typed_path(text, where)
    return text


def typed_path(text: str, where: str) -> Path:
    """The path that `text` is, `~` as the home folder; it need not be there. Raises RecipeError for what can be no path
    here.

    where: the parameter, or what a person would look for it under.
    """
    typed_line(text, where)
    try:
        path = Path(text).expanduser()
        path.exists()
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise RecipeError(
            f"{quoted(text)} can be no path here: {reason}.",
            where=where,
            todo="correct the path",
            allowed="a path that the worker's user may follow, with names of at most 255 characters",
        ) from error
    return path


def typed_line(text: str, where: str) -> str:
    """`text` without blanks around it. Raises RecipeError for characters that do not print, other than tabs and line
    ends.
    """
    wrong = next((c for c in text if unicodedata.category(c) in ("Cc", "Cs") and c not in "\t\r\n"), "")
    if wrong:
        raise RecipeError(
            f"{quoted(text)} holds a character that does not print: U+{ord(wrong):04X}.",
            where=where,
            allowed="letters, digits, signs, blanks",
            todo="type it anew: a copy may bring along what is not seen",
        )
    return text.strip()
