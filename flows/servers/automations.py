"""infra/automations.yaml on a Prefect server: made where there is none of that name, put right where it differs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from tasks.core.errors import AssayError

NOTIFY = "ASSAY_NOTIFY"  # names a notification block on the server, as slack-webhook/assay
OURS = "Assay: "  # how every name begins that Assay gives to an automation
Told = tuple[str, str, str]  # what, how, why; see Applied in flows/servers/deploy.py


def apply_automations(client: Any, entries: Sequence[Mapping[str, Any]]) -> Iterator[Told]:
    """Apply each automation by its name; one that notifies is left out where no block is named."""
    for entry in entries:
        what = f"automation {entry['name']}"
        if _notifies(entry) and not os.environ.get(NOTIFY):
            yield what, "left out", f"{NOTIFY} names no notification block, such as slack-webhook/assay"
            continue
        yield what, *_apply(client, _wanted(client, entry))


def found_triggers(client: Any, deployment: UUID) -> dict[str, Any]:
    """The automations that are our event triggers of a deployment, as the server has them, by name.

    The server tells which automations have to do with a deployment, and not whose they are: a person's have other
    names.
    """
    there = client.read_resource_related_automations(f"prefect.deployment.{deployment}")
    return {one.name: _core(one, deployment) for one in there if one.name.startswith(OURS)}


def _core(there: Any, owner: UUID | None = None) -> Any:
    """What a server has, as what is asked of it: without id and times."""
    from prefect.events.schemas.automations import AutomationCore

    owned = {"owner_resource": f"prefect.deployment.{owner}"} if owner else {}
    return AutomationCore.model_validate({**there.model_dump(mode="json"), **owned})


def wanted_triggers(wanted: Any, deployment: UUID, found: Mapping[str, Any]) -> dict[str, Any]:
    """The same as prefect.yaml wants them; what a person switched off stays off, also when the
    deployment is applied.
    """
    for trigger in wanted.triggers:
        trigger.set_deployment_id(deployment)
        trigger.enabled = found[trigger.name].enabled if trigger.name in found else trigger.enabled
    return {trigger.name: trigger.as_automation() for trigger in wanted.triggers}


def _notifies(entry: Mapping[str, Any]) -> bool:
    return any(action.get("block_document_id") == f"${NOTIFY}" for action in entry["actions"])


def _wanted(client: Any, entry: Mapping[str, Any]) -> Any:
    from prefect.events.schemas.automations import AutomationCore

    if not _notifies(entry):
        return AutomationCore.model_validate(entry)
    block = _block(client, os.environ[NOTIFY])
    actions = [{**action, "block_document_id": block} for action in entry["actions"]]
    return AutomationCore.model_validate({**entry, "actions": actions})


def _block(client: Any, name: str) -> str:
    """The id of the block that `type/name` names. Raises AssayError where the server has none."""
    from prefect.exceptions import ObjectNotFound

    kind, _, title = name.partition("/")
    try:
        return str(client.read_block_document_by_name(title, kind).id)
    except ObjectNotFound as error:
        raise AssayError(
            f"The server has no notification block {name!r}.",
            where=NOTIFY,
            allowed="type/name, such as slack-webhook/assay",
            todo="make it in the Prefect UI under Blocks, or unset the variable",
        ) from error


def _apply(client: Any, wanted: Any) -> tuple[str, str]:
    there = client.read_automations_by_name(wanted.name)
    if not there:
        client.create_automation(wanted)
        return "made", ""
    found = _core(there[0])
    kept = wanted.model_copy(update={"enabled": found.enabled})  # what a person switched off stays off
    if found == kept:
        return "unchanged", ""
    client.update_automation(there[0].id, kept)
    return "changed", ""
