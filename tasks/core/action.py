"""An action as a Prefect task: seen in the run, never cached, retried while something outside does not answer.

    entry = act("move champion", move, candidate, approval)

A step's result is the same whenever it is asked for, and so is cached (tasks/core/step.py); an action changes what
others see.
"""

from __future__ import annotations

import getpass
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar
from uuid import uuid4

from tasks.core.process.retry import may_heal

P = ParamSpec("P")
T = TypeVar("T")
# Outlasts a hiccup; a person waits for a promotion, so not half a minute more.
RETRIES, WAIT_SECONDS = 3, [1.0, 3.0, 9.0]
PATIENT_RETRIES, PATIENT_SECONDS = 4, [2.0, 4.0, 8.0, 16.0]  # as a step waits, which outlasts a restart of MLflow


def act(name: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `function` as a task named `name`; only an OutsideError is tried again. Outside a flow: just call it."""
    return _run(name, RETRIES, WAIT_SECONDS, function, *args, **kwargs)


def act_patiently(name: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """As `act`, for a run of hours, which is not lost because something outside starts anew."""
    return _run(name, PATIENT_RETRIES, PATIENT_SECONDS, function, *args, **kwargs)


def _run(
    name: str, retries: int, waits: list[float], function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
) -> T:
    from prefect import task
    from prefect.cache_policies import NO_CACHE
    from prefect.context import FlowRunContext

    if FlowRunContext.get() is None:
        return function(*args, **kwargs)
    as_task = task(
        name=name,
        task_run_name=name,
        description=inspect.getdoc(function),
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=retries,
        retry_delay_seconds=waits,
        retry_condition_fn=may_heal,
    )
    return as_task(function)(*args, **kwargs)


def actor() -> str:
    """Who acts: the account of this process, and the Prefect run that it acts for.

    Prefect's own server knows no persons, so of a run that a page started it cannot be said more.
    """
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    run = context.flow_run if context else None
    try:
        account = getpass.getuser()
    except (KeyError, OSError):  # a container whose user id has no name
        account = "an account without a name"
    return f"{account} (Prefect run {run.name})" if run else account


def decision() -> str:
    """A key for the decision under way: the Prefect run's id, so that a run that is tried again
    decides nothing twice.
    """
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    return str(context.flow_run.id) if context and context.flow_run else uuid4().hex
