"""Storage: open and digest files on a disk or behind a URL that fsspec knows.

Failures are told in words that a person can act on.

A URL with a key, env:NAME, is opened as the variable holds it and told by its public part (tasks/core/urls.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tasks.core.errors import AssayError, DataError, OutsideError
from tasks.core.home import digest_json
from tasks.core.urls import hidden, is_address, public, resolved
from tasks.data.records import READABLE, refused

WHERE = "recipe: data"


def url_of(location: str) -> str:
    """The path or the whole URL of a location. Raises DataError when the variable of env:NAME holds none."""
    try:
        return resolved(location)
    except ValueError as error:
        raise DataError(
            f"{error}.",
            where=f"{WHERE}, {location}",
            allowed="the whole URL of the data, with its key",
            todo="set it where the run is started, and where a worker runs it",
        ) from None


def opened(location: str) -> tuple[Any, str]:
    """(file system, path in it) of a location."""
    from fsspec.core import url_to_fs

    url = url_of(location)
    with outside(location, public(url)):  # some stores are called at once
        try:
            fs, path = url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise DataError(
                f"{public(url)} cannot be opened: {hidden(str(error), url)}.",
                where=WHERE,
                allowed="a path, or a URL that fsspec knows",
                todo="correct the URL, or install the package that reads it",
            ) from cause(error, url)
    return fs, path


def digest(location: str, shown: str) -> str:
    """sha256 of a file, or of a folder's sorted (name, sha256) pairs. shown: what errors call it."""
    fs, path = opened(location)
    with outside(location, shown):
        if not fs.isdir(path):
            return _digest_file(fs, path)
        files = {str(f).removeprefix(str(path)).lstrip("/"): str(f) for f in fs.find(path)}
        return digest_json([[name, _digest_file(fs, files[name])] for name in sorted(files)])


def _digest_file(fs: Any, path: str) -> str:
    state = hashlib.sha256()
    with fs.open(path, "rb") as file:
        while piece := file.read(1 << 20):
            state.update(piece)
    return state.hexdigest()


@contextmanager
def outside(location: str, shown: str) -> Iterator[None]:
    """Failures of a disk or a store as errors a person can act on; only those of a store are worth a retry.

    shown: what they call the location.
    """
    try:
        yield
    except AssayError:
        raise
    except Exception as error:  # every fsspec backend has exceptions of its own
        url = url_of(location)
        raise _told(error, url, shown) from cause(error, url)


def _told(error: Exception, url: str, shown: str) -> AssayError:
    if isinstance(error, FileNotFoundError):
        todo = "correct the path in the recipe; relative paths start from the recipe's folder"
        return DataError(f"There is no file at {shown}.", where=WHERE, allowed=READABLE, todo=todo)
    if isinstance(error, PermissionError):
        return refused(shown, "may not be read", "give this user the right to read it")
    words = hidden(str(error), url) or type(error).__name__
    if not is_address(url):
        return refused(shown, f"cannot be read: {words}", "check the disk")
    return OutsideError(
        f"{shown} did not answer: {words}",
        where=WHERE,
        allowed="a store that can be reached",
        todo="check the network and your access to it",
    )


def cause(error: Exception, url: str) -> Exception | None:
    """What a traceback may name as the cause: not the words of a store that repeats a key."""
    return error if public(url) == url else None
