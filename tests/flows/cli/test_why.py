"""`assay why`: one row's story, with the rows that decided it, and never a text that redact had to mend."""

from __future__ import annotations

import shutil
from typing import Any

import polars as pl
import pytest

from flows.cli.why import tell, why
from tasks.core.decisions import Decision, Decisions
from tasks.core.errors import DataError
from tasks.core.handle import Handle
from tasks.core.ledger import Outcome, changed, entries, entry
from tests.support.run_artifacts import Row, close, judged, row, rows, step

SECRET = "jo.doe@example.com"
TWIN, COPY = row("Where is my lamp?"), row("Where is my lamp? Please", line=4)
ONE, OTHER = row("Money back?", "refund"), row("Money back?", "order")
MAILED = row(f"Write to {SECRET}, now")
EMPTY = row(f"<p>{SECRET}</p>")
BROKEN = row("", "", row_id="f" * 64, line=9)


def books(decisions: Decisions | None = None) -> tuple[list[Handle], Handle]:
    raw = pl.DataFrame([{"row_id": BROKEN["row_id"], "text": f"{{broken {SECRET}"}])
    told = entries("ingest", [entry(BROKEN, "quarantined", "not JSON", column=3)])
    steps = [step("ingest", None, Outcome(rows([TWIN, COPY, ONE, OTHER, MAILED, EMPTY]), told, raw))]
    steps.append(
        judged("clean", steps[-1], _named(EMPTY, ("dropped", "empty message after cleaning", {"rules": ["HTML"]})))
    )
    before = steps[-1].frame()
    safe = {**MAILED, "messages": [{"role": "user", "content": "Write to <EMAIL_1>, now"}, MAILED["messages"][1]]}
    kept = pl.concat([before.filter(pl.col("row_id") != MAILED["row_id"]), rows([safe])])
    steps.append(
        step(
            "redact",
            steps[-1],
            Outcome(kept, entries("redact", [changed(MAILED, safe, "personal data replaced", email=1)])),
        )
    )
    doubt: Any = {
        one["row_id"]: ("quarantined", "contradicts another row", {"partner": other["row_id"], "jaccard": 1.0})
        for one, other in ((ONE, OTHER), (OTHER, ONE))
    }
    steps.append(judged("conflicts", steps[-1], lambda one: doubt.get(one["row_id"]), decisions))
    near = ("dropped", "near duplicate", {"kept": TWIN["row_id"], "of": "prompt", "jaccard": 0.9})
    steps.append(judged("dedupe", steps[-1], _named(COPY, near)))
    steps.append(judged("split", steps[-1], lambda _: None, split=pl.lit("train")))
    return steps, close(steps)


def _named(row: Row, verdict: Any) -> Any:
    return lambda one: verdict if one["row_id"] == row["row_id"] else None


def test_a_dropped_row_names_the_row_that_was_kept_for_it_and_what_that_says() -> None:
    books()
    story = why(COPY["row_id"][:10])
    assert [(event.step, event.action) for event in story.events] == [
        ("ingest", "read"),
        ("clean", "passed"),
        ("redact", "passed"),
        ("conflicts", "passed"),
        ("dedupe", "dropped"),
    ]
    last = story.events[-1]
    assert last.says == "near duplicate: prompt alike, Jaccard 0.90"
    assert [(other.what, other.turns[0][1], other.ended) for other in last.others] == [
        ("the row kept for it", "Where is my lamp?", "kept")
    ]
    assert story.turns[0] == ("user", "Where is my lamp? Please")
    assert story.where == "raw.jsonl, line 4"


def test_a_row_in_a_conflict_shows_the_one_that_says_otherwise_and_where_that_ended() -> None:
    books()
    text = " ".join(tell(why(ONE["row_id"])).split())
    assert "conflicts quarantined: contradicts another row: prompt the same the row that says otherwise" in text
    assert "quarantined by conflicts: contradicts another row): user: Money back? assistant: order it said" in text
    assert "A person may mend or keep it" in text


def test_no_text_is_told_that_redact_had_to_mend_or_never_saw() -> None:
    books()
    for one in (MAILED, EMPTY, BROKEN):
        text = tell(why(one["row_id"]))
        assert SECRET not in text
    assert "user: Write to <EMAIL_1>, now" in tell(why(MAILED["row_id"]))
    assert "personal data replaced: 1 email" in tell(why(MAILED["row_id"]))
    assert "(not shown, as redact has not seen it)" in tell(why(EMPTY["row_id"]))
    assert "ingest         quarantined: not JSON: column: 3" in tell(why(BROKEN["row_id"]))
    assert "A person may mend it: " in tell(why(BROKEN["row_id"]))


def test_a_row_that_a_reviewer_kept_says_who_and_against_what() -> None:
    told = {
        "row_id": ONE["row_id"],
        "decision": "keep",
        "step": "conflicts",
        "reviewer": "Ada",
        "at": "2026-11-24T10:00:00Z",
    }
    books(Decisions(made=(Decision.model_validate(told),)))
    story = why(ONE["row_id"])
    event = next(event for event in story.events if event.step == "conflicts")
    assert (event.action, event.says) == (
        "kept",
        "kept by a reviewer: Ada, 2026-11-24, asked by conflicts because of: contradicts another row (prompt the same)",
    )
    assert [other.row_id for other in event.others] == [OTHER["row_id"]]
    assert (story.events[-1].action, story.events[-1].says) == ("kept", "passed every step: into train")


def test_a_row_that_nobody_knows_and_digits_that_several_have_are_refused_with_what_to_do() -> None:
    with pytest.raises(DataError, match="run `assay curate` first"):
        why("abc")
    books()
    with pytest.raises(DataError, match=r"No row begins with 'zz'\.\n.*1 dataset"):
        why("zz")
    with pytest.raises(DataError, match="7 rows begin with ''"):
        why("")


def test_an_older_dataset_is_asked_when_the_newest_does_not_know_the_row() -> None:
    _, first = books()
    new = [step("ingest", None, Outcome(rows([row("Another?")]), entries("ingest", [])))]
    new.append(judged("split", new[-1], lambda _: None, split=pl.lit("train")))
    second = close(new)
    assert why(row("Another?")["row_id"]).dataset == second.folder.name
    assert why(TWIN["row_id"]).dataset == first.folder.name
    with pytest.raises(DataError, match="No row begins with"):
        why(TWIN["row_id"], second.digest)


def test_the_books_tell_the_story_when_the_steps_artifacts_are_gone() -> None:
    steps, _ = books()
    for handle in steps:
        shutil.rmtree(handle.folder)
    story = why(COPY["row_id"])
    assert story.events[-1].says == "near duplicate: prompt alike, Jaccard 0.90"
    assert story.events[-1].others[0].ended == "kept"
    assert not story.turns
    assert "no longer in this home" in tell(story)
