"""Start `retrain` for a reason, once: which runs of it there are for a model, whether this data was tried, and where it
runs.

A run that `watch` starts carries the tags `watch`, `model:<name>`, `data:<digest>` and `reason:<what>`, names its
reasons in its name and tells them in an artifact. Where the server has a deployment of `retrain`, a worker runs it and
`watch` ends at once; on a laptop there is none, and it runs here, inside the run of `watch`. The tags are the memory:
the same data is not tried again after a verdict, and after three crashes a person has to look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect import get_client, tags
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Crashed

from flows.overrides import assigned
from flows.recipe import Recipe, load_recipe
from flows.recipes import installed_recipes
from flows.run.final_states import BLOCKED, KILLED
from flows.run.lock import was_killed
from flows.run.parameters import SETTINGS
from tasks.core.errors import AssayError
from tasks.core.process.run_page import show

RETRAIN = FlowFilter(name=FlowFilterName(any_=["retrain"]))
GOING_ON = [StateType.RUNNING, StateType.PENDING, StateType.PAUSED, StateType.CANCELLING]
MOST_CRASHES = 3  # of the same data; then it is the data or the machine, and a fourth time finds nothing new


@dataclass(frozen=True)
class Started:
    """A run of retrain. state: how it ended, where it ran here; None where a worker runs it."""

    name: str
    run_id: str
    state: State[Any] | None = None


def under_way(plan: Recipe) -> FlowRun | None:
    """A run of retrain for the recipe's model that runs, or waits for its turn; one that is scheduled for later is
    none. What the server takes for running and was killed is marked as crashed, and none either.
    """
    states = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[*GOING_ON, StateType.SCHEDULED])))
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            flow_filter=RETRAIN, flow_run_filter=states, sort=FlowRunSort.EXPECTED_START_TIME_ASC
        )
        due = [run for run in runs if _is_due(run) and _model(run) == plan.name]
        return next((run for run in due if not _is_closed(client, run)), None)


def _is_closed(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Whether a run was killed; then its page says so from now on, and it counts as a crash of its data."""
    killed = run.state_type in (StateType.RUNNING, StateType.CANCELLING) and was_killed(str(run.id))
    if killed:
        client.set_flow_run_state(run.id, Crashed(message=KILLED), force=True)
    return killed


def _is_due(run: FlowRun) -> bool:
    """Whether it runs or only waits for a worker, a free place or its next attempt."""
    scheduled = run.state_type == StateType.SCHEDULED and run.state_name == "Scheduled"
    return not scheduled or not run.expected_start_time or run.expected_start_time <= datetime.now(UTC)


def tried(plan: Recipe, data: str) -> tuple[FlowRun | None, int]:
    """The newest run that came to an end with this very data, and how many crashed or failed since: a verdict, a
    contract that is broken and a person's cancelling are ends.
    """
    tagged = FlowRunFilter(tags=FlowRunFilterTags(all_=_tags(plan, data)))
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            flow_filter=RETRAIN, flow_run_filter=tagged, sort=FlowRunSort.EXPECTED_START_TIME_DESC
        )
    failed = 0
    for run in runs:
        if run.state_type in (StateType.COMPLETED, StateType.CANCELLED) or run.state_name == BLOCKED:
            return run, failed
        failed += run.state_type in (StateType.FAILED, StateType.CRASHED)
    return None, failed


def start(plan: Recipe, recipe: dict[str, str], data: str, reasons: Mapping[str, str], attempt: int) -> Started:
    """Start retrain. recipe: its parameters as `watch` was given them; reasons: sentences by what each is about;
    attempt: 0 for the first with this data.
    """
    name = f"{plan.name}: {', '.join(reasons)}"
    tagged = [*_tags(plan, data), *(f"reason:{what}" for what in reasons)]
    started = _on_a_worker(plan, recipe, name, tagged, f"watch {plan.name} {data} {attempt}") or _here(
        recipe, name, tagged
    )
    told = "".join(f"- **{what}**: {why}\n" for what, why in reasons.items())
    described = f"**watch** started it: {name}"
    show(
        _tell, run_id=started.run_id, key="why", markdown=f"# Why this run was started\n\n{told}", description=described
    )
    return started


def _tell(run_id: str, key: str, markdown: str, description: str) -> None:
    """Prefect's create_markdown_artifact for the page of a run that is not the one under way."""
    with get_client(sync_client=True) as client:
        client.create_artifact(
            ArtifactCreate(key=key, type="markdown", data=markdown, flow_run_id=UUID(run_id), description=description)
        )


def _on_a_worker(plan: Recipe, recipe: dict[str, str], name: str, tagged: list[str], key: str) -> Started | None:
    """None where the server has no deployment of retrain.

    The key makes two watches that decide at the same moment start one run. No parent, so that it outlives the run of
    watch.
    """
    from prefect.deployments import run_deployment

    deployment = _deployment(plan)
    if deployment is None:
        return None
    run: Any = run_deployment(
        deployment, parameters=recipe, flow_run_name=name, tags=tagged, timeout=0, as_subflow=False, idempotency_key=key
    )
    return Started(run.name, str(run.id))


def _here(recipe: dict[str, str], name: str, tagged: list[str]) -> Started:
    from flows.retrain import retrain

    named: Any = retrain.with_options(flow_run_name=name.replace("{", "(").replace("}", ")"))  # else it is a template
    with tags(*tagged):
        state = named(**recipe, return_state=True)
    return Started(name, str(state.state_details.flow_run_id), state)


def _tags(plan: Recipe, data: str) -> list[str]:
    return ["watch", f"model:{plan.name}", f"data:{data[:16]}"]


def _deployment(plan: Recipe) -> Any:
    """The id of the deployment of retrain to run: one whose own recipe is this one, else any that is not paused."""
    with get_client(sync_client=True) as client:
        there = [one for one in client.read_deployments(flow_filter=RETRAIN) if not one.paused]
    there.sort(key=lambda one: (_named(one.parameters) != plan.name, one.name))
    return there[0].id if there else None


def _model(run: FlowRun) -> str:
    """The model that a run is for."""
    tagged = next((tag.removeprefix("model:") for tag in run.tags if tag.startswith("model:")), "")
    return tagged or _named(run.parameters)


def _named(parameters: dict[str, Any]) -> str:
    """The model of a run's parameters; empty when its recipe cannot be read here."""
    recipe = parameters.get("recipe_path") or parameters.get("recipe") or next(iter(installed_recipes()))
    try:
        return load_recipe(str(recipe), assigned(parameters.get(SETTINGS, ()))).name
    except AssayError:
        return ""
