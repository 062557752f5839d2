"""promote: a version that passed its gate proves it again, is approved, and becomes champion, with a record for good.

assay promote support-triage                      # the challenger, if its tag `approval` says: approved by NAME
assay promote support-triage --version 3 --approve --reason "fewer misses on refunds"
"""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.run.final_states import REFUSED, ends_in_words
from flows.run.model_parameters import Approve, Model, Reason, Version, outcome, publish_ledger, publish_words, why
from tasks.core.action import act, decision
from tasks.core.errors import PromotionError
from tasks.registry.promotion_ledger import OvertakenError
from tasks.release.promote import (
    Candidate,
    WaitingError,
    check_answers,
    check_approval,
    check_comparison,
    check_evidence,
    compared,
    find_candidate,
    move,
    tell,
)

PROMOTED, WAITING, OVERTAKEN = "Promoted", "Waiting for approval", "Overtaken"


@flow(name="promote", persist_result=False)
@ends_in_words
def promote(model: Model, version: Version = 0, approve: Approve = False, reason: Reason = "") -> State[dict[str, Any]]:
    """Make a version champion if it passed its gate, was approved, and still gives the answers that were evaluated."""
    number = 0
    try:
        said, number = why(reason), version
        candidate = act("find version", find_candidate, model, version)
        number = candidate.number
        return promoted(candidate, approve, said)
    except PromotionError as error:
        if number and not isinstance(error, OvertakenError):
            act("tag version with the outcome", tell, model, number, error)
        return not_promoted(error, model, number)


def promoted(candidate: Candidate, approve: bool, reason: str) -> State[dict[str, Any]]:
    """Take a candidate through its checks and move the alias. Raises PromotionError at the first that does not hold."""
    if candidate.is_champion:
        line = f"{candidate.name} is champion already; nothing was moved."
        return Completed(name=PROMOTED, message=line, data=outcome(candidate.ledger, line))
    evidence = act("check evidence", check_evidence, candidate)
    comparison = compared(candidate, evidence)
    approval = act("check approval", check_approval, candidate, approve, comparison.text)
    act("compare with champion", check_comparison, candidate, comparison, approval, reason)
    answers = act("repeat recorded answers", check_answers, candidate, evidence)
    ledger = act("move champion", move, candidate, evidence, approval, reason, answers, decision())
    was = ledger.entries[-1].was
    place = f"in the place of version {was}" if was else "the first one"
    line = (
        f"{candidate.name} is champion, {place}. {answers} recorded answers were given again. "
        f"{comparison.text}{' ' * bool(comparison.text)}Approval: {approval}. "
        f"To do: "
        f"restart what serves models:/{ledger.model}@champion; `assay rollback {ledger.model} --reason ...` takes it "
        f"back."
    )
    publish_ledger(ledger)
    publish_words(PROMOTED, line, ledger.model, candidate.number)
    return Completed(name=PROMOTED, message=line, data=outcome(ledger, line))


def not_promoted(error: PromotionError, model: str, version: int) -> State[dict[str, Any]]:
    """The final state of a run that moved nothing: whether it waits, was overtaken or refused, and what to do next."""
    name = WAITING if isinstance(error, WaitingError) else OVERTAKEN if isinstance(error, OvertakenError) else REFUSED
    publish_words(name, error.render(), model, version)
    return Completed(name=name, message=error.render(), data={"model": model, "line": error.render()})
