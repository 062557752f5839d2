"""Errors that say what happened, where, what is allowed, and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from tasks.core.urls import masked

# The system's words, which Python, Polars, Arrow and MLflow pass on in errors of their own.
FULL = "No space left on device"


class AssayError(Exception):
    """An error a person can act on; retrying does not heal it.

    what: one sentence, what happened. where: file, line, key or step. allowed: what would have been right.
    todo: the next thing to do. All are plain text and appear in the terminal, the Prefect UI and the log alike; so of a
    URL in them, whoever put it there, they keep what may be shown.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", allowed: str = "", todo: str = "") -> None:
        self.what, self.where, self.allowed, self.todo = map(masked, (what, where, allowed, todo))
        super().__init__(self.render())

    def render(self) -> str:
        lines = [self.what]
        lines += [f"  where:   {self.where}"] if self.where else []
        lines += [f"  allowed: {self.allowed}"] if self.allowed else []
        lines += [f"  to do:   {self.todo}"] if self.todo else []
        return "\n".join(lines)


class RecipeError(AssayError):
    """The recipe cannot be read, or says something that no step understands."""

    exit_code = 2


class DataError(AssayError):
    """The data cannot be used as it is: no file, nothing left, answers that do not fit."""


class NothingLeftError(DataError):
    """A step has let go of every row; its reasons are told."""


class ContractError(AssayError):
    """The data broke its contract: nothing was trained."""

    exit_code = 3


class TrainingError(AssayError):
    """The training process ended without an adapter."""


class RegistrationError(AssayError):
    """What would have been served is not what was evaluated, or the registry did not take it."""


class PromotionError(AssayError):
    """A version may not become champion, or another promotion came first; nothing was moved."""

    exit_code = 4


class OutsideError(AssayError):
    """Something outside did not answer (object store, MLflow); the step wrapper retries these, and only these."""


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one that it came of, says that a disk is full."""
    return error is not None and (FULL in str(error) or is_disk_full(error.__cause__ or error.__context__))


def nearest(word: str, known: Sequence[str]) -> str:
    """`did you mean ...?` or nothing; the word in `known` that `word` was probably meant to be."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else ""
