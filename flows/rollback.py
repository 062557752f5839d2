"""rollback: champion returns to previous, in seconds, with a reason in the ledger.

assay rollback support-triage --reason "refunds are answered as orders since this morning"
"""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.promote import not_promoted
from flows.run.final_states import ends_in_words
from flows.run.model_parameters import Model, NeededReason, outcome, publish_ledger, publish_words, why
from tasks.core.action import act, decision
from tasks.core.errors import PromotionError
from tasks.release.rollback import rollback as move_back

ROLLED_BACK = "Rolled back"


@flow(name="rollback", persist_result=False)
@ends_in_words
def rollback(model: Model, reason: NeededReason) -> State[dict[str, Any]]:
    """Point champion at the version that was champion before. It proved itself then, so nothing is loaded now."""
    try:
        ledger = act("move champion back to previous", move_back, model, why(reason, needed=True), decision())
    except PromotionError as error:
        return not_promoted(error, model, 0)
    line = (
        f"{model} version {ledger.champion} is champion again, in the place of {ledger.entries[-1].was or 'none'}; "
        f"previous is {ledger.previous or 'none'}. To do: restart what serves models:/{model}@champion."
    )
    publish_ledger(ledger)
    publish_words(ROLLED_BACK, line, model, ledger.champion)
    return Completed(name=ROLLED_BACK, message=line, data=outcome(ledger, line))
