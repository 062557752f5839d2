"""The first half, from raw exports to a dataset: every row accounted for, and bad input told in words, not in a
traceback.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from flows.cli import main
from tests.support.command import Ended, Work
from tests.support.little_recipe import answer, conversation, spoken, write_lines

ROWS = 61  # in the two exports: 35, the line that is not JSON and the endless answer, and 24 in the CSV


@pytest.fixture(scope="module")
def recipe(little: Path, work: Work) -> Path:
    """The little recipe with one row more, whose answer is endless, and a holdout that has a row to redact of the
    others, one whose answer is to be converted, and one whose answer cannot be.
    """
    copy = Path(shutil.copytree(little.parent, work.folder / "odd")) / little.name
    endless = json.dumps({**json.loads(answer("order")), "why": " ".join(f"reason {n}" for n in range(300))})
    with (copy.parent / "raw" / "desk.jsonl").open("a") as file:
        file.write(json.dumps(spoken("Where is the endless answer?", endless)) + "\n")
    with (copy.parent / "holdout.jsonl").open("a") as file:
        file.write(
            json.dumps(conversation("Money back, and write to jo.doe@example.com when it is sent.", "refund")) + "\n"
        )
        for said in ("{'intent': 'order'}", "It is on its way."):
            file.write(json.dumps(spoken(f"Where is the parcel of {len(said)} June?", said)) + "\n")
    return copy


@pytest.fixture(scope="module")
def curated(work: Work, recipe: Path, prefect_server: str) -> Ended:
    return work.run("curate", recipe, PREFECT_API_URL=prefect_server)


def files_told(out: str) -> dict[str, Path]:
    """The Parquet files that the command printed, by name."""
    return {path.stem: path for word in out.split() if (path := Path(word)).suffix == ".parquet"}


def test_curate_exits_with_0_prints_where_its_files_lie_and_trains_nothing(curated: Ended, work: Work) -> None:
    assert curated.code == 0, curated.err
    assert set(files_told(curated.out)) == {"curated", "ledger", "quarantine"}
    assert all(path.is_file() for path in files_told(curated.out).values())
    assert not work.made("train")
    assert curated.err == ""


def test_the_contract_takes_over_what_conflicts_and_decontaminate_have_answered(curated: Ended, work: Work) -> None:
    (made,) = work.made("check")
    assert json.loads((made / "told.json").read_text())["answered"] == ["conflicts_with", "leaked_from"]


@pytest.mark.usefixtures("prefect", "as_it_was")
def test_a_drafted_contract_is_all_that_standard_output_holds(
    work: Work,
    recipe: Path,
    curated: Ended,
    prefect_server: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings

    for name, value in {"ASSAY_HOME": str(work.home), "PREFECT_API_URL": prefect_server}.items():
        monkeypatch.setenv(name, value)
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: work.home / "results"}):
        assert main.main(["contract", "suggest", str(recipe)]) == 0
    told = capfd.readouterr()
    assert yaml.safe_load(told.out)["extends"] == "sft"
    assert "account" in told.err  # the run's progress


def test_expected_answers_are_brought_into_the_form_and_said_at_once_where_they_have_none(
    curated: Ended, work: Work
) -> None:
    (made,) = work.made("holdout_formatted")
    facts = json.loads((made / "facts.json").read_text())
    assert facts["counts"]["changed"] == {"answer rewritten": 1}
    assert "holdout: 1 of 16 expected answers break" in curated.out
    assert "not a JSON object" in curated.out
    assert curated.out.index("expected answers break") < curated.out.index("dedupe")


def test_every_raw_row_is_kept_dropped_or_quarantined_exactly_once(curated: Ended) -> None:
    told = {name: pl.read_parquet(path) for name, path in files_told(curated.out).items()}
    ends = told["ledger"].filter(pl.col("action") != "changed")
    count = dict(ends.group_by(pl.col("action").cast(pl.String)).len().iter_rows())
    assert ends["row_id"].n_unique() == ends.height == ROWS
    assert set(count) == {"kept", "dropped", "quarantined"}
    assert sorted(told["curated"]["row_id"]) == sorted(ends.filter(pl.col("action") == "kept")["row_id"])
    assert told["quarantine"].height == count["quarantined"]
    assert all(ends["reason"])
    assert (
        f"{ROWS} in: {count['kept']} kept, {count['dropped']} dropped, {count['quarantined']} quarantined"
        in curated.out
    )


def test_each_bad_row_ends_with_the_reason_a_person_expects(curated: Ended) -> None:
    ledger = pl.read_parquet(files_told(curated.out)["ledger"]).filter(pl.col("action") != "kept")
    told = {(step, reason) for step, reason in ledger.select("step", "reason").iter_rows()}
    assert told >= {
        ("ingest", "not JSON"),
        ("filter", "empty message"),
        ("format", "answer is not JSON"),
        ("format", "answer is cut off"),
        ("filter", "no assistant answer"),
        ("conflicts", "contradicts another row"),
        ("dedupe", "exact duplicate"),
    }


@pytest.fixture
def copy(little: Path, tmp_path: Path) -> Path:
    """The recipe with its data, free to be spoilt."""
    return Path(shutil.copytree(little.parent, tmp_path / "copy")) / little.name


@pytest.fixture
def ends_with(
    prefect: None,
    prefect_server: str,
    as_it_was: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    home: Path,
) -> Callable[..., str]:
    """Run the command in this process, expect an exit code, and give what it told; nothing may have come of the run."""
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)

    def end(code: int, *arguments: str) -> str:
        assert main.main(arguments) == code
        told = capsys.readouterr().err
        assert "to do:" in told
        assert "Traceback" not in told
        assert not (home / "artifacts" / "train").is_dir(), "it trained"
        assert not (home / "mlflow.db").exists(), "it registered"
        return told

    return end


def only(recipe: Path, *rows: dict[str, Any]) -> None:
    """Make these the recipe's only raw rows."""
    (recipe.parent / "raw" / "legacy.csv").unlink()
    write_lines(recipe.parent / "raw" / "desk.jsonl", list(rows))


