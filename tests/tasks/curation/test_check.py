"""The check step: a broken block stops with rows named, a warning does not, and the same rows give the same bytes."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_contracts.contract import Contract, read_contract
from data_contracts.vocabulary import COLUMNS
from tasks.contract.facts import row_facts
from tasks.contract.known_answers import HeldoutRows, RelationInputs
from tasks.contract.measure import FactSources, columns_spoken_of, facts_for
from tasks.core.errors import ContractError, RecipeError
from tasks.core.handle import Handle
from tasks.core.home import digest_path, home
from tasks.core.process.progress import Progress
from tasks.core.row import ROW_SCHEMA
from tasks.core.row_kind import CLASSIFICATION, KINDS, PREFERENCE, SFT
from tasks.core.step import work_step
from tasks.core.work import StepDirs, StepResult
from tasks.curation.check import CheckSettings, TokenInputs, check
from tasks.metrics.answer_schema import AnswerSettings
from tasks.model.chat_template import PromptSettings, encode
from tasks.personal_data.finders import PersonalData
from tests.support.tiny_model import tiny_model

ANSWER = AnswerSettings(
    label="intent",
    graded=("intent", "urgency"),
    json_schema={
        "type": "object",
        "required": ["intent", "urgency"],
        "additionalProperties": False,
        "properties": {"intent": {"enum": ["order_status", "other"]}, "urgency": {"enum": ["low", "high"]}},
    },
)
GOOD = '{"intent": "order_status", "urgency": "low"}'
OTHER = '{"intent": "other", "urgency": "low"}'
APART = ("Who are you, and what can you do?", OTHER)


def dataset(pairs: list[tuple[str, str]]) -> pl.DataFrame:
    rows = [
        {
            "row_id": f"{n:064x}",
            "source": "raw/mail.jsonl",
            "line": n + 1,
            "meta": "{}",
            "messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}],
        }
        for n, (prompt, answer) in enumerate(pairs)
    ]
    return pl.DataFrame(rows, schema=ROW_SCHEMA)


def clean(count: int = 24) -> list[tuple[str, str]]:
    return [(f"Where is order number {n}?", OTHER if n % 3 == 0 else GOOD) for n in range(count)]


def stored(frame: pl.DataFrame, name: str = "rows") -> Handle:
    folder = home() / "artifacts" / "dedupe" / name
    folder.mkdir(parents=True)
    frame.write_parquet(folder / "rows.parquet")
    return Handle.of(folder, step="dedupe", kind="rows", digest=digest_path(folder), rows=frame.height)


def given(**more: Any) -> FactSources:
    return FactSources(ANSWER, SFT, PromptSettings(), **more)


def heldout(holdout: Handle | None, edge_cases: Handle | None = None) -> RelationInputs:
    return RelationInputs(heldout=HeldoutRows(holdout, edge_cases))


def contract(*lines: str, place: Path) -> Contract:
    (place / "mine.yaml").write_text("expectations:\n" + "".join(f"  - {line}\n" for line in lines))
    return read_contract("mine.yaml", place)


def checked(
    frame: pl.DataFrame, rules: Contract, out: Path, answer: AnswerSettings = ANSWER, **inputs: Any
) -> tuple[StepResult, dict[str, Any]]:
    out.mkdir()
    place, rows = StepDirs(out, out, Progress("check")), stored(frame, out.name)
    if "leaked_from" in columns_spoken_of(rules):
        inputs = {"relations": heldout(stored(dataset([APART]), f"{out.name}-apart"))} | inputs
    made = check(place, CheckSettings(), contract=rules, rows=rows, answer=answer, **inputs)
    return made, json.loads((out / "great_expectations.json").read_text())


def test_clean_rows_pass_the_default_contract(tmp_path: Path) -> None:
    made, result = checked(dataset(clean()), read_contract("sft"), tmp_path / "out")
    assert made.facts["passed"]
    assert made.facts["warnings"] == 0
    assert made.kind == "contract"
    assert [r["success"] for r in result["results"]] == [True] * len(made.facts["expectations"])


@pytest.mark.parametrize(
    ("row", "rule", "text"),
    [
        (("Where is it?", ""), "answer_chars", "Where is it?"),
        (("Where is it?", "On its way."), "answer_problem", "not one JSON object"),
        (("Is it late?", '{"intent": "late", "urgency": "low"}'), "answer_problem", "intent: 'late' is not one of"),
        (("My card is 4111 1111 1111 1111.", GOOD), "has_card", "My card is [card]."),
    ],
)
def test_a_row_that_breaks_a_block_stops_the_flow_and_is_named(
    tmp_path: Path, row: tuple[str, str], rule: str, text: str
) -> None:
    with pytest.raises(ContractError) as caught:
        checked(dataset([*clean(), row]), read_contract("sft"), tmp_path / "out")
    told = str(caught.value)
    assert caught.value.exit_code == 3
    assert f"{rule}: values to be" in told
    assert "1 of 25 rows (4.0%)" in told
    assert "row 000000000000  raw/mail.jsonl:25  " in told
    assert text in told
    assert "data_contracts/sft.yaml" in caught.value.todo


def test_what_was_found_is_kept_when_it_stops_the_flow(tmp_path: Path) -> None:
    broken = dataset([*clean(), *[(f"What about {n}?", "no") for n in range(7)]])
    with pytest.raises(ContractError) as caught:
        checked(broken, read_contract("sft"), tmp_path / "out")
    kept = Path(caught.value.where)
    facts = json.loads((kept / "facts.json").read_text())
    (finding,) = [f for f in facts["expectations"] if not f["success"]]
    assert kept.parent == home() / "contracts"
    assert not facts["passed"]
    assert (finding["failed"], finding["checked"], len(finding["examples"])) == (7, 31, 5)
    assert not json.loads((kept / "great_expectations.json").read_text())["success"]
    assert pl.read_csv(kept / "failing_rows.csv")["line"].to_list() == list(range(25, 32))


def test_a_warning_is_told_and_stops_nothing(tmp_path: Path) -> None:
    twice = dataset([*clean(), ("where is  order NUMBER 3?", OTHER)])
    made, _ = checked(twice, read_contract("sft"), tmp_path / "out")
    (finding,) = [f for f in made.facts["expectations"] if not f["success"]]
    assert made.facts["passed"]
    assert made.facts["warnings"] == 1
    assert made.line == "sft: 11 of 12 expectations hold on 25 rows, 1 warning"
    assert finding["rule"] == "prompt_key: values to be unique"
    assert [e["where"] for e in finding["examples"]] == ["raw/mail.jsonl:4", "raw/mail.jsonl:25"]
    assert made.table[0]["result"] == "warning"


def test_too_few_rows_and_one_class_only_are_told_by_what_was_observed(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"row count to be between \(min_value 10\): observed 4") as caught:
        checked(dataset([(f"Where is {n}?", GOOD) for n in range(4)]), read_contract("sft"), tmp_path / "out")
    assert "label: unique value count to be between (min_value 2): observed 1" in str(caught.value)


def test_an_expectation_of_our_own_works_from_yaml(tmp_path: Path) -> None:
    rule = "expect_column_values_to_be_balanced: {column: label, min_rows: 8, max_share: %s, value_set: [other, late]}"
    rules = contract(f"{{{rule % 0.5}, severity: warn}}", f"{{{rule % 0.7}, severity: warn}}", place=tmp_path)
    made, _ = checked(dataset(clean()), rules, tmp_path / "out")
    assert [f["observed"] for f in made.facts["expectations"]] == ['{"late": 0, "order_status": 16}', '{"late": 0}']


def test_a_balanced_column_tells_its_rarest_and_commonest_value(tmp_path: Path) -> None:
    rule = "expect_column_values_to_be_balanced: {column: label, min_rows: 8, max_share: 0.7}"
    made, _ = checked(dataset(clean()), contract(rule, place=tmp_path), tmp_path / "out")
    (finding,) = made.facts["expectations"]
    assert (finding["success"], finding["observed"]) == (True, '{"other": 8, "order_status": 16}')


def test_expectations_over_pairs_tables_and_conditions_work_by_name(tmp_path: Path) -> None:
    rules = contract(
        "expect_column_pair_values_a_to_be_greater_than_b: {column_A: answer_chars, column_B: answer_words}",
        "expect_table_columns_to_match_set: {column_set: [row_id, field_urgency], exact_match: false}",
        "expect_column_values_to_be_between: {column: turns, min_value: 1, max_value: 1, "
        "row_condition: 'label==\"other\"', condition_parser: pandas}",
        "expect_column_values_to_be_in_set: {column: field_urgency, value_set: [low]}",
        "expect_column_values_to_be_json_parseable: {column: label, mostly: 0.0}",
        place=tmp_path,
    )
    made, _ = checked(dataset(clean()), rules, tmp_path / "out")
    assert [f["checked"] for f in made.facts["expectations"]] == [24, 24, 8, 24, 24]


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("expect_column_values_to_be_unique: {column: field_colour}", "'field_colour'"),
        ("expect_table_row_count_to_be_between: {min_value: many}", "min_value"),
        ("expect_column_values_to_be_json_parseable: {colum: label}", "colum"),
        ("expect_column_mean_to_be_between: {column: label, min_value: 1}", "cannot evaluate label: mean"),
    ],
)
def test_what_only_the_data_can_show_to_be_wrong_is_a_fault_of_the_contract(
    tmp_path: Path, rule: str, told: str
) -> None:
    with pytest.raises(RecipeError, match=told) as caught:
        checked(dataset(clean()), contract(rule, place=tmp_path), tmp_path / "out")
    assert "mine.yaml" in caught.value.where


def test_the_same_rows_in_any_order_give_the_same_bytes(tmp_path: Path) -> None:
    pairs = [*clean(), ("Where is order number 1?", GOOD), ("<p>Hello</p>", OTHER)]
    frame = dataset(pairs)
    mixed = frame[random.Random(7).sample(range(frame.height), frame.height)]
    made = [checked(f, read_contract("sft"), tmp_path / name)[0] for f, name in ((frame, "one"), (mixed, "two"))]
    assert digest_path(tmp_path / "one") == digest_path(tmp_path / "two")
    assert made[0].facts == made[1].facts
    assert made[0].facts["warnings"] == 2


def test_no_address_or_card_number_is_written_down(tmp_path: Path) -> None:
    secrets = ("anna@example.org", "4111-1111-1111-1111", "+44 20 7946 0958", "GB82 WEST 1234 5698 7654 32")
    frame = dataset([*clean(), *[(f"Hello {s}", OTHER) for s in secrets * 2], ("hello anna@EXAMPLE.org", secrets[0])])
    with pytest.raises(ContractError) as caught:
        checked(frame, read_contract("sft"), tmp_path / "out")
    written = str(caught.value) + "".join(f.read_text() for f in Path(caught.value.where).iterdir())
    assert {"[email]", "[iban]", "[card]", "[phone]"} <= set(re.findall(r"\[\w+\]", written))
    assert "email, iban" not in written
    assert "personal_data iban" in written
    assert [s for s in (*secrets, "EXAMPLE.org") if s.lower() in written.lower()] == []


def test_personal_data_is_what_the_recipe_s_redact_was_told_to_find(tmp_path: Path) -> None:
    rules = contract("expect_personal_data_rate_to_be_at_most: {max_rate: 0, kinds: [phone]}", place=tmp_path)
    rows = dataset([*clean(), ("Call me at 212-736-5000", OTHER)])
    checked(rows, rules, tmp_path / "gb")
    with pytest.raises(ContractError, match=r"personal_data phone \| Call me at \[phone\]"):
        checked(rows, rules, tmp_path / "us", personal=PersonalData(phone_regions=("US",)))


def test_addresses_and_cards_are_those_that_redact_takes_out() -> None:
    mails = ["jo@example.com", "jo (at) example (dot) com", "logo@2x.png"]
    said = [*mails, "4111\u00a01111\u00a01111\u00a01111", "4111 1111 1111 1112"]
    facts = row_facts(dataset([(text, GOOD) for text in said]), ANSWER, {"has_email", "has_card"})
    assert facts["has_email"].to_list() == [True, True, False, False, False]
    assert facts["has_card"].to_list() == [False, False, False, True, False]


def test_row_facts_say_what_the_vocabulary_promises() -> None:
    texts = [
        ("  Wo  ist\nmeine <b>Bestellung</b>?", GOOD),
        ("Order 1234 5678 9012 3456 &amp; more", "[1]"),
        ("a < b > c\x07", '{"intent": null}'),
    ]
    facts = row_facts(dataset(texts), ANSWER)
    assert facts.columns == [*COLUMNS, "field_intent", "field_urgency"]
    assert facts["prompt_key"][0] == "wo ist meine <b>bestellung</b>?"
    assert facts["prompt_words"].to_list() == [4, 7, 5]
    assert facts["has_html"].to_list() == [True, True, False]
    assert facts["has_card"].to_list() == [False, False, False]
    assert facts["has_email"].to_list() == [False, False, False]
    assert facts["has_control_chars"].to_list() == [False, False, True]
    assert facts["answer_is_json"].to_list() == [True, False, True]
    assert facts["answer_keeps_schema"].to_list() == [True, False, False]
    assert facts["label"].to_list() == ["order_status", None, None]
    assert facts["turns"].to_list() == [1, 1, 1]


def test_of_a_conversation_the_question_is_all_that_goes_before_the_final_answer() -> None:
    talk = [("system", "Be kind."), ("user", "Hi"), ("assistant", "Hello!"), ("user", "Where?"), ("assistant", "Here.")]
    messages = [{"role": role, "content": content} for role, content in talk]
    row = {"row_id": "a", "source": "s", "line": 1, "messages": messages, "meta": "{}"}
    facts = row_facts(pl.DataFrame([row], schema=ROW_SCHEMA), AnswerSettings())
    (got,) = facts.select("prompt_words", "prompt_key", "answer_chars", "turns").rows()
    assert got == (3, "be kind. hi hello! where?", 5, 2)


def test_a_row_without_an_answer_has_an_empty_one() -> None:
    frame = dataset([("Hi", GOOD)]).with_columns(messages=pl.col("messages").list.head(1))
    empty = dataset([("Hi", GOOD)]).with_columns(messages=pl.col("messages").list.head(0))
    for rows, words in ((frame, 1), (empty, 0)):
        facts = row_facts(rows, AnswerSettings())
        assert facts.select("prompt_words", "answer_chars", "turns", "label").rows() == [(words, 0, 0, "")]


def test_only_what_the_contract_speaks_of_is_computed(tmp_path: Path) -> None:
    rows = dataset(clean())
    facts = facts_for(
        contract("expect_column_values_to_be_unique: {column: prompt_key}", place=tmp_path), rows, given()
    )
    assert facts.columns == ["row_id", "prompt_key"]
    rules = contract(
        "expect_conflict_rate_to_be_at_most: {max_rate: 0}",
        "expect_column_values_to_be_in_set: {column: label, value_set: [other]}",
        place=tmp_path,
    )
    assert facts_for(rules, rows, given()).columns == ["row_id", "label", "conflicts_with"]


def test_the_contract_must_be_one_for_the_dataset_s_kind(tmp_path: Path) -> None:
    for kind, name in (("sft", "preference"), ("preference", "classification"), ("classification", "sft")):
        with pytest.raises(RecipeError, match=f"The recipe's kind is {kind}, and its contract {name} is for {name}"):
            checked(dataset(clean()), read_contract(name), tmp_path / name, kind=KINDS[kind])


PAIR = AnswerSettings()


def pairs(told: list[tuple[str, str, str]]) -> pl.DataFrame:
    return dataset([(prompt, chosen) for prompt, chosen, _ in told]).with_columns(
        rejected=pl.Series([r for *_, r in told])
    )


GOOD_PAIRS = [(f"Tell me of topic number {n}", f"A full answer on {n}.", f"No {n}.") for n in range(20)]


@pytest.mark.parametrize(
    ("pair", "rule"),
    [
        (("Say something", "Yes.", " yes. "), "same_answers"),
        (("Say something", "", "No."), "answer_chars"),
        (("Say something", "Yes.", ""), "rejected_chars"),
        (("Say something", "Yes.", "4111 1111 1111 1111"), "has_card"),
    ],
)
def test_a_broken_preference_pair_stops_the_flow(tmp_path: Path, pair: tuple[str, str, str], rule: str) -> None:
    kind = PREFERENCE
    checked(pairs(GOOD_PAIRS), read_contract("preference"), tmp_path / "good", PAIR, kind=kind)
    with pytest.raises(ContractError, match=f"1. {rule}: ") as caught:
        checked(pairs([*GOOD_PAIRS, pair]), read_contract("preference"), tmp_path / "bad", PAIR, kind=kind)
    assert "raw/mail.jsonl:21" in str(caught.value)


def test_preferences_that_contradict_each_other_are_warned_of_with_both_rows(tmp_path: Path) -> None:
    one, other = ("What is best?", "Tea, by far.", "Only coffee."), ("what is best? ", "Only coffee.", "tea, by far.")
    made, _ = checked(
        pairs([*GOOD_PAIRS, one, other]), read_contract("preference"), tmp_path / "out", PAIR, kind=PREFERENCE
    )
    (finding,) = [f for f in made.facts["expectations"] if not f["success"]]
    assert finding["rule"] == "conflict rate to be at most (max_rate 0.01)"
    assert [e["where"] for e in finding["examples"]] == ["raw/mail.jsonl:21", "raw/mail.jsonl:22"]
    assert finding["examples"][0]["text"].startswith("conflicts_with 000000000000 | What is best?")


def test_labelled_texts_are_warned_of_for_what_labels_can_be_wrong_in(tmp_path: Path) -> None:
    texts = [
        (f"Message number {n} about {'money' if n % 2 else 'lunch'}", "spam" if n % 2 else "ham") for n in range(60)
    ]
    kind = CLASSIFICATION
    made, _ = checked(dataset(texts), read_contract("classification"), tmp_path / "good", PAIR, kind=kind)
    assert (made.facts["passed"], made.facts["warnings"]) == (True, 0)
    dirty = [*texts, ("Message number 3 about money!", "ham"), ("Rare", "eggs")]
    dirty += [(f"message  number {n} about money", "spam") for n in (5, 7)]
    made, _ = checked(dataset(dirty), read_contract("classification"), tmp_path / "dirty", PAIR, kind=kind)
    broken = {f["name"]: f["failed"] or f["observed"] for f in made.facts["expectations"] if not f["success"]}
    assert broken == {
        "expect_conflict_rate_to_be_at_most": 2,
        "expect_duplicate_rate_to_be_at_most": 2,
        "expect_column_values_to_be_balanced": '{"eggs": 1}',
    }


def test_a_row_of_the_holdout_or_the_edge_cases_is_a_leak(tmp_path: Path) -> None:
    rules = contract("expect_leakage_rate_to_be_at_most: {max_rate: 0}", place=tmp_path)
    apart = stored(dataset([("Who are you, and what can you do?", OTHER)]), "apart")
    seen = stored(dataset([("WHERE is order  number 7?", GOOD)]), "seen")
    made, _ = checked(dataset(clean()), rules, tmp_path / "clean", relations=heldout(apart))
    assert made.facts["passed"]
    for name, relations in (("one", heldout(seen)), ("two", heldout(apart, seen))):
        with pytest.raises(ContractError, match=r"leakage rate.*: 1 of 24 rows") as caught:
            checked(dataset(clean()), rules, tmp_path / name, relations=relations)
        assert "raw/mail.jsonl:8" in str(caught.value)


def test_what_cannot_be_measured_is_refused_and_not_taken_for_kept(tmp_path: Path) -> None:
    for name, line, needs in (
        ("leaks", "expect_leakage_rate_to_be_at_most: {max_rate: 0}", "holdout"),
        ("tokens", "expect_tokens_to_be_within_budget: {max_tokens: 9}", "base model"),
    ):
        with pytest.raises(RecipeError, match="cannot be measured here") as caught:
            checked(dataset(clean()), contract(line, place=tmp_path), tmp_path / name, relations=heldout(None))
        assert needs in caught.value.allowed


def test_tokens_are_those_of_the_trainer_and_of_a_pair_the_longer_side(tmp_path: Path) -> None:
    base = home() / "artifacts" / "base" / "tiny"
    texts = [part for prompt, *answers in GOOD_PAIRS for part in (prompt, *answers)]
    tiny_model(base / "model", texts)
    handle = Handle.of(base, step="base", kind="model", digest=digest_path(base))
    prompt, rows = PromptSettings(system="Be brief."), pairs([GOOD_PAIRS[0], ("Hi", "No.", "A full answer on 1. " * 9)])
    kind, counted = PREFERENCE, TokenInputs(handle, prompt)
    from transformers import AutoTokenizer

    longest = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "A full answer on 1. " * 9}]
    tokens = len(encode(AutoTokenizer.from_pretrained(base / "model"), longest, prompt).input_ids)
    rule = "expect_tokens_to_be_within_budget: {max_tokens: %d}"
    (tmp_path / "kind.yaml").write_text(f"kind: preference\nexpectations:\n  - {rule % (tokens - 1)}\n")
    with pytest.raises(ContractError, match=f"tokens {tokens} | Hi"):
        checked(rows, read_contract("kind.yaml", tmp_path), tmp_path / "a", PAIR, kind=kind, tokens=counted)
    (tmp_path / "kind.yaml").write_text(f"kind: preference\nexpectations:\n  - {rule % tokens}\n")
    checked(rows, read_contract("kind.yaml", tmp_path), tmp_path / "b", PAIR, kind=kind, tokens=counted)


@pytest.mark.usefixtures("prefect")
def test_the_table_is_in_the_prefect_ui_also_when_the_contract_is_broken() -> None:
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    @flow
    def blocked() -> None:
        rows = stored(dataset([*clean(), ("Hi", "no")]))
        relations = heldout(stored(dataset([APART]), "apart"))
        work_step(check, CheckSettings(), contract=read_contract("sft"), rows=rows, answer=ANSWER, relations=relations)

    with pytest.raises(ContractError, match="answer_problem"):
        blocked()
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["check"])))
    # Other tests of the session made some too.
    table = max((a for a in found if a.type == "table"), key=lambda a: a.created)
    assert json.loads(str(table.data))[0]["result"] == "FAILED"
