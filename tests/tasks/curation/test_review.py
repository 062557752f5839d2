"""The review sheet: what matters most first, nothing personal in it, and decisions that the next run does."""

from __future__ import annotations

import csv
import io
import json
import random
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.decisions import DROPPED, EDITED, Decision, Decisions
from tasks.core.handle import Handle
from tasks.core.ledger import Outcome, check_balance, entries, entry
from tasks.core.row_kind import KINDS, SFT
from tasks.curation.review import ReviewSettings, decide, review
from tasks.metrics.answer_schema import AnswerSettings
from tasks.personal_data.finders import PersonalData
from tests.support.run_artifacts import Row, artifact, close, judged, row, rows, step

ANSWER = AnswerSettings(
    label="intent",
    json_schema={"properties": {"intent": {"enum": ["order", "refund", "rare"]}, "why": {"type": "string"}}},
)
SECRET = "jo.doe@example.com"


def labelled(text: str, label: str, **columns: Any) -> Row:
    return row(text, json.dumps({"intent": label, "why": "so"}), **columns)


COMMON = [labelled(f"Where is parcel {n}?", "order") for n in range(12)]
RARE = labelled("What is the colour of this strange thing here?", "rare")
PAIR = [labelled("Money or parcel, which one?", "refund"), labelled("Money or parcel, which one?", "order")]
WRONG = labelled("I want my money back now, please.", "order")
BROKEN = row("", "", row_id="f" * 64)


def books(order: int = 0, kind: str = "sft", decisions: Decisions | None = None) -> tuple[list[Handle], Handle]:
    """A run over the rows above; order: the seed of the order that they come in."""
    found = [*COMMON, RARE, *PAIR, WRONG]
    random.Random(order).shuffle(found)
    raw = pl.DataFrame([{"row_id": BROKEN["row_id"], "text": f'{{"mail": "{SECRET}", "text": "=1+1'}])
    told = entries("ingest", [entry(BROKEN, "quarantined", "not JSON", near=SECRET)])
    steps = [step("ingest", None, Outcome(rows(found), told, raw), decisions)]
    held = {RARE["row_id"]: ("quarantined", "looks odd", {"score": 0.2})}
    held |= {
        one["row_id"]: ("quarantined", "contradicts another row", {"partner": other["row_id"], "jaccard": 1.0})
        for one, other in (PAIR, PAIR[::-1])
    }
    held |= {WRONG["row_id"]: ("quarantined", "label is probably wrong", {"given": "order", "suggested": "refund"})}
    steps.append(step("redact", steps[-1], Outcome(steps[-1].frame(), entries("redact", []))))
    steps.append(judged("judge", steps[-1], lambda one: held.get(one["row_id"]), decisions))
    steps.append(judged("split", steps[-1], lambda _: None, split=pl.lit("train")))
    return steps, close(steps)


def reviewed(order: int = 0, answer: AnswerSettings = ANSWER, kind: str = "sft", **settings: Any) -> Handle:
    steps, dataset = books(order)
    what = KINDS[kind]
    return artifact(
        "review", lambda place: review(place, ReviewSettings(**settings), steps, dataset, answer, what, PersonalData())
    )


def records(made: Handle) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (made.folder / "review.jsonl").read_text().splitlines()]


def test_every_quarantined_row_is_in_both_sheets_once_with_empty_cells_to_fill_in() -> None:
    made = reviewed()
    told = records(made)
    assert sorted(one["row_id"] for one in told) == sorted(one["row_id"] for one in (RARE, *PAIR, WRONG, BROKEN))
    assert all(one["decision"] == "" and one["note"] == "" for one in told)
    text = (made.folder / "review.csv").read_text("utf-8-sig")
    table = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [one["row_id"] for one in table] == [one["row_id"] for one in told]
    assert made.facts()["line"].startswith("5 rows to review in 4 cases, about ")


def test_where_nothing_is_held_the_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.curation.review._held", lambda *_: [])
    assert reviewed().facts()["line"] == "no rows to review"


def test_a_rare_row_comes_before_a_common_one_and_rows_that_contradict_stand_together() -> None:
    told = records(reviewed())
    place = {one["row_id"]: one["order"] for one in told}
    assert abs(place[PAIR[0]["row_id"]] - place[PAIR[1]["row_id"]]) == 1
    assert len({one["case"] for one in told}) == 4
    costs = {one["reason"]: one["order"] for one in told}
    assert costs["looks odd"] < costs["not JSON"]  # a label that no curated row has, before one that nobody can tell


