"""The page of settings is whole, each default has its reason, and docs/SETTINGS.md is that page."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.cli import main
from flows.cli.settings_page import all_settings, settings_page
from flows.overrides import assigned
from flows.recipe import Recipe, load_recipe

PAGE = Path(__file__).parents[3] / "docs" / "SETTINGS.md"


def test_the_file_in_the_docs_is_what_the_command_prints() -> None:
    assert PAGE.read_text(encoding="utf-8") == settings_page(), "write it anew: assay settings > docs/SETTINGS.md"


def test_every_setting_has_a_reason() -> None:
    assert [one.key for one in all_settings() if not one.reason] == []


def test_every_section_and_what_lies_in_lists_and_below_others_is_there() -> None:
    keys = [one.key for one in all_settings()]
    assert len(set(keys)) == len(keys)
    assert [line[3:] for line in settings_page().splitlines() if line.startswith("## ")] == list(Recipe.model_fields)
    assert {"train.weights.rank", "gate.rules.0.at_least", "data.train.0.path", "dedupe.semantic.model"} <= set(keys)


def test_a_key_of_the_page_can_be_set_as_it_stands_there() -> None:
    plan = load_recipe("support_triage", assigned(["train.weights.rank=4", "gate.not_worse_than_champion=null"]))
    assert plan.train.weights.rank == 4  # type: ignore[attr-defined]
    assert plan.gate.not_worse_than_champion is None


def test_a_line_says_default_what_is_allowed_and_why() -> None:
    assert (
        "- **`evaluate.few_shot`**, default `4`; whole number, at least 0, at most 64. Examples from the training rows"
    ) in settings_page("evaluate")


def test_one_section_is_told_alone_and_a_wrong_one_is_told_what_there_is(
    as_it_was: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["settings", "split"]) == 0
    assert capsys.readouterr().out.startswith("## split\n")
    assert main.main(["settings", "splitt"]) == 2
    assert "did you mean 'split'?" in capsys.readouterr().err
