"""The model that MLflow loads and serves ("models from code": this file is the model, nothing is pickled).

    mlflow models serve -m models:/support-triage@challenger --env-manager local -p 5001
    curl -s localhost:5001/invocations -H 'Content-Type: application/json' \
         -d '{"dataframe_records": [{"message": "Where is my parcel?"}]}'        {"predictions": [{"answer": "..."}]}

A row is either `message`, the text of one user turn, or `messages`, a conversation as [{"role": ..., "content": ...}];
the unit's system prompt is put before both. All rows of a request ask in the same way (MLflow's check of types takes no
mixture) and are answered in one batch. Beside either may stand `tools` in OpenAI's form, and in `messages` its
tool_calls and tool_call_id; then each answer has `tool_calls` too, null without any:

    {"messages": [{"role": "user", "content": "Is it raining in Bonn?"}], "tools": [...]}
    {"answer": "", "tool_calls": [{"id": "call00001", "type": "function", "function": {"name": ..., "arguments": ...}}]}

The artifact holds the adapter and unit.json. The base model comes from ASSAY_HOME if it is there, else from the source
that the unit names, and must have the unit's digest: another base model, however alike, is refused.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from filelock import FileLock
from mlflow.exceptions import MlflowException

from tasks.core.errors import DataError, OutsideError, RecipeError, RegistrationError
from tasks.core.handle import FACTS
from tasks.core.home import commit, digest_path, home, home_folder, new_artifact
from tasks.core.row import name_of
from tasks.data.formats.messages import UnadaptedError
from tasks.data.formats.tool_calls import asked_turns
from tasks.facts.base_model import ModelFacts
from tasks.model.base_model import BaseModelSettings, find_model, write_model
from tasks.model.chat_template import ASKING, Message, check_room
from tasks.model.generation import load_generator
from tasks.registry.unit import UNIT, Base, Unit

SOURCE = "ASSAY_BASE_MODEL"  # names the base model where the unit's own source is not to be had; the digest still binds
ASKED = "`message` (a text) or `messages` (a list of role and content)"
NAME_IT = (
    f"name the right one with {SOURCE}=<hub id, folder or file>, or set ASSAY_HOME to the home it was evaluated in"
)


class ServedModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """An adapter on its pinned base model, answering in the one prompt format that it was evaluated in."""

    def load_context(self, context: Any) -> None:
        """context.artifacts: `unit` (unit.json) and `adapter` (a PEFT folder). Raises
        RegistrationError, RecipeError.
        """
        unit = _unit(Path(context.artifacts["unit"]))
        if digest_path(Path(context.artifacts["adapter"])) != unit.adapter:
            raise RegistrationError(
                "The adapter is not the one that was evaluated: its files have changed since.",
                where="artifact: adapter",
                allowed=f"digest {unit.adapter}",
                todo="run the recipe again: its files are written anew",
            )
        base = base_model(unit.base)
        self.speaker = load_generator(base, Path(context.artifacts["adapter"]), unit.prompt)
        self.context = ModelFacts.read(base.parent / FACTS).context  # as the rows that judged it were held to

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """One answer a row: column `answer`, and `tool_calls` if any row has tools.

        Raises MlflowException, which is HTTP 400, for a row that asks nothing, or more than the model can read, and for
        what the chat template cannot write.
        """
        rows = model_input.to_dict("records")
        if (
            not rows
        ):  # or none of ours: MLflow takes away columns that a signature does not name, and rows without others
            raise MlflowException.invalid_parameter_value(f"No row of the request has a {ASKED}.")
        questions, tools = [_question(*row) for row in enumerate(rows)], [_tools(*row) for row in enumerate(rows)]
        for number, (question, offer) in enumerate(zip(questions, tools, strict=True)):
            self._check_room(number, question, offer)
        try:
            answers = self.speaker.answer(questions, tools=tools)
        except DataError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error
        told: dict[str, list[Any]] = {"answer": [answer.text for answer in answers]}
        if any(tools):
            told["tool_calls"] = [json.loads(answer.calls) if answer.calls else None for answer in answers]
        return pd.DataFrame(told, dtype=object)

    def _check_room(self, number: int, question: list[Message], tools: list[Any] | None) -> None:
        try:
            check_room(len(self.speaker.prompt_ids(question, tools)), self.context, self.speaker.prompt)
        except DataError as error:
            raise MlflowException.invalid_parameter_value(f"Row {number}: {error}") from error


def _unit(file: Path) -> Unit:
    """The unit of unit.json in the model's folder. Raises RegistrationError where it is not the one registered."""
    unit = Unit.model_validate_json(file.read_text(encoding="utf-8"))
    registered = (mlflow.models.Model.load(str(file.parents[1])).metadata or {}).get(UNIT)
    if unit.digest != registered:
        raise RegistrationError(
            "The unit is not the one that was evaluated: unit.json has changed since.",
            where=f"artifact: {UNIT}; its digest is {unit.digest}",
            allowed=f"digest {registered}",
            todo="run the recipe again: its files are written anew",
        )
    return unit


