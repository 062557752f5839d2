"""The promotion ledger: who made which version champion, when, in whose place and why. It lives in MLflow, append-only.

MLflow keeps no history of aliases, but it never changes a run's parameter. So the ledger of a model is the run `ledger`
in the experiment `MODEL promotions`: parameter 0001 is its first entry, 0002 the second. Whoever writes a number first
has it; the database refuses it to every other writer, on whatever machine. That makes the parameter the lock as well:

    1. read the ledger and the aliases, check the candidate (seconds to minutes)
    2. write the next number            the decision; if it is taken, someone else was first, and nothing is moved
    3. set the aliases, read them back  the same however often it is done
    4. tag the versions, write `0002 done`

A process killed between 2 and 4 has decided; whoever reads the ledger next finishes that entry (`settled`). A process
that was asleep between 2 and 3 finds newer entries after it set the aliases, and sets them as the newest says. Not
guaranteed: a process that dies in the instant between a late set and that look, or a person who moves an alias by hand
in that instant; reconcile sees both as a move by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict

from tasks.core.errors import PromotionError
from tasks.core.text.display import short
from tasks.registry import mlflow_client
from tasks.registry.versions import CHAMPION, PREVIOUS, aliases, find_version

EXPERIMENT = "{} promotions"
LEDGER = "assay.ledger"  # tag of the run that is a ledger: the model
NUMBER = re.compile(r"\d{4,}")
LONGEST = 1000  # characters of each text in an entry; a parameter holds 6000, and a cut one could not be read again
LOOKS = (
    10  # at the aliases after a move, before giving up: a process that is late sets them once more, and sees that it is
)
ELSEWHERE = "champion was set and points elsewhere"


class OvertakenError(PromotionError):
    """Another process changed the champion first."""


class Entry(BaseModel):
    """A change of the aliases. at: UTC, ISO 8601. was: the champion before. 0 stands for no version.

    key: of the decision, so that one who tries again after a lost connection knows its own entry.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    at: str
    action: Literal["promote", "rollback", "by hand"]
    who: str
    why: str
    was: int
    champion: int
    previous: int
    approval: str = ""
    evidence: str = ""
    key: str

    @property
    def name(self) -> str:
        return f"{self.number:04}"


@dataclass(frozen=True)
class Ledger:
    """The entries of a model, oldest first. run_id: the run that holds them, empty before the
    first; done: of the last.
    """

    model: str
    run_id: str = ""
    entries: tuple[Entry, ...] = ()
    done: bool = True

    @property
    def champion(self) -> int:
        return self.entries[-1].champion if self.entries else 0

    @property
    def previous(self) -> int:
        return self.entries[-1].previous if self.entries else 0

    def holds(self, key: str) -> bool:
        """Whether the decision of this key was written."""
        return any(entry.key == key for entry in self.entries)

    def previous_of(self, version: int) -> int:
        """What was `previous` when `version` last became champion; 0 when it never was, or was the first."""
        found = (e.previous for e in reversed(self.entries) if e.champion == version and e.previous != version)
        return next(found, 0)


Show = Callable[[Any, Ledger, Entry], None]


def read(client: Any, model: str) -> Ledger:
    """The ledger as it stands, whether its last entry was carried out or not."""
    run = _find_run(client, model)
    return _parsed(model, run) if run else Ledger(model)


def append(client: Any, ledger: Ledger, *, key: str = "", **said: Any) -> Ledger:
    """Write the entry after the last one of `ledger`. Raises OvertakenError, having changed nothing, when there is one.

    key: of the decision; an entry that has it is taken for written.
    """
    run_id = ledger.run_id or _found(client, ledger.model).info.run_id
    number = len(ledger.entries) + 1
    cut: dict[str, Any] = {
        name: short(value, LONGEST) if isinstance(value, str) else value for name, value in said.items()
    }
    entry = Entry(number=number, at=now(), was=ledger.champion, key=key or uuid4().hex, **cut)
    if not _write_once(client, run_id, entry.name, entry.model_dump_json()):
        first = read(client, ledger.model).entries[number - 1]
        if first.key == entry.key:
            return Ledger(ledger.model, run_id, (*ledger.entries, first), done=False)
        raise OvertakenError(
            f"Another process changed {ledger.model} first: champion is version {first.champion or 'none'} "
            f"({first.action}, by {first.who}, {first.at}).",
            where=f"entry {first.name} of the promotion ledger",
            todo="look at it, and run this again if it is still wanted",
        )
    return Ledger(ledger.model, run_id, (*ledger.entries, entry), done=False)


