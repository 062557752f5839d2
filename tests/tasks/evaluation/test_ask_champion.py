"""The champion answers today's holdout by its own code, or it is said in words why it cannot."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from tasks.core.errors import AssayError, PromotionError
from tasks.core.work import StepResult
from tasks.evaluation.ask_champion import ask_champion
from tasks.facts.predictions import PREDICTIONS
from tasks.model.base_model import BaseModelSettings
from tasks.registry import mlflow_client
from tasks.registry.compared_champion import ComparedVersion, find_compared
from tasks.registry.packaging import is_described
from tasks.registry.unit import Unit
from tasks.registry.versions import ARTIFACT, CHAMPION, PREVIOUS, artifact_digest
from tests.support.registration import Inputs, another, change, make_inputs, stored
from tests.support.training import place

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def home_of(registry: Path, one_thread: None) -> Path:
    return registry


@pytest.fixture(scope="module")
def made(home_of: Path) -> list[Inputs]:
    """Two versions of one model."""
    with pytest.MonkeyPatch.context() as patch:
        stand_in(home_of, patch)
        first = make_inputs(home_of)
        both = [first, another(first, seed=2)]
        for inputs in both:
            inputs.register(checked=2)
        return both


def stand_in(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("ASSAY_HOME", str(folder / "home"))
    patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'home' / 'mlflow.db'}")
    patch.chdir(folder)


@pytest.fixture(autouse=True)
def here(home_of: Path, made: list[Inputs], monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(home_of, monkeypatch)


def aliased(**numbers: int) -> None:
    client = mlflow_client.client()
    for alias in (CHAMPION, PREVIOUS):
        client.delete_registered_model_alias("shop", alias)
        if alias in numbers:
            client.set_registered_model_alias("shop", alias, str(numbers[alias]))


def is_of(inputs: Inputs) -> Callable[[Unit], bool]:
    source = BaseModelSettings(source="base")  # of a folder only the name is kept
    return lambda unit: is_described(unit, inputs.prompt, source, inputs.base, inputs.adapter, inputs.dataset)


def nobody(_: Unit) -> bool:
    return False


def asked(folder: Path, champion: ComparedVersion, inputs: Inputs) -> tuple[StepResult, pl.DataFrame]:
    where = place(folder)
    return ask_champion(where, settings=champion, holdout=inputs.holdout), pl.read_parquet(where.out / PREDICTIONS)


def found(is_this: Callable[[Unit], bool] = nobody) -> ComparedVersion:
    version = find_compared("shop", is_this)
    assert version
    return version


def test_it_answers_as_it_was_evaluated(made: list[Inputs], tmp_path: Path) -> None:
    aliased(champion=2)
    champion = found()
    assert (champion.version, champion.unasked) == (2, "")
    done, frame = asked(tmp_path, champion, made[1])
    recorded = made[1].predictions.frame(PREDICTIONS).sort("row_id")
    assert frame.select("row_id", "answer").equals(recorded.select("row_id", "answer"))
    assert done.facts["variant"] == "champion"
    assert done.line.startswith("shop version 2: 6 answers in ")


def test_without_a_champion_or_a_model_there_is_nothing_to_compare_with(made: list[Inputs]) -> None:
    aliased()
    assert find_compared("shop", nobody) is None
    assert find_compared("nothing-yet", nobody) is None


def test_a_model_is_not_compared_with_itself_but_with_the_one_that_it_replaced(made: list[Inputs]) -> None:
    aliased(champion=2, previous=1)
    assert found(is_of(made[0])).version == 2
    assert found(is_of(made[1])).version == 1
    longer = replace(made[1], prompt=made[1].prompt.model_copy(update={"max_new_tokens": 99}))
    assert found(is_of(longer)).version == 2  # another prompt is another model
    aliased(champion=2)
    assert find_compared("shop", is_of(made[1])) is None


def test_what_was_made_champion_by_hand_and_proves_nothing_is_never_run(made: list[Inputs]) -> None:
    client = mlflow_client.client()
    foreign = client.create_model_version("shop", client.get_model_version("shop", "1").source)
    aliased(champion=int(foreign.version))
    assert "never passed its gate: there is no evidence with it" in found().unasked


def test_a_version_whose_files_were_changed_is_refused_before_its_code_runs(made: list[Inputs], tmp_path: Path) -> None:
    aliased(champion=1)
    code = stored("shop", 1) / "served_model.py"
    text = code.read_text()
    code.write_text(f"{text}\nraise SystemExit('this code ran')\n")
    with pytest.raises(PromotionError, match="not those that were registered"):
        asked(tmp_path, found(), made[0])
    code.write_text(text)


def test_a_version_whose_files_are_gone_is_an_error_in_words(made: list[Inputs], tmp_path: Path) -> None:
    aliased(champion=1)
    files, away = stored("shop", 1), tmp_path / "away"
    shutil.move(files, away)
    try:
        with pytest.raises(AssayError, match=r"The files of shop version 1 are not those|MLflow"):
            asked(tmp_path / "work", found(), made[0])
    finally:
        shutil.rmtree(files, ignore_errors=True)
        shutil.move(away, files)


def test_evidence_in_a_form_that_is_not_read_any_more_is_said_to_be_so(
    made: list[Inputs], monkeypatch: pytest.MonkeyPatch
) -> None:
    aliased(champion=1)
    monkeypatch.setattr("tasks.registry.unit.Unit.model_validate_json", lambda _: Unit.model_validate({}))
    assert found().unasked == "its evidence is in a form that is not read any more"


def test_a_question_that_it_refuses_costs_that_answer_alone(made: list[Inputs], tmp_path: Path) -> None:
    aliased(champion=1)
    code = stored("shop", 1) / "served_model.py"
    text = code.read_text()
    asks = "        try:\n            answers = self.speaker"
    refuses = (
        "        if any('money' in q[-1]['content'] for q in questions):\n            raise DataError('too dear')\n"
    )
    change(code, asks, refuses + asks)
    tag = mlflow_client.client().set_model_version_tag
    tag("shop", "1", ARTIFACT, artifact_digest(stored("shop", 1)))
    done, frame = asked(tmp_path, found(), made[0])
    assert "it refuses 1 of them, the first: too dear" in done.line
    assert frame.filter(pl.col("answer") == "").height >= 1
    code.write_text(text)
    tag("shop", "1", ARTIFACT, artifact_digest(stored("shop", 1)))
