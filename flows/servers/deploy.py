"""`assay deploy`: the work pool, its queues, the deployments and the automations of infra/, on the server of
PREFECT_API_URL.

What is there already and the same is left alone, so a second call changes nothing; what a person paused stays paused.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from flows.run.parameters import SETTINGS
from flows.servers import environment, run_flow
from flows.servers.automations import apply_automations, found_triggers, wanted_triggers
from tasks.core.errors import AssayError
from tasks.core.process import terminal

INFRA = Path(__file__).parents[__name__.count(".")] / "infra"
DEPLOYMENTS, AUTOMATIONS = INFRA / "prefect.yaml", INFRA / "automations.yaml"
COLOURS = {"made": "green", "changed": "yellow", "unchanged": "dim", "left out": "yellow"}


@dataclass(frozen=True)
class Applied:
    """One thing on the server. what: `deployment retrain`. how: made, changed, unchanged, left out."""

    what: str
    how: str
    why: str = ""


def deploy() -> Iterator[Applied]:
    """Apply everything, in order; each as it is done. Raises AssayError before the first where something is missing."""
    from prefect import get_client

    if environment.own_prefect():
        raise AssayError(
            "There is no server to deploy to.",
            where="PREFECT_API_URL is not set",
            todo="start the stack (make stack) or any Prefect server, and set PREFECT_API_URL=http://host:4200/api",
        )
    run_flow.ask_prefect()
    read, automations = _read(DEPLOYMENTS), _read(AUTOMATIONS)["automations"]
    wanted = [_deployment(entry) for entry in read["deployments"]]
    pools = sorted({str(deployment.work_pool_name) for deployment in wanted})
    with get_client(sync_client=True) as client:
        yield from _pools(client, pools)
        yield from (_queue(pool, name, **how) for pool in pools for name, how in read["definitions"]["queues"].items())
        for deployment in wanted:
            yield _apply(client, deployment)
        yield from (Applied(*told) for told in apply_automations(client, automations))


def print_applied() -> None:
    """Do it, with a line for each thing."""
    for applied in deploy():
        colour = COLOURS[applied.how]
        why = f"[dim]{applied.why}[/]" if applied.why else ""
        terminal.console().print(f"  [{colour}]{applied.how:<10}[/] {applied.what}  {why}")
    terminal.console().print(f"\n  [bold]next[/]  [cyan]{environment.prefect_pages()}[/]")


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise AssayError(
            "The deployments are not here: an installed Assay holds its code and no infra/.",
            where=str(file),
            todo="run `assay deploy` from a checkout of Assay; it is needed once a server, not on every machine",
        )
    return dict(yaml.safe_load(file.read_text()))


def _deployment(entry: Mapping[str, Any]) -> Any:
    """What prefect.yaml wants, as Prefect's own object, with the schema of the flow's parameters."""
    from prefect.client.schemas.objects import ConcurrencyLimitConfig
    from prefect.deployments.runner import RunnerDeployment
    from prefect.events import DeploymentEventTrigger
    from prefect.schedules import Schedule
    from prefect.types.entrypoint import EntrypointType

    limit = entry.get("concurrency_limit")
    wanted = RunnerDeployment.from_flow(
        load_flow(entry["entrypoint"]),
        name=entry["name"],
        description=entry["description"],
        tags=entry["tags"],
        parameters=entry.get("parameters", {}),
        schedules=[Schedule(**schedule) for schedule in entry.get("schedules", [])],
        concurrency_limit=ConcurrencyLimitConfig(**limit) if limit else None,
        work_pool_name=entry["work_pool"]["name"],
        work_queue_name=entry["work_pool"]["work_queue_name"],
        entrypoint_type=EntrypointType.MODULE_PATH,
        triggers=[DeploymentEventTrigger(**trigger) for trigger in entry.get("triggers", [])],
    )
    wanted._parameter_openapi_schema = closed(wanted._parameter_openapi_schema)
    return wanted


def closed(form: Any) -> Any:
    """A form that takes no other parameters. Prefect leaves it open: a mistyped one then crashes the run.

    Without `settings`, which would let a form set what a recipe's owner decides (flows/run/parameters.py).
    """
    from prefect.utilities.callables import ParameterSchema

    class Closed(ParameterSchema):
        additionalProperties: Literal[False] = False  # noqa: N815 - JSON schema's word

    told = form.model_dump(exclude_unset=True)
    fields = {name: field for name, field in told["properties"].items() if name != SETTINGS}
    return Closed(**{**told, "properties": fields}, additionalProperties=False)


def load_flow(entrypoint: str) -> Any:
    """The flow of an entrypoint (package.module.flow). Raises AssayError for one that is not there."""
    module, _, name = entrypoint.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise AssayError(
            f"The flow {entrypoint} cannot be loaded: {error}.",
            where=f"{DEPLOYMENTS}: entrypoint",
            todo="correct the entrypoint (package.module.flow), or bring the checkout up to date",
        ) from error


def _pools(client: Any, names: list[str]) -> Iterator[Applied]:
    """Pools of Prefect's type `process`, where there is none; one that is there may be of any type, and stays."""
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectNotFound

    for name in names:
        try:
            kind = client.read_work_pool(name).type
            yield Applied(f"work pool {name}", "unchanged", f"of type {kind}")
        except ObjectNotFound:
            client.create_work_pool(WorkPoolCreate(name=name, type="process"))
            yield Applied(f"work pool {name}", "made", f"start a worker: prefect worker start --pool {name}")


