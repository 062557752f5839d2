"""Promote: a version that proves again what it proved at its gate becomes champion, with a record of who, when and why.

What costs nothing comes first: is it there, did it pass, was it approved, is it worse than the champion. Then its files
are fetched and compared, it is loaded and asked again what evaluation asked, and last the decision is written and the
alias moved (tasks/registry/promotion_ledger.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from tasks.core.action import actor
from tasks.core.errors import AssayError, OutsideError, PromotionError
from tasks.core.home import home_folder
from tasks.core.settings import Settings
from tasks.core.text.display import short
from tasks.registry import mlflow_client
from tasks.registry.moves_by_hand import up_to_date, way_back
from tasks.registry.promotion_ledger import Ledger, append, settle
from tasks.registry.promotion_pages import APPROVAL, approves, declines, mark, show
from tasks.registry.versions import (
    CHALLENGER,
    Evidence,
    aliases,
    ask,
    check_files,
    download,
    find_version,
    numbers,
    read_evidence,
    recorded,
)
from tasks.release.comparison import Comparison, compare

BY_GATE = "by its gate alone, as the recipe says"  # the approval of a recipe that follows its gate
POLICY = "promote.approval"  # a parameter of the version's run, so what the recipe said when it was registered


class PromoteSettings(Settings):
    """Who decides that a version which passed its gate becomes champion."""

    # person: somebody approves it, in MLflow or in the run form. gate: its verdict is enough, and `assay run` promotes
    # at its end. A person by default: the gate knows the holdout, and not what else is going on.
    approval: Literal["person", "gate"] = "person"


class WaitingError(PromotionError):
    """Nobody has approved it yet."""


@dataclass(frozen=True)
class Candidate:
    """What may become champion, and the ledger as it stood when that was looked at."""

    version: Any
    ledger: Ledger

    @property
    def name(self) -> str:
        return f"{self.version.name} version {self.version.version}"

    @property
    def number(self) -> int:
        return int(self.version.version)

    @property
    def is_champion(self) -> bool:
        return self.number == self.ledger.champion


def find_candidate(model: str, version: int = 0) -> Candidate:
    """The version, or the challenger for 0. Brings the ledger up to date. Raises PromotionError when there is none."""
    with mlflow_client.outside("show the registry"):
        client = mlflow_client.client()
        ledger, _ = up_to_date(client, model)
        number = version or aliases(client, model).get(CHALLENGER, 0)
        found = find_version(client, model, number) if number else None
        if found is not None:
            return Candidate(found, ledger)
        there = numbers(client, model)
    raise PromotionError(
        f"{model} has no version {version}." if version else f"{model} has no challenger.",
        where="MLflow's registry",
        allowed=f"versions {', '.join(map(str, there[-20:]))}" if there else "",
        todo="name a version that is there, or `assay run` the recipe: what passes its gate becomes challenger",
    )


def check_evidence(candidate: Candidate) -> Evidence:
    """What the version proves of itself. Raises PromotionError unless it passed its gate and the record is whole."""
    with mlflow_client.outside("show the evidence"):
        return read_evidence(mlflow_client.client(), candidate.version)


def check_approval(candidate: Candidate, approve: bool, told: str = "") -> str:
    """Whose approval it has, in words. approve: whether this run's own caller gives it. told: what who approves must
    know.

    Raises WaitingError when nobody approved it, and PromotionError when somebody declined.
    """
    version = candidate.version
    said: str = version.tags.get(APPROVAL, "").strip()
    if declines(said):
        raise PromotionError(
            f"{candidate.name} was declined: {said}.",
            where=f"tag {APPROVAL} of the version",
            todo=f"change the tag to `approved by NAME` if that is wrong, then promote again: {promotes(candidate)}",
        )
    if approve:
        return f"approved by {actor()}"
    if approves(said):
        return said
    with mlflow_client.outside("show the run of the version"):
        by_gate = mlflow_client.client().get_run(version.run_id).data.params.get(POLICY) == "gate"
    undone = [e.name for e in candidate.ledger.entries if e.action != "promote" and e.was == candidate.number]
    if by_gate and not undone:
        return BY_GATE
    why = f"It was taken back before (entry {undone[-1]}), so a person must approve it. " if by_gate else ""
    raise WaitingError(
        " ".join(filter(None, (f"{candidate.name} passed its gate and waits for approval.", why.strip(), told))),
        where=f"tag {APPROVAL} of the version, now: {said or 'not set'}",
        allowed="approved by NAME, or declined by NAME",
        todo=f"set the tag `{APPROVAL}` on the version's page in MLflow, or switch on Approve in the run form; then "
        f"{promotes(candidate)}, with --approve where nobody has set it",
    )


def compared(candidate: Candidate, evidence: Evidence) -> Comparison:
    """How it compares with the champion of today."""
    return compare(candidate.ledger.champion, evidence.scores)


def check_comparison(candidate: Candidate, comparison: Comparison, approval: str, reason: str) -> None:
    """Raise WaitingError where a gate alone would put it in the place of a champion that is better, or that it was
    never compared with; PromotionError where a person does so for a better one and gives no reason.
    """
    todo = f"promote it all the same with {promotes(candidate)[:-1]} --approve --reason WHY`, or train a better one"
    if approval == BY_GATE and (comparison.is_worse or comparison.is_unknown):
        raise WaitingError(
            f"{candidate.name} passed its gate, and a person must approve it. {comparison.text}",
            where="the comparison with the champion, in evaluation/scores.json of its run",
            allowed="by its gate alone: a version that was compared with the champion, and is not worse",
            todo=todo,
        )
    if comparison.is_worse and not reason:
        raise PromotionError(
            f"{candidate.name} is worse than the champion. {comparison.text}",
            where="the comparison with the champion, in evaluation/scores.json of its run",
            allowed="a version that is not worse, or a reason, which stands in the promotion ledger",
            todo=todo,
        )


def promotes(candidate: Candidate) -> str:
    """The command that promotes this very version."""
    return f"`assay promote {candidate.version.name} --version {candidate.number}`"


def check_answers(candidate: Candidate, evidence: Evidence) -> int:
    """How many recorded answers the model gave again. Raises PromotionError when its files or its answers differ."""
    with TemporaryDirectory(dir=home_folder("scratch"), prefix="promote-") as place:
        folder = download(candidate.version, Path(place) / "model")
        check_files(candidate.version, evidence, folder)
        try:
            given = ask(folder, evidence.checked)
        except OutsideError:
            raise
        except AssayError as error:  # another base model, which the unit refuses to answer on
            raise PromotionError(
                f"{candidate.name} cannot be loaded: {error.what}",
                where=error.where,
                allowed=error.allowed,
                todo=error.todo,
            ) from error
    for row, got in zip(evidence.checked, given, strict=True):
        if got != recorded(row):
            raise PromotionError(
                f"{candidate.name} does not answer as it was evaluated.",
                where=f"holdout row {row['row_id']}: recorded {short(recorded(row).as_text, 300)!r}, now "
                f"{short(got.as_text, 300)!r}",
                allowed="the same text, to the letter",
                todo="promote on a machine like the one that evaluated it, with the libraries of its "
                "requirements.txt; or run "
                "the recipe again here",
            )
    return len(given)


def move(candidate: Candidate, evidence: Evidence, approval: str, reason: str, answers: int, key: str = "") -> Ledger:
    """Write the decision, point `champion` at the version and `previous` at the one before, and read both back.

    key: of the decision, the same when it is tried again. Raises OvertakenError, having moved nothing, when another
    process decided since the candidate was looked at.
    """
    ledger, proof = candidate.ledger, f"{evidence.metric}; gate passed; {answers} recorded answers given again; "
    beside = compared(candidate, evidence).text
    with mlflow_client.outside("move the alias"):
        client = mlflow_client.client()
        decided = append(
            client,
            ledger,
            key=key,
            action="promote",
            who=actor(),
            why=reason,
            champion=candidate.number,
            approval=approval,
            previous=way_back(client, ledger),
            evidence=f"{proof}evidence sha256 {evidence.digest}; model files sha256 {evidence.artifact}"
            + (f"; {beside}" if beside else ""),
        )
        return settle(client, decided, show)


def tell(model: str, number: int, error: PromotionError) -> None:
    """Say on the version's page in MLflow why it is not champion, where the person who looks for it will look."""
    with mlflow_client.outside("tag the version"):
        waiting = "waiting; write here: approved by YOUR NAME" if isinstance(error, WaitingError) else ""
        mark(mlflow_client.client(), model, number, f"{error.what} To do: {error.todo}.", waiting)
