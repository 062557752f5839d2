"""Aliases that a person moved on MLflow's own page: found by comparing them with the ledger, and written into it."""

from __future__ import annotations

from typing import Any

from tasks.core.errors import PromotionError
from tasks.registry.promotion_ledger import Ledger, OvertakenError, append, read, settle
from tasks.registry.promotion_pages import show
from tasks.registry.versions import CHAMPION, PREVIOUS, aliases, find_version, read_evidence

UNKNOWN = "unknown, for MLflow keeps no record"
ATTEMPTS = 5  # at writing an entry that others may be writing too


def up_to_date(client: Any, model: str) -> tuple[Ledger, str]:
    """The ledger, with its last entry carried out and what was moved by hand written into it; what that was, or
    nothing.

    Of a champion that was moved by hand, `previous` keeps the one it displaced, so that a rollback has somewhere to go.
    """
    for _ in range(ATTEMPTS):
        there = aliases(client, model)  # first, for it tells of a model that does not exist
        ledger = settle(client, read(client, model), show)
        there = aliases(client, model)
        champion, previous = there.get(CHAMPION, 0), there.get(PREVIOUS, 0)
        if (champion, previous) == (ledger.champion, ledger.previous):
            return ledger, ""
        why = _moved(ledger, champion, previous)
        try:
            moved = append(
                client,
                ledger,
                action="by hand",
                who=UNKNOWN,
                why=why,
                champion=champion,
                previous=_previous(client, ledger, champion, previous),
            )
        except OvertakenError:
            continue
        return settle(client, moved, show), why
    raise OvertakenError(f"The champion of {model} is being changed by others.", todo="wait, and run this again")


def _moved(ledger: Ledger, champion: int, previous: int) -> str:
    moves = ((CHAMPION, ledger.champion, champion), (PREVIOUS, ledger.previous, previous))
    told = [f"{alias} was moved from {was or 'none'} to {now or 'none'}" for alias, was, now in moves if was != now]
    return " and ".join(told) + " in MLflow, not by Assay"


def _previous(client: Any, ledger: Ledger, champion: int, previous: int) -> int:
    """What `previous` is to be after a move by hand."""
    if champion == ledger.champion or previous != ledger.previous:  # a person decided on it, or it was deleted
        return previous if previous != champion else 0
    if champion == ledger.previous:  # a rollback by hand
        return ledger.previous_of(champion)
    return way_back(client, ledger)


def way_back(client: Any, ledger: Ledger) -> int:
    """What becomes `previous` when champion is displaced: the champion; what was previous, if that is gone or never
    passed.
    """
    displaced = find_version(client, ledger.model, ledger.champion) if ledger.champion else None
    if displaced is None:
        return ledger.previous
    try:
        read_evidence(client, displaced)
    except PromotionError:
        return ledger.previous
    return ledger.champion