def _queue(pool: str, name: str, priority: int, concurrency_limit: int) -> Applied:
    """A queue of the pool. One that has no limit gets ours; one that a person gave it stays."""
    from prefect import get_client
    from prefect.exceptions import ObjectNotFound

    async def apply() -> str:  # Prefect's client for plain functions knows queues in part
        async with get_client() as client:
            try:
                there = await client.read_work_queue_by_name(name, pool)
            except ObjectNotFound:
                await client.create_work_queue(
                    name, priority=priority, concurrency_limit=concurrency_limit, work_pool_name=pool
                )
                return "made"
            if there.concurrency_limit is not None:
                return "unchanged"
            await client.update_work_queue(there.id, priority=priority, concurrency_limit=concurrency_limit)
            return "changed"

    return Applied(f"work queue {name}", asyncio.run(apply()))


def _apply(client: Any, wanted: Any) -> Applied:
    from prefect.exceptions import ObjectNotFound

    what = f"deployment {wanted.name}"
    try:
        there = client.read_deployment_by_name(f"{wanted.flow_name}/{wanted.name}")
    except ObjectNotFound:
        wanted.apply()
        return Applied(what, "made", _schedules(wanted))
    triggers = found_triggers(client, there.id)
    asked = {**_wanted_parts(wanted), "triggers": wanted_triggers(wanted, there.id, triggers)}
    found = {**_found_parts(there), "triggers": triggers}
    changed = [name for name in asked if asked[name] != found[name]]
    if not changed:
        return Applied(what, "unchanged")
    paused = {schedule.slug for schedule in there.schedules if not schedule.active}
    for schedule in wanted.schedules or []:
        schedule.active = schedule.slug not in paused
    wanted.schedules = [*(wanted.schedules or []), *_peoples(there.schedules)]
    wanted.apply()
    return Applied(what, "changed", ", ".join(changed))


def _schedules(wanted: Any) -> str:
    return ", ".join(f"{s.slug} ({s.schedule.cron} {s.schedule.timezone})" for s in wanted.schedules or [])


def _wanted_parts(wanted: Any) -> dict[str, Any]:
    """The parts of a deployment that prefect.yaml and the flow decide; `_found_parts` are the server's.

    No version: Prefect takes one from git where the checkout has a remote, and the worker runs the code that it has
    anyway.
    """
    schema = wanted._parameter_openapi_schema.model_dump(exclude_unset=True)
    options = wanted.concurrency_options
    return {
        "description": wanted.description,
        "tags": sorted(wanted.tags),
        "entrypoint": wanted.entrypoint,
        "parameters": wanted.parameters,
        "form": schema,
        "work pool": (wanted.work_pool_name, wanted.work_queue_name),
        "limit": wanted.concurrency_limit,
        "collisions": options and options.collision_strategy,
        "schedules": _times(wanted.schedules or []),
    }


def _found_parts(there: Any) -> dict[str, Any]:
    limit, options = there.global_concurrency_limit, there.concurrency_options
    return {
        "description": there.description,
        "tags": sorted(there.tags),
        "entrypoint": there.entrypoint,
        "parameters": there.parameters,
        "form": there.parameter_openapi_schema,
        "work pool": (there.work_pool_name, there.work_queue_name),
        "limit": limit and limit.limit,
        "collisions": options and options.collision_strategy,
        "schedules": _times(there.schedules),
    }


def _times(schedules: list[Any]) -> list[tuple[str, str, str]]:
    return sorted((s.slug, s.schedule.cron, s.schedule.timezone) for s in schedules if s.slug)


def _peoples(schedules: list[Any]) -> list[Any]:
    """The schedules that a person added on the deployment's page, of any kind: they have no slug, and stay."""
    from prefect.client.schemas.actions import DeploymentScheduleCreate

    kept = ("schedule", "active", "parameters", "max_scheduled_runs")
    return [DeploymentScheduleCreate(**{name: getattr(s, name) for name in kept}) for s in schedules if not s.slug]
