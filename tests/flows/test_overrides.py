"""What is set in a recipe stands in its text as if it had been written there, and all else in the text is as it was."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.overrides import assigned, overridden
from flows.recipe import load_recipe
from flows.recipes import installed_recipes
from tasks.core.errors import RecipeError

EPOCHS, RATE, ROWS = ("train", "epochs"), ("train", "learning_rate"), ("select", "rows")
EXAMPLE = installed_recipes()["support_triage"]
TEXT = EXAMPLE.read_text()


def nodes(node: yaml.Node, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], yaml.Node]:
    """Every value below `node` by its path."""
    inner: list[tuple[str, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        inner = [(key.value, child) for key, child in node.value]
    if isinstance(node, yaml.SequenceNode):
        inner = [(str(i), child) for i, child in enumerate(node.value)]
    found = {(*path, name): child for name, child in inner}
    return found | {at: one for name, child in inner for at, one in nodes(child, (*path, name)).items()}


THERE = nodes(yaml.compose(TEXT, Loader=yaml.SafeLoader))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
ODD = ["yes", "on", "012", "1e5", "0x1F", "12:30:45", "2024-01-01", "~", "=", "<<", "- a", "# b", "a: b", "a?b", "\x85"]
VALUES = st.recursive(
    SCALARS | st.sampled_from(ODD),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def put(value: Any, path: tuple[str, ...], new: Any) -> Any:
    """A plain recipe with one key set, the way that takes no library."""
    if not path:
        return new
    if isinstance(value, list):
        return [put(one, path[1:], new) if i == int(path[0]) else one for i, one in enumerate(value)]
    there = value if isinstance(value, dict) else {}
    return {**there, path[0]: put(there.get(path[0]), path[1:], new)}


def lines_of(path: tuple[str, ...]) -> tuple[int, int]:
    """From and to which line of TEXT a key reaches; of one in brackets, where they do: what is in
    them is folded anew.
    """
    above = [THERE[path[:depth]] for depth in range(1, len(path) + 1)]
    node = next((one for one in above if isinstance(one, yaml.CollectionNode) and one.flow_style), above[-1])
    below_its_key = isinstance(node, yaml.CollectionNode) and not node.flow_style
    return node.start_mark.line - below_its_key, node.end_mark.line + (node.end_mark.column > 0)


@settings(max_examples=40)
@given(path=st.sampled_from(sorted(THERE)), value=VALUES)
def test_any_key_can_be_set_to_anything_and_no_other_line_changes(path: tuple[str, ...], value: Any) -> None:
    new = overridden(TEXT, {path: value})
    assert yaml.safe_load(new) == put(yaml.safe_load(TEXT), path, value)
    (first, last), before, after = lines_of(path), TEXT.split("\n"), new.split("\n")
    assert after[:first] == before[:first]
    assert after[len(after) - len(before[last:]) :] == before[last:]
    if not (
        isinstance(THERE[path], yaml.CollectionNode) and not THERE[path].flow_style
    ):  # whose own comments go with it
        assert [comment for comment in re.findall("# .*", TEXT) if comment not in new] == []


@settings(max_examples=20)
@given(path=st.lists(st.sampled_from(["train", "watch", "x", "a b", "é", "a.b", "on", "1"]), min_size=1), value=VALUES)
def test_sections_that_are_missing_are_made_however_deep(path: list[str], value: Any) -> None:
    deep = ("format", "values", *path)
    new = overridden(TEXT, {deep: value})
    assert yaml.safe_load(new) == put(yaml.safe_load(TEXT), deep, value)
    assert [comment for comment in re.findall("# .*", TEXT) if comment not in new] == []


SET: dict[tuple[str, ...], Any] = {
    ("kind",): "classification",
    ("contract",): "classification",
    ("prompt", "system"): 'Say "yes":\nor no # ever',
    ("answer", "graded"): ["intent"],
    ("gate", "rules", "1", "at_least"): 0.9,
    ("register", "keep_rows"): False,
    ("redact", "names"): ["Zoë Müller", "on"],
    ("filter", "actions", "echo"): "off",
    RATE: 1e-05,
    ("format", "values", "intent", "sign_in"): "account_access",
    ("base_model", "revision"): "012",
}


@pytest.mark.parametrize("path", SET)
def test_the_model_that_is_read_differs_in_that_key_alone(path: tuple[str, ...]) -> None:
    also = {("contract",): "classification", ("kind",): "classification"} if path in (("kind",), ("contract",)) else {}
    plan, plain = load_recipe("support_triage", {path: SET[path], **also}), load_recipe("support_triage")
    expected = plain.model_dump(mode="json")
    for one, value in {path: SET[path], **also}.items():
        expected = put(expected, one, value)
    assert plan.model_dump(mode="json") == expected
    assert [line for line in TEXT.splitlines() if line.startswith("#")] == [
        line for line in plan.text.splitlines() if line.startswith("#")
    ]


def test_nothing_set_is_the_same_text() -> None:
    assert overridden(TEXT, {}) == TEXT
    assert load_recipe("support_triage", {}).text == TEXT


@pytest.mark.parametrize(
    "text",
    [
        "name: a\ntrain:\n  epochs: 5   # five\n  seed: 3\n",
        "name: a\ntrain:\n  seed: 3\nselect: {}\n",
        "name: a\ntrain: {seed: 3}",
        "name: a\ntrain: {}\nselect: {rows: 9, cover: 1}",
        "name: a",
        "name: a\ntrain:\n      epochs: 4",
    ],
)
def test_only_what_was_asked_changes(text: str) -> None:
    before = yaml.safe_load(text)
    after = yaml.safe_load(overridden(text, {EPOCHS: 2, ROWS: 50}))
    expected = {**before, "train": {**before.get("train", {}), "epochs": 2}}
    assert after == {**expected, "select": {**before.get("select", {}), "rows": 50}}


def test_comments_stay_and_stay_where_they_are() -> None:
    changed = overridden(TEXT, {RATE: 0.001})
    differing = [pair for pair in zip(TEXT.splitlines(), changed.splitlines(), strict=True) if pair[0] != pair[1]]
    assert differing == [
        (
            "  learning_rate: 0.0025         # twice the default: short runs bear more",
            "  learning_rate: 0.001          # twice the default: short runs bear more",
        )
    ]


@pytest.mark.parametrize(
    ("before", "path", "value", "after"),
    [
        ("a:\n  b: 5\n\n# of c\nc: 1\n", "a", {"d": 3}, "a: {d: 3}\n\n# of c\nc: 1\n"),
        ("a:\n    # why\n    b: 5\n# c\nc: 1", "a.d", 3, "a:\n    # why\n    d: 3\n    b: 5\n# c\nc: 1"),
        (
            "a:\n    - x   # 1\n    - y\n# b\nb: [1,\n  2]\n",
            "a.1",
            "z",
            "a:\n    - x   # 1\n    - z\n# b\nb: [1,\n  2]\n",
        ),
        ("a: |\n  # text\n  b\n\n# c\nc: 'x'\n", "a", "n", "a: n\n\n# c\nc: 'x'\n"),
        ("a: |  # why\n  b\n\n# c\nc: 1\n", "a", [1], "a: [1]  # why\n\n# c\nc: 1\n"),
        ("---\na: 0x1F\nb: yes\nc: 2.50\n...\n", "b", "on", "---\na: 0x1F\nb: 'on'\nc: 2.50\n...\n"),
        ("a: {b: 1}\n", "a.c", "d?e", "a: {c: 'd?e', b: 1}\n"),
        ("{name: a}\n", "train.epochs", 2, "{name: a, train: {epochs: 2}}\n"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n  d: 2\n", "c.d", 3, "a: &x {b: 1}\nc:\n  <<: *x\n  d: 3\n"),
    ],
)
def test_the_layout_is_the_writers(before: str, path: str, value: Any, after: str) -> None:
    assert overridden(before, {tuple(path.split(".")): value}) == after


def test_a_value_that_two_keys_share_is_not_set_for_both() -> None:
    with pytest.raises(RecipeError, match=r"c\.b cannot be set: it shares its value"):
        overridden("a: &x {b: 1}\nc: *x\n", {("c", "b"): 2})


def test_what_is_typed_is_read_as_yaml() -> None:
    typed = ["train.epochs=2", "prompt.system= a = b ", "redact.names=[Bo Berg, Ann]", "a.b=false", "watch={a: 1}"]
    read = [2, "a = b", ["Bo Berg", "Ann"], False, {"a": 1}]
    assert json.dumps([*assigned(typed).values()]) == json.dumps(read)
    assert next(iter(assigned(typed))) == EPOCHS


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["train.epochs"], "'train.epochs' is no KEY=VALUE"),
        (["=2"], "is no KEY=VALUE"),
        (["train..a=2"], "is no KEY=VALUE"),
        (["a=["], "'a=[' has a value that is not YAML"),
        (["a=1", "a=2"], "'a=2' sets a key a second time"),
        (["a=2024-13-45"], "has a value that is not YAML"),
    ],
)
def test_what_is_mistyped_is_told(typed: list[str], told: str) -> None:
    with pytest.raises(RecipeError) as caught:
        assigned(typed)
    assert told in caught.value.what
    assert caught.value.todo


@pytest.mark.parametrize(
    ("typed", "what", "allowed", "todo"),
    [
        ("train.epocs=2", "train.epocs: no such key", "epochs, batch_rows", "did you mean 'epochs'?"),
        ("trian.epochs=2", "trian: no such key", "train, evaluate", "did you mean 'train'?"),
        ("train.epochs=lots", 'train.epochs: got "lots"', "integer", ""),
        ("name.x=1", 'name: got {"x": 1}', "string", ""),
        ("gate.rules.4.at_least=0.9", "gate.rules has no item '4'", "0 to 3", "gate.rules=[...]"),
        ("gate.rules.1.metric=exct", "gate.rules[1].metric: 'exct' is no metric", "schema_valid", "'exact'?"),
    ],
)
def test_a_key_or_a_value_that_cannot_be_is_told_with_what_is_allowed(
    typed: str, what: str, allowed: str, todo: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("support_triage", assigned([typed]))
    error = caught.value
    assert what in error.what
    assert f"once {typed} is set" in error.where
    assert allowed in error.allowed
    assert todo in error.todo


def test_a_recipe_with_overrides_is_the_recipe_of_its_own_text(tmp_path: Path) -> None:
    plan = load_recipe("support_triage", {EPOCHS: 1, ROWS: 60, RATE: 1e-05, ("train", "seed"): 11})
    assert (plan.train.epochs, plan.select.rows, plan.train.learning_rate, plan.train.seed) == (1, 60, 1e-05, 11)
    (tmp_path / "recipe.yaml").write_text(plan.text)
    (tmp_path / "raw").symlink_to(plan.folder / "raw")
    assert load_recipe(str(tmp_path)).model_dump() == plan.model_dump()


def test_a_value_that_the_recipe_would_refuse_is_refused_from_the_form_too() -> None:
    with pytest.raises(RecipeError, match=r"train\.epochs: got 900"):
        load_recipe("support_triage", {EPOCHS: 900})