def _question(number: int, row: dict[Any, Any]) -> list[Message]:
    message, messages = row.get("message"), _listed(row.get("messages"))
    if isinstance(message, str) == bool(messages):
        found = "both `message` and `messages`; give one of them" if messages else f"no {ASKED}"
        raise MlflowException.invalid_parameter_value(f"Row {number} has {found}.")
    if isinstance(message, str):
        return [{"role": "user", "content": message}]
    if not all(isinstance(turn, dict) for turn in messages):
        raise MlflowException.invalid_parameter_value(
            f"Row {number} has `messages` that are no list of role and content."
        )
    try:
        turns = asked_turns(messages)
    except UnadaptedError as error:
        raise MlflowException.invalid_parameter_value(
            f"Row {number}: {error}. {error.evidence or ''}".strip()
        ) from error
    if turns[-1]["role"] not in ASKING:
        raise MlflowException.invalid_parameter_value(
            f"Row {number} asks nothing: its `messages` end with the turn of the {turns[-1]['role']}, not of a user "
            f"or a tool."
        )
    return turns


def _tools(number: int, row: dict[Any, Any]) -> list[Any] | None:
    tools = _listed(row.get("tools"))
    if all(isinstance(tool, dict) and name_of(tool) for tool in tools):
        return tools or None
    raise MlflowException.invalid_parameter_value(
        f"Row {number} has `tools` that are no list of functions with a name."
    )


def _listed(value: Any) -> list[Any]:
    """A cell's list; pandas fills what a row lacks with NaN, and MLflow may make a list an array. What is none is one
    thing.
    """
    if value is None or (isinstance(value, float) and value != value):
        return []
    return [value] if isinstance(value, str | int | float | dict) else list(value)


def base_model(base: Base) -> Path:
    """The folder of the base model with exactly this digest, fetched into ASSAY_HOME if it is not there yet."""
    with FileLock(home_folder("scratch") / f"base-{base.digest[:16]}.lock"):  # servers start several workers at once
        return _at_hand(base) or _fetched(base)


def _at_hand(base: Base) -> Path | None:
    for facts in sorted((home() / "artifacts" / "fetch").glob(f"*/{FACTS}")):
        folder = facts.parent / "model"
        if ModelFacts.read(facts).digest == base.digest and digest_path(folder) == base.digest:
            return folder
    return None


def _fetched(base: Base) -> Path:
    named = os.environ.get(SOURCE)  # elsewhere a revision is another one; the digest binds either way
    settings = BaseModelSettings(**({"source": named} if named else {"source": base.source, "revision": base.revision}))
    with new_artifact(f"served-{base.digest[:16]}") as out:
        facts = _written(out / "model", settings, base)
        if facts.digest != base.digest:
            raise RegistrationError(
                f"The base model at {settings.source!r} is not the one that was evaluated.",
                where=f"unit.json: base; its digest is {facts.digest}",
                allowed=f"digest {base.digest} ({base.source})",
                todo=NAME_IT,
            )
        (out / FACTS).write_text(json.dumps(facts.written(), indent=1, ensure_ascii=False))
        return commit(out, "fetch")[0] / "model"


def _written(target: Path, settings: BaseModelSettings, base: Base) -> ModelFacts:
    """As write_model, with errors for who serves, and has no recipe: RegistrationError, OutsideError."""
    where, allowed = f"unit.json: base; ASSAY_HOME is {home()}", f"digest {base.digest} ({base.source})"
    try:
        return write_model(target, settings, find_model(settings, Path.cwd()))
    except RecipeError as error:
        raise RegistrationError(error.what, where=where, allowed=allowed, todo=NAME_IT) from error
    except OutsideError as error:
        raise OutsideError(error.what, where=where, allowed=allowed, todo=f"check the network, or {NAME_IT}") from error


mlflow.models.set_model(ServedModel())
