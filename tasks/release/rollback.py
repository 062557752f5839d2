"""Rollback: champion returns to previous. Nothing is loaded: what is previous proved itself when it became champion."""

from __future__ import annotations

from typing import Any

from tasks.core.action import actor
from tasks.core.errors import PromotionError
from tasks.registry import mlflow_client
from tasks.registry.moves_by_hand import up_to_date
from tasks.registry.promotion_ledger import Ledger, append, settle
from tasks.registry.promotion_pages import show
from tasks.registry.versions import find_version, numbers, read_evidence


def rollback(model: str, reason: str, key: str = "") -> Ledger:
    """Point `champion` at what was previous, and `previous` at what was before that; the ledger with the entry of it.

    key: of the decision; one that was carried out is not carried out again, or champion would go back twice. Raises
    PromotionError when there is nothing to return to, or what there is never passed its gate.
    """
    with mlflow_client.outside("move the alias back"):
        client = mlflow_client.client()
        ledger, _ = up_to_date(client, model)
        if key and ledger.holds(key):
            return ledger
        target, before = ledger.previous, ledger.previous_of(ledger.previous)
        evidence = read_evidence(client, _found(client, ledger))
        decided = append(
            client,
            ledger,
            key=key,
            action="rollback",
            who=actor(),
            why=reason,
            champion=target,
            previous=before if find_version(client, model, before) else 0,
            evidence=f"{evidence.metric}; gate passed; evidence sha256 {evidence.digest}",
        )
        return settle(client, decided, show)


def _found(client: Any, ledger: Ledger) -> Any:
    """The version to return to. Raises PromotionError, naming what else could be promoted, when there is none."""
    model, champion = ledger.model, ledger.champion
    found = find_version(client, model, ledger.previous) if ledger.previous else None
    if found is not None:
        return found
    past = [e.champion for e in ledger.entries if e.champion not in (0, champion)]
    others = [number for number in numbers(client, model) if number != champion]
    gone = [number for number in dict.fromkeys(past) if number not in others]
    why = f" Champions that were deleted: {', '.join(map(str, gone))}." if gone else ""
    todo = f"promote a version that passed its gate: `assay promote {model} --version N --approve --reason ...`"
    raise PromotionError(
        f"{model} has no previous champion to return to; champion stays version {champion or 'none'}.{why}",
        where="alias `previous`",
        allowed=f"other versions: {', '.join(map(str, others)) or 'none'}",
        todo=todo
        if others
        else "run the recipe again, or delete the alias champion in MLflow if nothing may be served",
    )
