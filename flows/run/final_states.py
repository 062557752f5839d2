"""How a run ends, in words: Completed, Refused or Undecided by the gate, Blocked by the contract, Failed.

    @flow(name="retrain", persist_result=False)
    @ends_in_words
    def retrain(...): ...

Refused and Undecided are of Prefect's type Completed: the run did its work, and there is no model. Blocked and Failed
are of its type Failed: the run stopped. Each message ends with what to do next, as the page of the run shows it.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from tempfile import gettempdir
from typing import Any, ParamSpec

from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed

from tasks.core.errors import AssayError, ContractError, is_disk_full
from tasks.core.home import home
from tasks.core.process.hardware import collect_rarely, exit_quickly
from tasks.core.process.run_page import show

P = ParamSpec("P")
BLOCKED, REFUSED, UNDECIDED = "Blocked", "Refused", "Undecided"
KILLED = "Its process was killed."  # of a run that the server takes for running
ENDS = {"passed": "Completed", "refused": REFUSED, "undecided": UNDECIDED}  # by the gate's verdict
NEXT_BY_VERDICT = {
    "passed": "look at the report, then promote the challenger",
    "refused": "read in the report which rule did not hold; mend what it shows, then run again",
    "undecided": "the report says how many holdout rows would decide; add them, then run again",
}


class InWords(logging.Filter):
    """In the logs of runs, an error that a person can act on says its own words; a traceback stays with unexpected
    ones.

    Prefect's engine raises the error of a failed state once more, and logs that as "unexpected exception" with forty
    lines of its own code. Records of level DEBUG keep their traceback (PREFECT_LOGGING_LEVEL=DEBUG).
    """

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, AssayError) and record.levelno > logging.DEBUG:
            record.msg, record.args, record.exc_info = error.render(), (), None
        return True


IN_WORDS = InWords()
RUN_LOGS = ("prefect.flow_runs", "prefect.task_runs")  # what a run's page shows as its logs


def ends_in_words(function: Callable[P, Any]) -> Callable[P, Any]:
    """Make an error that a person can act on the flow's final state, with its own words and no traceback."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> Any:
        for name in RUN_LOGS:
            logging.getLogger(name).addFilter(IN_WORDS)  # once, however often
        collect_rarely()  # before the steps load their libraries
        exit_quickly()
        try:
            return function(*args, **kwargs)
        except AssayError as error:
            return stopped(error)
        except Exception as error:
            if not is_disk_full(error):
                raise
            return stopped(full_disk(error))

    # Annotations are text, and Prefect would look their names up in this module: so they are looked up where they were
    # written.
    run.__signature__ = inspect.signature(function, eval_str=True)  # type: ignore[attr-defined]
    return run


def full_disk(error: Exception) -> AssayError:
    """`error`, which says that a disk is full, in our words."""
    told = AssayError(
        f"A disk is full: {error}",
        where=f"{home()}, or the folder for temporary files ({gettempdir()})",
        allowed="free space",
        todo="make room, and run the same command again (in the pages: Retry); it goes on from here",
    )
    told.__cause__ = error
    return told


def stopped(error: AssayError) -> State[Any]:
    """The final state of a run that `error` stopped; the command finds the error in its data."""
    name = BLOCKED if isinstance(error, ContractError) else "Failed"
    if FlowRunContext.get():
        get_run_logger().debug("Where it was raised:", exc_info=error)
        told = f"{name}: {error.what.splitlines()[0]}"
        show(create_markdown_artifact, markdown=f"# {name}\n\n{in_markdown(error)}", key="outcome", description=told)
    return Failed(name=name, message=error.render(), data=error)


def in_markdown(error: AssayError) -> str:
    """The error as paragraphs, which the page wraps; only the lines after the first, which may quote rows, stay as they
    are.
    """
    first, _, rest = error.what.partition("\n")
    told = [first, *([f"```\n{rest}\n```"] if rest else [])]
    told += [f"**To do:** {error.todo}"] if error.todo else []
    told += [f"**Where:** `{error.where}`"] if error.where else []
    told += [f"**Allowed:** {error.allowed}"] if error.allowed else []
    return "\n\n".join(told)


def verdict_state(verdict: str, line: str, results: Any, promoted: str) -> State[Any]:
    """The final state of a run that came to its end. verdict: the gate's. line: the outcome in a sentence.

    promoted: what became of the promotion, where the recipe follows its gate.
    """
    then = promoted or f"To do: {NEXT_BY_VERDICT[verdict]}."
    return Completed(name=ENDS[verdict], message=f"{line} {then}", data=results)