def test_of_two_rows_alike_the_one_that_is_read_quicker_comes_first() -> None:
    slow = reviewed(words_per_minute=1, seconds_to_decide=0)
    told = [one for one in records(slow) if one["reason"] in ("looks odd", "label is probably wrong")]
    # 7 words, 9.
    assert [one["prompt"] for one in told] == [
        WRONG["messages"][0]["content"],
        RARE["messages"][0]["content"],
    ]


def test_the_sheet_is_the_same_whatever_order_the_rows_came_in() -> None:
    assert len({reviewed(order).digest for order in range(3)}) == 1


def test_nothing_personal_is_in_the_sheets_though_redact_never_saw_the_record() -> None:
    made = reviewed()
    for file in made.folder.iterdir():
        assert SECRET not in file.read_text("utf-8-sig")
    (broken,) = [one for one in records(made) if one["step"] == "ingest"]
    assert broken["prompt"] == '{"mail": "[email]", "text": "=1+1'
    assert broken["choices"] == "edit, drop"  # there is no row yet to be kept as it is
    assert broken["why"] == "near: [email]"


def test_a_suggested_label_comes_as_a_whole_answer_and_the_row_that_contradicts_is_beside() -> None:
    told = {one["row_id"]: one for one in records(reviewed())}
    # No curated row says refund: nobody knows how it is written.
    assert "suggested" not in told[WRONG["row_id"]]["choices"]
    one, other = (told[pair["row_id"]] for pair in PAIR)
    assert one["beside"] == f"the row that says otherwise:\n{PAIR[1]['messages'][0]['content']}\n→ {other['answer']}"
    assert (one["choices"], one["why"]) == ("keep, edit, drop", "prompt the same")


def test_a_suggestion_changes_the_label_and_nothing_else_of_the_answer() -> None:
    known = labelled("Please refund my lamp.", "refund")
    steps = [step("ingest", None, Outcome(rows([*COMMON, known, WRONG]), entries("ingest", [])))]
    held = ("quarantined", "label is probably wrong", {"given": "order", "suggested": "refund"})
    steps.append(judged("judge", steps[-1], lambda one: held if one["row_id"] == WRONG["row_id"] else None))
    steps.append(judged("split", steps[-1], lambda _: None, split=pl.lit("train")))
    dataset = close(steps)
    made = artifact(
        "review", lambda place: review(place, ReviewSettings(), steps, dataset, ANSWER, SFT, PersonalData())
    )
    (told,) = records(made)
    assert (told["suggestion"], told["choices"]) == ('{"intent": "refund", "why": "so"}', "keep, edit, drop, suggested")


def test_minutes_are_reading_and_deciding_and_a_text_that_was_shown_is_not_read_again() -> None:
    facts = reviewed(words_per_minute=60, seconds_to_decide=10).facts()
    by_reason = {told["reason"]: told for told in facts["reasons"]}
    # Nine words, and {"intent": "rare", "why": "so"} is four.
    assert by_reason["looks odd"] == {
        "step": "judge",
        "reason": "looks odd",
        "rows": 1,
        "minutes": round((10 + 13) / 60, 1),
    }
    # Five words of the question and four of each answer; "the row that says otherwise" and its arrow once.
    assert by_reason["contradicts another row"]["minutes"] == round((20 + 5 + 8 + 5 + 8) / 60, 1)
    assert facts["minutes"] == pytest.approx(sum(told["minutes"] for told in facts["reasons"]), abs=0.2)


def test_where_nothing_was_quarantined_the_sheet_is_empty() -> None:
    steps = [step("ingest", None, Outcome(rows(COMMON), entries("ingest", [])))]
    steps.append(judged("split", steps[-1], lambda _: None, split=pl.lit("train")))
    given: dict[str, Any] = {"steps": steps, "dataset": close(steps), "answer": ANSWER, "kind": SFT}
    made = artifact("review", lambda place: review(place, ReviewSettings(), personal=PersonalData(), **given))
    assert records(made) == []
    assert made.facts()["minutes"] == 0


def test_a_sheet_holds_as_many_rows_as_are_wanted_and_the_estimate_is_of_all() -> None:
    made = reviewed(rows=2)
    assert len(records(made)) == 2
    assert (made.facts()["rows"], made.facts()["shown"]) == (5, 2)


def test_a_preference_sheet_has_the_rejected_answer_and_others_have_no_such_column() -> None:
    assert "rejected" not in records(reviewed())[0]
    assert records(reviewed(kind="preference", answer=AnswerSettings()))[0]["rejected"] == ""


