"""Reconcile: what was moved by hand in MLflow goes into the ledger, and a champion that never passed its gate is
flagged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tasks.core.errors import PromotionError
from tasks.registry import mlflow_client
from tasks.registry.moves_by_hand import up_to_date
from tasks.registry.promotion_ledger import EXPERIMENT, Ledger
from tasks.registry.versions import CHAMPION, find_version, read_evidence

FLAG = "alarm"  # tag of a version: what is wrong with its being champion; the first in MLflow's sorted table


@dataclass(frozen=True)
class Reconciled:
    """A model's ledger, up to date. moved: what was moved by hand since the last look; flag: what is wrong now; or
    nothing.
    """

    ledger: Ledger
    moved: str = ""
    flag: str = ""

    @property
    def line(self) -> str:
        state = f"champion {self.ledger.champion or 'none'}, previous {self.ledger.previous or 'none'}"
        return f"{self.ledger.model}: {state}; " + (self.flag or self.moved or "nothing was moved by hand")


def models() -> list[str]:
    """The registered models that are Assay's: those with a promotion ledger, or with a version of a unit of ours."""
    with mlflow_client.outside("list the registered models"):
        client = mlflow_client.client()
        found, token = [], None
        while token != "":
            page = client.search_registered_models(page_token=token)
            found += [model.name for model in page]
            token = page.token or ""
        return sorted(name for name in found if _is_ours(client, name))


def _is_ours(client: Any, model: str) -> bool:
    if client.get_experiment_by_name(EXPERIMENT.format(model)) is not None:
        return True
    return bool(
        client.search_model_versions(f"name = '{model}' AND tags.`{mlflow_client.DIGEST}` LIKE '%'", max_results=1)
    )


def reconcile(model: str) -> Reconciled:
    """Bring a model's ledger up to date, and its flag. A second look finds nothing and changes nothing."""
    with mlflow_client.outside("show the registry"):
        client = mlflow_client.client()
        ledger, moved = up_to_date(client, model)
        flag = _fault(client, ledger)
        for number in {
            ledger.champion,
            *(entry.champion for entry in ledger.entries),
            *(e.was for e in ledger.entries),
        } - {0}:
            _flag(client, model, number, flag if number == ledger.champion else "")
        return Reconciled(ledger, moved, flag)


def _fault(client: Any, ledger: Ledger) -> str:
    """What is wrong with the champion; empty when nothing is, or when there never was one."""
    todo = f"To do: `assay rollback {ledger.model} --reason ...`, or promote a version that passed"
    if not ledger.champion:
        return (
            f"there is no champion any more, so models:/{ledger.model}@{CHAMPION} fails. {todo}."
            if ledger.entries
            else ""
        )
    try:
        read_evidence(client, find_version(client, ledger.model, ledger.champion))
    except PromotionError as error:
        return f"champion, but {error.what} {todo}."
    return ""


def _flag(client: Any, model: str, number: int, flag: str) -> None:
    version = find_version(client, model, number)
    if version is None or version.tags.get(FLAG, "") == flag:
        return
    if flag:
        client.set_model_version_tag(model, version.version, FLAG, flag)
    else:
        client.delete_model_version_tag(model, version.version, FLAG)