def settle(client: Any, ledger: Ledger, show: Show) -> Ledger:
    """Carry out the last entry, unless that is done: aliases set and read back, tags written, marked as done.

    Raises PromotionError when champion does not stand as it says, because that version was deleted or MLflow says
    otherwise.
    """
    if ledger.done:
        return ledger
    for _ in range(LOOKS):
        last = ledger.entries[-1]
        fault = _point(client, ledger.model, last)
        newest = read(client, ledger.model)
        if newest.entries[-1].number > last.number:
            ledger = (
                newest  # we are late, and may just have undone it: what it says is set again, though it may be done
            )
        elif fault != ELSEWHERE:
            show(client, newest, last)
            _write_once(client, ledger.run_id, f"{last.name} done", f"{now()}: {fault or 'read back'}")
            if fault:
                raise _not_carried_out(ledger.model, last, fault)
            return Ledger(ledger.model, ledger.run_id, newest.entries)
    raise _not_carried_out(ledger.model, ledger.entries[-1], ELSEWHERE)


def _not_carried_out(model: str, entry: Entry, fault: str) -> PromotionError:
    return PromotionError(
        f"Entry {entry.name} of the promotion ledger of {model} was not carried out: {fault}.",
        where=f"registered model {model}",
        todo=f"run `assay reconcile {model}`, look at the aliases, then decide again",
    )


def _point(client: Any, model: str, entry: Entry) -> str:
    """Set the aliases as the entry says, `previous` first, so that there is no moment without a way back; what went
    wrong.
    """
    for alias, number in ((PREVIOUS, entry.previous), (CHAMPION, entry.champion)):
        there = aliases(client, model).get(alias, 0)
        if number and number != there:
            if find_version(client, model, number) is not None:
                client.set_registered_model_alias(model, alias, str(number))
                continue
            if alias == CHAMPION:
                return f"version {number} was deleted"
            number = 0
        if there and not number:
            client.delete_registered_model_alias(model, alias)
    return "" if aliases(client, model).get(CHAMPION, 0) == entry.champion else ELSEWHERE


def _write_once(client: Any, run_id: str, key: str, value: str) -> bool:
    """Whether the parameter has this value now; False when it had another before."""
    from mlflow.exceptions import MlflowException

    try:
        client.log_param(run_id, key, value)
    except MlflowException as error:
        if error.error_code != "INVALID_PARAMETER_VALUE" or key not in client.get_run(run_id).data.params:
            raise
        return False
    return True


def _parsed(model: str, run: Any) -> Ledger:
    params = run.data.params
    entries = [Entry.model_validate_json(params[key]) for key in sorted(params, key=int_or_0) if NUMBER.fullmatch(key)]
    return Ledger(model, run.info.run_id, tuple(entries), not entries or f"{entries[-1].name} done" in params)


def int_or_0(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _find_run(client: Any, model: str) -> Any | None:
    """The run that is the ledger; None before there is one. What a person deleted in the UI is restored."""
    from mlflow.entities import ViewType

    experiment = client.get_experiment_by_name(EXPERIMENT.format(model))
    if experiment is None:
        return None
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    runs = client.search_runs([experiment.experiment_id], f"tags.`{LEDGER}` = '{model}'", run_view_type=ViewType.ALL)
    if not runs:
        raise PromotionError(
            f"The promotion ledger of {model} was purged from MLflow.",
            where=f"experiment {experiment.name!r}",
            todo="restore MLflow's database from its backup; or rename that experiment, and a new ledger begins",
        )
    if runs[0].info.lifecycle_stage == "deleted":
        client.restore_run(runs[0].info.run_id)
    return runs[0]


def _found(client: Any, model: str) -> Any:
    """Make the ledger. It is built under a name of its own and then renamed, which MLflow allows one process only."""
    from mlflow.exceptions import MlflowException

    draft = mlflow_client.experiment(client, f"{EXPERIMENT.format(model)}, {uuid4().hex[:8]}")
    client.create_run(draft, run_name="ledger", tags={LEDGER: model})
    try:
        client.rename_experiment(draft, EXPERIMENT.format(model))
    except MlflowException:
        client.delete_experiment(draft)
        if (run := _find_run(client, model)) is None:  # not because another one was first
            raise
        return run
    return _find_run(client, model)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