def rewrite(recipe: Path, **keys: Any) -> None:
    recipe.write_text(yaml.safe_dump({**yaml.safe_load(recipe.read_text()), **keys}))


def test_an_empty_file_stops_the_run_and_is_named(copy: Path, ends_with: Callable[..., str]) -> None:
    (copy.parent / "raw" / "legacy.csv").write_bytes(b"")
    told = ends_with(1, "curate", str(copy))
    assert "empty" in told
    assert "legacy.csv" in told


def test_a_file_that_is_not_text_stops_the_run_and_is_named(copy: Path, ends_with: Callable[..., str]) -> None:
    (copy.parent / "raw" / "desk.jsonl").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40)
    told = ends_with(1, "curate", str(copy))
    assert "raw/desk.jsonl holds no line that is a JSON object." in told
    assert "check that it is the right file" in told


def test_when_no_row_is_left_the_step_and_its_reasons_are_told(copy: Path, ends_with: Callable[..., str]) -> None:
    only(copy, *(spoken(f"Where is parcel number {n}?", "We look.") for n in range(20)))
    told = ends_with(1, "curate", str(copy))
    assert "No row is left after format: 20 came in." in told
    assert "answer is not JSON 20" in told


def test_curate_needs_no_base_model_and_nothing_held_out(
    copy: Path, prefect: None, as_it_was: None, prefect_server: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    value = yaml.safe_load(copy.read_text())
    data = {"train": value["data"]["train"]}
    copy.write_text(yaml.safe_dump({**{k: v for k, v in value.items() if k != "base_model"}, "data": data}))
    assert main.main(["curate", str(copy)]) == 0
    assert list((home / "artifacts").glob("account*"))


def test_a_contract_on_the_number_of_rows_sends_nobody_to_rows_that_it_does_not_name(
    copy: Path, ends_with: Callable[..., str]
) -> None:
    (copy.parent / "contract.yaml").write_text(
        "expectations:\n- expect_table_row_count_to_be_between: {min_value: 5000}\n"
    )
    told = ends_with(3, "curate", str(copy))
    assert "failing_rows.csv" not in told
    assert "change it or say `severity: warn`" in told


def test_one_class_only_breaks_the_contract(copy: Path, ends_with: Callable[..., str]) -> None:
    only(copy, *(conversation(f"Where is the {thing}{n}?", "order") for n, thing in enumerate("abcdefghij" * 5)))
    told = ends_with(3, "curate", str(copy))
    assert "label" in told
    assert "nothing to tell apart" in told


def test_one_class_only_stops_the_run_where_the_contract_allows_it(copy: Path, ends_with: Callable[..., str]) -> None:
    only(copy, *(conversation(f"Where is the {thing}{n}?", "order") for n, thing in enumerate("abcdefghij" * 5)))
    (copy.parent / "contract.yaml").write_text(
        "expectations:\n- expect_table_row_count_to_be_between: {min_value: 1}\n"
    )
    told = ends_with(1, "curate", str(copy))
    assert "Only one class is left" in told


def test_a_broken_contract_exits_with_3_before_training_and_shows_the_expectation(
    copy: Path, ends_with: Callable[..., str]
) -> None:
    wanted = {
        "expect_column_values_to_be_in_set": {"column": "label", "value_set": ["order"]},
        "why": "Refunds are elsewhere.",
    }
    (copy.parent / "contract.yaml").write_text(yaml.safe_dump({"extends": "sft", "expectations": [wanted]}))
    told = ends_with(3, "run", str(copy))
    assert "Refunds are elsewhere." in told
    assert "label: values to be in set" in told
    assert "Money back for my" in told, "no example is shown"


def test_an_unknown_key_exits_with_2_and_names_the_nearest(
    copy: Path, ends_with: Callable[..., str], home: Path
) -> None:
    rewrite(copy, train={"epoch": 3})
    told = ends_with(2, "curate", str(copy))
    assert "epoch" in told
    assert "did you mean 'epochs'?" in told
    assert not list(home.iterdir())


def test_a_base_model_that_is_not_there_exits_with_2_before_any_row_is_read(
    copy: Path, ends_with: Callable[..., str], home: Path
) -> None:
    rewrite(copy, base_model={"source": "./no-such-model"})
    told = ends_with(2, "run", str(copy))
    assert "There is no usable base model at './no-such-model'." in told
    assert not (home / "artifacts").exists()


def test_a_gate_rule_for_a_slice_that_is_not_there_exits_with_2_before_training(
    copy: Path, ends_with: Callable[..., str]
) -> None:
    rewrite(copy, gate={"rules": [{"metric": "intent", "slice": "long", "at_least": 0.5}]})
    told = ends_with(2, "run", str(copy))
    assert "long" in told
    assert "allowed: edge_cases, holdout" in told


def test_an_answer_longer_than_the_models_context_is_held_back_for_a_person(curated: Ended) -> None:
    held = pl.read_parquet(files_told(curated.out)["quarantine"]).filter(
        pl.col("reason") == "longer than the model can hold"
    )
    assert "endless answer" in held["text"].item()


def test_a_training_row_that_differs_from_the_holdout_only_by_what_redact_took_out_is_a_leak(curated: Ended) -> None:
    ledger = pl.read_parquet(files_told(curated.out)["ledger"])
    assert ledger.filter(pl.col("reason") == "also in the holdout").height == 1


def test_a_home_that_stops_being_writable_is_told_with_what_to_do(
    copy: Path, ends_with: Callable[..., str], home: Path
) -> None:
    (home / "artifacts").write_text("in the way")
    told = ends_with(1, "curate", str(copy))
    assert "The home folder cannot be written" in told
    assert "set ASSAY_HOME" in told
