"""reconcile: what was moved by hand in MLflow goes into the ledger; a champion that never passed its gate is flagged.

assay reconcile                   # every model of Assay; meant for a schedule
assay reconcile support-triage
"""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.run.final_states import ends_in_words
from flows.run.model_parameters import AnyModel, publish_ledger, publish_words
from tasks.core.action import act
from tasks.core.errors import PromotionError
from tasks.release.reconcile import Reconciled, models
from tasks.release.reconcile import reconcile as compare

FLAGGED, RECORDED = "Flagged", "Recorded"


@flow(name="reconcile", persist_result=False)
@ends_in_words
def reconcile(model: AnyModel = "") -> State[dict[str, Any]]:
    """Compare the aliases with the promotion ledger. Flagged, a failure, until the champion is one that passed its
    gate.
    """
    names = [model] if model else act("list models", models)
    seen = [act(f"compare aliases of {name} with the ledger", compare, name) for name in names]
    for found in seen:
        if found.moved or found.flag:
            publish_ledger(found.ledger)
    return told(seen)


def told(seen: list[Reconciled]) -> State[dict[str, Any]]:
    """The final state: flagged models first. Of Prefect's type Failed when one is flagged, so that
    its alarms go off.
    """
    seen = sorted(seen, key=lambda found: (not found.flag, not found.moved, found.ledger.model))
    text = "\n".join(found.line for found in seen) or "There is no model of Assay in MLflow yet."
    flagged, moved = [found for found in seen if found.flag], [found for found in seen if found.moved]
    name = FLAGGED if flagged else RECORDED if moved else "Completed"
    if flagged or moved:
        publish_words(name, text, seen[0].ledger.model, seen[0].ledger.champion)
    if flagged:
        return Failed(name=name, message=text, data=PromotionError(text))
    return Completed(name=name, message=text, data={"models": len(seen), "line": text})
