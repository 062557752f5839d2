"""assay deploy beside people: a schedule that somebody added on a deployment's page is theirs, and stays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from flows.servers import deploy as module
from flows.servers.deploy import deploy


def test_a_schedule_that_a_person_added_is_no_difference_and_stays_when_something_else_is_put_right(
    prefect: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect import get_client
    from prefect.client.schemas.schedules import IntervalSchedule
    from prefect.settings import PREFECT_API_URL

    monkeypatch.setenv("PREFECT_API_URL", PREFECT_API_URL.value())
    list(deploy())
    own: dict[str, Any] = {"recipe_path": "/srv/ours/recipe.yaml"}
    with get_client(sync_client=True) as client:
        there = client.read_deployment_by_name("watch/watch")
        often = IntervalSchedule(interval=timedelta(minutes=10))
        body = [{"schedule": often.model_dump(mode="json"), "active": False, "parameters": own}]
        client._client.post(f"/deployments/{there.id}/schedules", json=body).raise_for_status()
    assert next(one.how for one in deploy() if one.what == "deployment watch") == "unchanged"
    read = module._read

    def otherwise(file: Any) -> dict[str, Any]:
        told = read(file)
        for entry in told.get("deployments", []):
            entry["description"] += " Changed."
        return told

    monkeypatch.setattr(module, "_read", otherwise)
    assert next(one.how for one in deploy() if one.what == "deployment watch") == "changed"
    with get_client(sync_client=True) as client:
        found = {s.slug: s for s in client.read_deployment_by_name("watch/watch").schedules}
    assert set(found) == {"daily", None}
    assert (found[None].schedule.interval, found[None].active, found[None].parameters) == (often.interval, False, own)
