"""assay deploy on a real server: made once, unchanged the second time, changed where something
differs, never undone.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml

from flows.servers import deploy as module
from flows.servers.automations import NOTIFY
from flows.servers.deploy import Applied, deploy
from tasks.core.errors import AssayError


@pytest.fixture
def api(prefect: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shared server, named as a user names one."""
    from prefect.settings import PREFECT_API_URL

    monkeypatch.setenv("PREFECT_API_URL", PREFECT_API_URL.value())


@pytest.fixture
def bare(api: None) -> None:
    """The shared server without what another file's tests have deployed on it."""
    from prefect import get_client
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        for deployment in client.read_deployments():
            client.delete_deployment(deployment.id)
        with contextlib.suppress(ObjectNotFound):
            client.delete_work_pool("assay")
        for automation in client.request("POST", "/automations/filter", json={}).json():
            client.delete_automation(UUID(automation["id"]))


def hows(applied: list[Applied]) -> dict[str, str]:
    return {one.what: one.how for one in applied}


def test_the_first_call_makes_everything_and_the_second_changes_nothing(bare: None) -> None:
    first, second = hows(list(deploy())), hows(list(deploy()))
    assert first.keys() == second.keys()
    assert {"work pool assay", "deployment retrain", "deployment rollback", "deployment watch"} <= first.keys()
    assert sorted(set(first.values())) == ["left out", "made"]
    assert sorted(set(second.values())) == ["left out", "unchanged"]


def test_what_differs_is_put_right_and_what_a_person_paused_stays_paused(
    api: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect import get_client
    from prefect.client.schemas.actions import DeploymentUpdate

    list(deploy())
    with get_client(sync_client=True) as client:
        there: Any = client.read_deployment_by_name("watch/watch")
        client.update_deployment_schedule(there.id, there.schedules[0].id, active=False)
        client.update_deployment(there.id, DeploymentUpdate(description="something else"))
        changed = {one.what: one for one in deploy()}["deployment watch"]
        assert (changed.how, changed.why) == ("changed", "description")
        again: Any = client.read_deployment_by_name("watch/watch")
    assert [schedule.active for schedule in again.schedules] == [False]
    entries = yaml.safe_load(module.DEPLOYMENTS.read_text())
    for entry in entries["deployments"]:
        entry["tags"] = ["other"]
    (tmp_path / "prefect.yaml").write_text(yaml.safe_dump(entries))
    monkeypatch.setattr(module, "DEPLOYMENTS", tmp_path / "prefect.yaml")
    told = [one for one in deploy() if one.what.startswith("deployment")]
    assert {(one.how, one.why) for one in told} == {("changed", "tags")}


def test_a_changed_event_trigger_is_put_right_and_one_that_was_switched_off_stays_off(
    api: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect import get_client

    name = "Assay: rows have arrived"
    list(deploy())
    entries = yaml.safe_load(module.DEPLOYMENTS.read_text())
    (watch,) = (entry for entry in entries["deployments"] if entry["name"] == "watch")
    (tmp_path / "prefect.yaml").write_text(yaml.safe_dump(entries))
    monkeypatch.setattr(module, "DEPLOYMENTS", tmp_path / "prefect.yaml")
    with get_client(sync_client=True) as client:
        (there,) = client.read_automations_by_name(name)
        client.request("PATCH", "/automations/{id}", path_params={"id": there.id}, json={"enabled": False})
        assert hows(list(deploy()))["deployment watch"] == "unchanged"
        for key, value in {"expect": ["other.rows.arrived"], "parameters": {"recipe": "other"}}.items():
            watch["triggers"][0][key] = value
            (tmp_path / "prefect.yaml").write_text(yaml.safe_dump(entries))
            changed = {one.what: one for one in deploy()}["deployment watch"]
            assert (changed.how, changed.why) == ("changed", "triggers")
            assert hows(list(deploy()))["deployment watch"] == "unchanged"
        again: Any
        (again,) = client.read_automations_by_name(name)
    assert (again.trigger.expect, again.actions[0].parameters) == ({"other.rows.arrived"}, {"recipe": "other"})
    assert not again.enabled


def test_one_training_runs_at_a_time_until_a_person_allows_more(api: None) -> None:
    async def limit(set_to: int | None = None) -> int | None:
        async with get_client() as client:
            queue, first = [await client.read_work_queue_by_name(name, "assay") for name in ("training", "default")]
            if set_to:
                await client.update_work_queue(queue.id, concurrency_limit=set_to)
        assert (first.concurrency_limit, first.priority < queue.priority) == (None, True)
        return queue.concurrency_limit

    async def given_out() -> list[str]:
        """What a worker is given of two runs of retrain and two of curate, in its order."""
        async with get_client() as client:
            names = {
                (await client.read_deployment_by_name(f"{name}/{name}")).id: name for name in ("retrain", "curate")
            }
            for deployment in (*names, *names):
                await client.create_flow_run_from_deployment(deployment)
            found = await client.get_scheduled_flow_runs_for_work_pool("assay", scheduled_before=now("UTC"))
        return [names[run.flow_run.deployment_id] for run in found if run.flow_run.deployment_id in names]

    from prefect import get_client
    from prefect.types._datetime import now

    list(deploy())
    assert asyncio.run(limit()) == 1
    assert asyncio.run(given_out()) == ["curate", "curate", "retrain"]
    asyncio.run(limit(set_to=3))
    assert hows(list(deploy()))["work queue training"] == "unchanged"
    assert asyncio.run(limit()) == 3


def test_a_notification_goes_to_the_block_that_is_named(api: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.blocks.notifications import SlackWebhook

    monkeypatch.setenv(NOTIFY, "slack-webhook/assay")
    with pytest.raises(AssayError, match="no notification block 'slack-webhook/assay'"):
        list(deploy())
    SlackWebhook(url="https://hooks.slack.example/a").save("assay")
    assert hows(list(deploy()))["automation Assay: tell people"] == "made"
    assert hows(list(deploy()))["automation Assay: tell people"] == "unchanged"


def test_without_a_server_it_says_how_to_get_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with pytest.raises(AssayError, match="PREFECT_API_URL is not set"):
        list(deploy())


def test_from_an_installed_package_it_says_that_a_checkout_is_needed(
    api: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DEPLOYMENTS", tmp_path / "prefect.yaml")
    with pytest.raises(AssayError, match="from a checkout"):
        list(deploy())


def test_a_flow_that_is_not_there_is_named_before_anything_is_made(
    api: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = yaml.safe_load(module.DEPLOYMENTS.read_text())
    entries["deployments"][-1]["entrypoint"] = "flows.nothing.nothing"
    (tmp_path / "prefect.yaml").write_text(yaml.safe_dump(entries))
    monkeypatch.setattr(module, "DEPLOYMENTS", tmp_path / "prefect.yaml")
    with pytest.raises(AssayError, match=r"flows\.nothing\.nothing cannot be loaded"):
        list(deploy())
