"""Scoring a file with the champion: every row comes out, in its order, with the version that answered it or with its
error.
"""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from flows.score import check_target, write
from tasks.core.errors import AssayError
from tasks.core.handle import FACTS, Handle
from tasks.core.home import TOLD, commit, new_artifact
from tasks.curation.ingest import Source, find_sources
from tasks.registry import mlflow_client
from tasks.registry.versions import CHAMPION
from tasks.release.score import ANSWERS, ScoreSettings, Served, find_served, prompt_of, score
from tests.support import training
from tests.support.registration import PREDICTIONS, TEXTS, Inputs, change, make_inputs, stored

LINES = [
    {"message": TEXTS[0]},
    {"messages": [{"role": "user", "content": TEXTS[1]}, {"role": "assistant", "content": "old"}]},
    {"subject": "no question"},
    "this is no JSON",
    {"instruction": TEXTS[2], "output": "old"},
    {"text": TEXTS[3], "label": "x"},
    {"messages": [{"role": "tool", "content": "?"}]},
    {"prompt": None},
    {"Prompt": TEXTS[5]},
]


@pytest.fixture(scope="module")
def place(registry: Path, one_thread: None) -> Path:
    return registry


@pytest.fixture(scope="module")
def made(place: Path) -> Inputs:
    with pytest.MonkeyPatch.context() as patch:
        stand_in(place, patch)
        inputs = make_inputs(place)
        inputs.register(checked=1)
        mlflow_client.client().set_registered_model_alias("shop", CHAMPION, "1")
        lines = [line if isinstance(line, str) else json.dumps(line) for line in LINES]
        (place / "inbox.jsonl").write_text("\n".join(lines))
        return inputs


def stand_in(place: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("ASSAY_HOME", str(place / "home"))
    patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place / 'home' / 'mlflow.db'}")
    patch.chdir(place)


@pytest.fixture
def here(place: Path, made: Inputs, monkeypatch: pytest.MonkeyPatch) -> Inputs:
    stand_in(place, monkeypatch)
    return made


def scored(folder: Path, place: Path, rows: int = 256) -> Handle:
    made = score(
        training.place(folder),
        settings=ScoreSettings(rows=rows),
        served=find_served("shop", CHAMPION),
        files=find_sources([Source(path="inbox.jsonl")], place),
    )
    with new_artifact("score") as out:
        (out / FACTS).write_text(json.dumps(made.facts))
        (out / TOLD).write_text(json.dumps({"line": made.line}))
        (folder / "out" / ANSWERS).rename(out / ANSWERS)
        path, digest = commit(out, "score")
    return Handle.of(path, step="score", kind="answers", digest=digest, rows=made.rows)


def truth(inputs: Inputs, text: str) -> str:
    answers = inputs.predictions.frame(PREDICTIONS).sort("row_id")["answer"].to_list()
    return str(answers[TEXTS.index(text)])


def test_every_row_comes_out_in_order_with_its_answer_or_its_error(here: Inputs, place: Path, tmp_path: Path) -> None:
    frame = scored(tmp_path / "work", place).frame(ANSWERS)
    assert frame["line"].to_list() == list(range(1, 10))
    right = [truth(here, TEXTS[0]), truth(here, TEXTS[1]), None, None, truth(here, TEXTS[2]), truth(here, TEXTS[3])]
    assert frame["answer"].to_list() == [*right, None, None, truth(here, TEXTS[5])]
    assert [error is None for error in frame["error"]] == [answer is not None for answer in frame["answer"]]
    assert frame["error"][2].startswith("asks nothing: no column messages")
    assert frame["error"][6] == "a tool's answer to no call before it"
    assert frame.select("model", "version").unique().rows() == [("shop", 1)]
    assert json.loads(frame["input"][5]) == LINES[5]
    assert frame["input"][3] == LINES[3]


def test_a_killed_run_goes_on_behind_the_last_saved_part(here: Inputs, place: Path, tmp_path: Path) -> None:
    whole = scored(tmp_path / "work", place, rows=2).frame(ANSWERS)
    parts = sorted((tmp_path / "work" / "scratch").glob("part-*.parquet"))
    assert len(parts) == 5
    pl.read_parquet(parts[0]).with_columns(answer=pl.lit("saved before the kill")).write_parquet(parts[0])
    parts[3].unlink()
    resumed = scored(tmp_path / "work", place, rows=2).frame(ANSWERS)
    assert resumed["answer"].to_list() == ["saved before the kill"] * 2 + whole["answer"].to_list()[2:]


def test_one_question_that_the_model_refuses_costs_no_other_row_its_answer(
    here: Inputs, place: Path, tmp_path: Path
) -> None:
    served = stored("shop") / "served_model.py"
    text = served.read_text()
    asks = "            answers = self.speaker"
    touchy = "            if 'money' in str(questions): raise DataError('It refuses it.')"
    change(served, asks, f"{touchy}\n{asks}")
    try:
        frame = scored(tmp_path / "work", place).frame(ANSWERS)
    finally:
        served.write_text(text)
    assert frame["answer"][0] == truth(here, TEXTS[0])
    assert (frame["answer"][1], frame["error"][1]) == (None, "It refuses it.")
    assert frame["error"].null_count() == 4


def test_the_file_is_written_as_its_name_says_and_read_back_whole(here: Inputs, place: Path, tmp_path: Path) -> None:
    handle = scored(tmp_path / "work", place)
    for name in ("answers.parquet", "answers.jsonl"):
        write(handle, tmp_path / name)
    frame = pl.read_parquet(tmp_path / "answers.parquet")
    assert frame.equals(handle.frame(ANSWERS))
    lines = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert lines[0]["input"] == LINES[0]
    assert [line["answer"] for line in lines] == frame["answer"].to_list()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["answers.jsonl", "answers.parquet"]


@pytest.mark.parametrize("name", ["answers.xlsx", "no such folder/answers.jsonl"])
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_answered(tmp_path: Path, name: str) -> None:
    with pytest.raises(AssayError, match="cannot be written"):
        check_target(tmp_path / name)


def test_an_alias_that_is_not_set_is_said_with_those_that_are(here: Inputs) -> None:
    assert find_served("shop", CHAMPION) == Served(model="shop", version=1, unit=here_unit())
    with pytest.raises(AssayError, match="shop has no previous") as caught:
        find_served("shop", "previous")
    assert "challenger (version 1), champion (version 1)" in str(caught.value)


def test_the_flow_writes_the_file_and_says_how_many_rows_have_an_error(
    prefect: None, here: Inputs, tmp_path: Path
) -> None:
    from flows.score import score as score_flow

    out = tmp_path / "answers.jsonl"
    state = score_flow("shop", "inbox.jsonl", str(out), return_state=True)
    assert state.message == f"5 rows answered by shop version 1, 4 with an error: {out}"
    assert [json.loads(line)["line"] for line in out.read_text().splitlines()] == list(range(1, 10))


def here_unit() -> str:
    return str(mlflow_client.client().get_model_version("shop", "1").tags[mlflow_client.DIGEST])


def test_a_conversation_that_ends_in_an_answer_asks_what_came_before_it() -> None:
    turns = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}, {"from": "human", "value": "c"}]
    assert [turn["content"] for turn in prompt_of({"conversations": [*turns, {"from": "gpt", "value": "d"}]})] == [
        "a",
        "b",
        "c",
    ]
    assert [turn["content"] for turn in prompt_of({"conversations": turns})] == ["a", "b", "c"]
