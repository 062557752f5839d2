"""A YAML file that a person edits is read strictly, and every refusal says where, what came and what may."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, field_validator

from tasks.core.errors import RecipeError
from tasks.core.settings import Settings
from tasks.core.text.strict_yaml import read_yaml


class Part(Settings):
    path: str
    format: Literal["auto", "alpaca", "sharegpt"] = "auto"


class Training(Settings):
    epochs: int = Field(default=3, ge=1, le=100)
    rate: float = 0.0
    names: tuple[str, ...] = ()

    @field_validator("names")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("a name stands twice")
        return value


class Sheet(Settings):
    name: str
    train: Training = Field(default_factory=Training)
    parts: tuple[Part, ...] = ()


def read(folder: Path, text: str) -> Sheet:
    file = folder / "sheet.yaml"
    file.write_text(text, encoding="utf-8")
    return read_yaml(file, Sheet)


def refused(folder: Path, text: str) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        read(folder, text)
    return caught.value


def test_a_right_file_is_read_with_lists_as_tuples_and_whole_numbers_as_floats(tmp_path: Path) -> None:
    sheet = read(tmp_path, "name: x\ntrain: {rate: 1, names: [a, b]}\nparts:\n  - path: p\n")
    assert sheet == Sheet(name="x", train=Training(rate=1.0, names=("a", "b")), parts=(Part(path="p"),))


def test_an_unknown_key_is_told_with_its_line_the_nearest_key_and_all_keys(tmp_path: Path) -> None:
    error = refused(tmp_path, "name: x\ntrain:\n  rate: 0.1\n  epocs: 3\n")
    assert "train.epocs" in error.what
    assert error.where.endswith("sheet.yaml, line 4")
    assert error.allowed == "epochs, rate, names"
    assert error.todo == "did you mean 'epochs'?"


def test_an_unknown_key_inside_a_list_is_told_with_its_number_and_line(tmp_path: Path) -> None:
    error = refused(tmp_path, "name: x\nparts:\n  - path: p\n  - path: q\n    fromat: alpaca\n")
    assert "parts[1].fromat" in error.what
    assert error.where.endswith("line 5")
    assert error.todo == "did you mean 'format'?"


def test_a_missing_key_is_named_at_the_line_where_it_belongs(tmp_path: Path) -> None:
    error = refused(tmp_path, "name: x\nparts:\n  - format: auto\n")
    assert "parts[0].path: missing" in error.what
    assert error.where.endswith("line 3")


def test_a_value_outside_its_choices_is_told_with_all_of_them_and_the_nearest(tmp_path: Path) -> None:
    error = refused(tmp_path, "name: x\nparts:\n  - {path: p, format: alpacca}\n")
    assert 'got "alpacca"' in error.what
    assert error.allowed == "auto, alpaca, sharegpt"
    assert error.todo == "did you mean 'alpaca'?"


@pytest.mark.parametrize(
    ("value", "allowed"),
    [("true", "integer"), ('"3"', "integer"), ("0", "greater than or equal to 1"), ("[1]", "integer"), ("", "integer")],
)
def test_nothing_is_coerced(tmp_path: Path, value: str, allowed: str) -> None:
    error = refused(tmp_path, f"name: x\ntrain:\n  epochs: {value}\n")
    assert error.what.startswith("The recipe has a mistake: train.epochs: got ")
    assert error.where.endswith("line 3")
    assert allowed in error.allowed


def test_a_settings_class_tells_its_own_check_in_its_own_words(tmp_path: Path) -> None:
    assert "train.names: a name stands twice" in refused(tmp_path, "name: x\ntrain: {names: [a, a]}\n").what


def test_a_key_that_stands_twice_is_refused_at_any_depth(tmp_path: Path) -> None:
    error = refused(tmp_path, "name: x\ntrain:\n  epochs: 1\n  rate: 0.1\n  epochs: 2\n")
    assert "train.epochs: stands twice, first on line 3" in error.what
    assert error.where.endswith("line 5")


def test_all_mistakes_are_told_at_once_in_the_order_of_their_lines(tmp_path: Path) -> None:
    what = refused(tmp_path, "nam: x\ntrain: {epochs: 0}\n").what
    assert "3 mistakes" in what
    assert what.index("line 1: nam") < what.index("line 2: train.epochs")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("name: x\ntrain: {epochs: 1\n", "line 3"),
        ("name: x\n\ttrain: 1\n", "line 2"),
        ("name: a: b\n", "line 1, column 8"),
    ],
)
def test_a_slip_of_syntax_is_told_with_line_and_column(tmp_path: Path, text: str, place: str) -> None:
    error = refused(tmp_path, text)
    assert "not valid YAML" in error.what
    assert place in error.where


@pytest.mark.parametrize("text", ["", "# only a comment\n", "just words\n", "- a\n- b\n"])
def test_a_file_without_keys_is_refused(tmp_path: Path, text: str) -> None:
    assert "holds no keys" in refused(tmp_path, text).what


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "sheet.yaml"
    file.write_bytes(b"\xff\xfe\x00name: x")
    with pytest.raises(RecipeError, match="cannot be read"):
        read_yaml(file, Sheet)


def test_a_tag_that_would_make_an_object_is_refused(tmp_path: Path) -> None:
    assert "not valid YAML" in refused(tmp_path, "name: !!python/object/apply:os.getcwd []\n").what


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    )
)
def test_whatever_a_file_holds_it_is_read_or_refused_and_never_crashes(tmp_path_factory: Any, value: Any) -> None:
    import yaml

    folder = tmp_path_factory.getbasetemp()
    with contextlib.suppress(RecipeError):
        read(folder, yaml.safe_dump({"name": "x", "train": value}, allow_unicode=True))
