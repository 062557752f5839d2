"""Which failed tasks are tried again."""

from __future__ import annotations

from typing import Any

from tasks.core.errors import OutsideError


def may_heal(_task: Any, _run: Any, state: Any) -> bool:
    """For Prefect's `retry_condition_fn`: whether something outside did not answer; nothing else heals by itself."""
    return isinstance(state.result(raise_on_failure=False), OutsideError)