def test_a_row_with_tool_calls_shows_them_and_can_be_kept_or_dropped_but_not_edited() -> None:
    call = '[{"function": {"arguments": "{}", "name": "track"}, "id": "1", "type": "function"}]'
    said = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": ""}]
    odd = {**row("Where?"), "messages": said, "calls": [None, call]}
    steps = [step("ingest", None, Outcome(rows([odd, RARE]), entries("ingest", [])))]
    steps.append(step("redact", steps[-1], Outcome(steps[-1].frame(), entries("redact", []))))
    steps.append(judged("judge", steps[-1], lambda one: ("quarantined", "looks odd", {}) if one["calls"] else None))
    steps.append(judged("split", steps[-1], lambda _: None, split=pl.lit("train")))
    dataset = close(steps)
    settings = (ReviewSettings(), steps, dataset, AnswerSettings(), SFT, PersonalData())
    (record,) = records(artifact("review", lambda place: review(place, *settings)))
    assert (record["choices"], record["answer"]) == ("keep, drop", '{"arguments": {}, "name": "track"}')


# ---------------------------------------------------------------- decide


def said(one: Row, decision: str, text: str = "Anew?", label: str = "rare") -> Decision:
    messages = [{"role": "user", "content": text}, {"role": "assistant", "content": json.dumps({"intent": label})}]
    told = {
        "row_id": one["row_id"],
        "decision": decision,
        "step": "judge",
        "reviewer": "Ada",
        "at": "2026-11-24T10:00:00Z",
    }
    return Decision.model_validate({**told, **({"messages": messages} if decision == "edit" else {})})


def test_what_was_dropped_goes_and_what_was_edited_says_the_new_text_with_who_said_so() -> None:
    before = rows([*PAIR, WRONG, RARE])
    decisions = Decisions(made=(said(PAIR[0], "drop"), said(WRONG, "edit"), said(RARE, "keep"), said(BROKEN, "drop")))
    outcome = decide(before, ReviewSettings(), decisions.changes)
    check_balance("decide", before, outcome)
    told = {one["row_id"]: one for one in outcome.ledger.to_dicts()}
    assert {row_id: one["reason"] for row_id, one in told.items()} == {
        PAIR[0]["row_id"]: DROPPED,
        WRONG["row_id"]: EDITED,
    }
    assert json.loads(told[WRONG["row_id"]]["evidence"])["reviewer"] == "Ada"
    assert told[WRONG["row_id"]]["before"] != told[WRONG["row_id"]]["after"]
    (edited,) = outcome.kept.filter(pl.col("row_id") == WRONG["row_id"]).to_dicts()
    assert edited["messages"][0]["content"] == "Anew?"


@given(
    st.permutations([*PAIR, WRONG, RARE]), st.lists(st.sampled_from(["keep", "drop", "edit"]), min_size=4, max_size=4)
)
def test_deciding_does_not_depend_on_order_and_is_done_once(order: list[Row], what: list[str]) -> None:
    decisions = Decisions(made=tuple(said(one, told) for one, told in zip([*PAIR, WRONG, RARE], what, strict=True)))
    outcome = decide(rows(order), ReviewSettings(), decisions.changes)
    check_balance("decide", rows(order), outcome)
    assert outcome.kept.equals(decide(rows([*PAIR, WRONG, RARE]), ReviewSettings(), decisions.changes).kept)
    again = decide(outcome.kept, ReviewSettings(), decisions.changes)
    assert again.kept.equals(outcome.kept)
    assert again.ledger.is_empty()


def test_an_edit_keeps_source_meta_and_weights_and_a_longer_one_teaches_its_last_answer() -> None:
    one = labelled("Where?", "order", weights=[0.0, 1.0], meta='{"slice": "short"}', source="x.csv", line=7)
    longer = said(one, "edit").model_copy(update={"messages": tuple(said(one, "edit").messages) * 2})
    for decision, weights in ((said(one, "edit"), [0.0, 1.0]), (longer, [0.0, 0.0, 0.0, 1.0])):
        (new,) = decide(rows([one]), ReviewSettings(), Decisions(made=(decision,))).kept.to_dicts()
        assert (new["source"], new["line"], new["meta"], new["weights"]) == ("x.csv", 7, '{"slice": "short"}', weights)


def test_the_loop_closes_and_what_was_decided_asks_for_no_more_time() -> None:
    before = reviewed().facts()
    decisions = Decisions(made=(said(RARE, "keep"), said(PAIR[0], "keep"), said(PAIR[1], "keep")))
    steps, dataset = books(decisions=decisions)
    after = artifact(
        "review", lambda place: review(place, ReviewSettings(), steps, dataset, ANSWER, SFT, PersonalData())
    )
    assert after.facts()["rows"] == before["rows"] - 3
    assert after.facts()["decided"] == {"kept by a reviewer": 3}
    assert after.facts()["minutes"] < before["minutes"]
    assert {RARE["row_id"], PAIR[0]["row_id"], PAIR[1]["row_id"]} <= set(dataset.frame("curated.parquet")["row_id"])
