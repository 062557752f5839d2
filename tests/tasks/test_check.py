"""The check step: a broken block stops with rows named, a warning does not, and the same rows give the same bytes."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_contracts.contract import Contract, read_contract
from data_contracts.facts import row_facts
from data_contracts.vocabulary import COLUMNS
from tasks.check import CheckSettings, check
from tasks.core.answer import AnswerSettings
from tasks.core.errors import ContractError, RecipeError
from tasks.core.handle import Handle
from tasks.core.home import digest_path, home
from tasks.core.ledger import ROW_SCHEMA
from tasks.core.progress import Progress
from tasks.core.step import Made, Place, work_step

ANSWER = AnswerSettings(
    label="intent",
    graded=("intent", "urgency"),
    json_schema={
        "type": "object", "required": ["intent", "urgency"], "additionalProperties": False,
        "properties": {"intent": {"enum": ["order_status", "other"]}, "urgency": {"enum": ["low", "high"]}},
    },
)  # fmt: skip
GOOD = '{"intent": "order_status", "urgency": "low"}'
OTHER = '{"intent": "other", "urgency": "low"}'


def dataset(pairs: list[tuple[str, str]]) -> pl.DataFrame:
    rows = [
        {"row_id": f"{n:064x}", "source": "raw/mail.jsonl", "line": n + 1, "meta": "{}",
         "messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]}
        for n, (prompt, answer) in enumerate(pairs)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=ROW_SCHEMA)


def clean(count: int = 24) -> list[tuple[str, str]]:
    return [(f"Where is order number {n}?", OTHER if n % 3 == 0 else GOOD) for n in range(count)]


def stored(frame: pl.DataFrame, name: str = "rows") -> Handle:
    folder = home() / "artifacts" / "dedupe" / name
    folder.mkdir(parents=True)
    frame.write_parquet(folder / "rows.parquet")
    return Handle.of(folder, step="dedupe", kind="rows", digest=digest_path(folder), rows=frame.height)


def contract(*lines: str, place: Path) -> Contract:
    (place / "mine.yaml").write_text("expectations:\n" + "".join(f"  - {line}\n" for line in lines))
    return read_contract("mine.yaml", place)


def checked(
    frame: pl.DataFrame, rules: Contract, out: Path, answer: AnswerSettings = ANSWER
) -> tuple[Made, dict[str, Any]]:
    out.mkdir()
    made = check(
        Place(out, out, Progress("check")), CheckSettings(), contract=rules, rows=stored(frame, out.name), answer=answer
    )
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
    assert made.line == "sft: 9 of 10 expectations hold on 25 rows, 1 warning"
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
    secrets = ("anna@example.org", "4111-1111-1111-1111")
    frame = dataset([*clean(), *[(f"Hello {s}", OTHER) for s in secrets], ("hello anna@EXAMPLE.org", secrets[0])])
    with pytest.raises(ContractError) as caught:
        checked(frame, read_contract("sft"), tmp_path / "out")
    written = str(caught.value) + "".join(f.read_text() for f in Path(caught.value.where).iterdir())
    assert "[e-mail]" in written
    assert [s for s in (*secrets, "EXAMPLE.org") if s.lower() in written.lower()] == []


def test_row_facts_say_what_the_vocabulary_promises() -> None:
    texts = [
        ("  Wo  ist\nmeine <b>Bestellung</b>?", GOOD), ("Order 1234 5678 9012 3456 &amp; more", "[1]"),
        ("a < b > c\x07", '{"intent": null}'),
    ]  # fmt: skip
    facts = row_facts(dataset(texts), ANSWER)
    assert facts.columns == [*COLUMNS, "field_intent", "field_urgency"]
    assert facts["prompt_key"][0] == "wo ist meine <b>bestellung</b>?"
    assert facts["prompt_words"].to_list() == [4, 7, 5]
    assert facts["has_html"].to_list() == [True, True, False]
    assert facts["has_card"].to_list() == [False, False, False]
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


@pytest.mark.usefixtures("prefect")
def test_the_table_is_in_the_prefect_ui_also_when_the_contract_is_broken() -> None:
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    @flow
    def blocked() -> None:
        rows = stored(dataset([*clean(), ("Hi", "no")]))
        work_step(check, CheckSettings(), contract=read_contract("sft"), rows=rows, answer=ANSWER)

    with pytest.raises(ContractError, match="answer_problem"):
        blocked()
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["check"])))
    table = max((a for a in found if a.type == "table"), key=lambda a: a.created)  # other tests of the session made some too
    assert json.loads(str(table.data))[0]["result"] == "FAILED"
