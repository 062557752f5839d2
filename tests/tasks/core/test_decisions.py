"""Decisions: what holds after all that was said, kept in a file that only grows, and put above what
steps make of rows.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.decisions import KEPT, MENDED, Decision, Decisions, add_decisions, honoured, read_decisions
from tasks.core.errors import DataError
from tasks.core.ledger import Outcome, check_balance, entries, entry
from tests.support.run_artifacts import row, rows

IDS = ["a" * 64, "b" * 64, "c" * 64]
ANSWERED = ({"role": "user", "content": "Where?"}, {"role": "assistant", "content": "There."})


def said(row_id: str, decision: str, step: str = "conflicts", **more: Any) -> Decision:
    texts = {"messages": ANSWERED} if decision == "edit" else {}
    told = {"row_id": row_id, "decision": decision, "step": step, "reviewer": "Ada", "at": "2026-11-24T10:00:00Z"}
    return Decision.model_validate({**told, **texts, **more})


ANY = st.builds(
    said, st.sampled_from(IDS), st.sampled_from(["keep", "drop", "edit"]), st.sampled_from(["conflicts", "filter"])
)


def test_a_keep_holds_against_the_step_that_asked_and_against_no_other() -> None:
    decisions = Decisions(made=(said(IDS[0], "keep", "conflicts"),))
    assert decisions.asked_by("conflicts").made
    assert not decisions.asked_by("filter").made
    assert not decisions.changes.made


def test_keeps_add_up_until_the_text_is_edited_and_a_keep_takes_back_a_drop() -> None:
    made = [said(IDS[0], "drop"), said(IDS[0], "keep", "conflicts"), said(IDS[0], "keep", "filter")]
    standing = Decisions(made=tuple(made)).standing()[IDS[0]]
    assert standing.change is None
    assert sorted(standing.keeps) == ["conflicts", "filter"]
    after = Decisions(made=(*made, said(IDS[0], "edit"))).standing()[IDS[0]]
    assert after.change is not None
    assert not after.keeps


@given(st.lists(ANY, max_size=12), st.integers(0, 12))
def test_adding_in_parts_or_again_comes_to_the_same(made: list[Decision], cut: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        whole, parts = Path(folder) / "whole.jsonl", Path(folder) / "parts.jsonl"
        add_decisions(whole, made)
        for part in (made[:cut], made[cut:]):
            add_decisions(parts, part)
        stand = {row_id: row.says for row_id, row in Decisions(made=tuple(made)).standing().items()}
        for file in (whole, parts):
            assert {row_id: row.says for row_id, row in read_decisions(file).standing().items()} == stand
        before = whole.read_bytes() if whole.exists() else b""
        last = {decision.row_id: decision for decision in made}
        assert not add_decisions(whole, list(last.values()))  # what holds is not said twice
        assert (whole.read_bytes() if whole.exists() else b"") == before


def test_the_file_only_grows_and_its_lines_stay_as_they_were(tmp_path: Path) -> None:
    file = tmp_path / "decisions.jsonl"
    add_decisions(file, [said(IDS[0], "keep")])
    file.write_text(file.read_text().rstrip("\n"))  # an editor that takes the last line's end
    first = file.read_text()
    add_decisions(file, [said(IDS[1], "edit")])
    assert file.read_text().startswith(first + "\n")
    assert [json.loads(line)["decision"] for line in file.read_text().splitlines()] == ["keep", "edit"]
    assert not list(tmp_path.glob(".decisions-*"))


def test_two_reviewers_at_once_lose_nothing(tmp_path: Path) -> None:
    file, ids = tmp_path / "decisions.jsonl", [f"{n:064x}" for n in range(40)]

    def review(part: list[str]) -> None:
        for row_id in part:
            add_decisions(file, [said(row_id, "keep")])

    threads = [threading.Thread(target=review, args=(ids[start::2],)) for start in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(d.row_id for d in read_decisions(file).made) == ids


@pytest.mark.parametrize(
    "line", ['{"row_id": "a', '{"row_id": "short", "decision": "keep", "reviewer": "A", "at": "x"}', "[]"]
)
def test_a_line_that_is_no_decision_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "decisions.jsonl"
    add_decisions(file, [said(IDS[0], "keep")])
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(DataError, match=r"line 2\n"):
        read_decisions(file)


def test_a_folder_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="copy the recipe"):
        add_decisions(tmp_path / "file" / "decisions.jsonl", [said(IDS[0], "keep")])


# ---------------------------------------------------------------- above a step

RAW = [row(f"Question {n}?") for n in range(4)]


def held_back(before: pl.DataFrame, ids: list[str]) -> Outcome:
    told = [entry(one, "quarantined", "looks odd", score=0.5) for one in before.to_dicts() if one["row_id"] in ids]
    return Outcome(before.filter(~pl.col("row_id").is_in(ids)), entries("judge", told))


def test_a_row_that_a_person_keeps_is_put_back_as_it_came_and_the_ledger_says_who_and_against_what() -> None:
    before, ids = rows(RAW), [RAW[0]["row_id"], RAW[1]["row_id"]]
    outcome = honoured(
        "judge", before, held_back(before, ids), Decisions(made=(said(ids[0], "keep", "judge", note="fine"),))
    )
    check_balance("judge", before, outcome)
    assert outcome.kept.sort("row_id").equals(before.filter(pl.col("row_id") != ids[1]).sort("row_id"))
    (told,) = outcome.ledger.filter(pl.col("row_id") == ids[0]).to_dicts()
    assert (told["action"], told["reason"]) == ("kept", KEPT)
    assert json.loads(told["evidence"]) == {
        "reviewer": "Ada",
        "at": "2026-11-24T10:00:00Z",
        "note": "fine",
        "asked": "judge",
        "was": "looks odd",
        "found": {"score": 0.5},
    }


def test_an_edited_row_is_judged_like_any_other() -> None:
    before, ids = rows(RAW), [RAW[0]["row_id"]]
    decisions = Decisions(made=(said(ids[0], "edit", "judge"),))
    assert honoured("judge", before, held_back(before, ids), decisions.asked_by("judge")).kept.height == len(RAW) - 1


@given(
    st.sets(st.integers(0, 3)),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["keep", "drop", "edit"])), max_size=6),
)
def test_the_books_balance_whatever_was_decided(held: set[int], decided: list[tuple[int, str]]) -> None:
    before = rows(RAW)
    decisions = Decisions(made=tuple(said(RAW[n]["row_id"], what, "judge") for n, what in decided))
    step = held_back(before, [RAW[n]["row_id"] for n in held])
    outcome = honoured("judge", before, step, decisions.asked_by("judge"))
    check_balance("judge", before, outcome)
    kept = {row_id for row_id, stands in decisions.standing().items() if "judge" in stands.keeps}
    assert set(outcome.kept["row_id"]) == {
        one["row_id"] for n, one in enumerate(RAW) if n not in held or one["row_id"] in kept
    }


def test_a_record_that_could_not_be_read_comes_in_as_a_person_wrote_it_or_is_dropped() -> None:
    broken = [{"row_id": row_id, "source": "raw.jsonl", "line": n} for n, row_id in enumerate(IDS, 1)]
    raw = pl.DataFrame([{"row_id": one["row_id"], "text": "{broken"} for one in broken])
    outcome = Outcome(rows(RAW), entries("ingest", [entry(one, "quarantined", "not JSON") for one in broken]), raw)
    decided = (said(IDS[0], "edit", "ingest"), said(IDS[1], "drop", "ingest"), said(IDS[2], "keep", "ingest"))
    new = honoured("ingest", None, outcome, Decisions(made=decided).asked_by("ingest"))
    check_balance("ingest", None, new)
    (mended,) = new.kept.filter(pl.col("row_id") == IDS[0]).to_dicts()
    assert (mended["messages"], mended["line"], mended["meta"]) == (list(ANSWERED), 1, "{}")
    ends = dict(new.ledger.select("row_id", "reason").iter_rows())
    assert ends == {IDS[0]: MENDED, IDS[1]: "dropped by a reviewer", IDS[2]: "not JSON"}
    assert new.raw is not None
    assert new.raw["row_id"].to_list() == [IDS[2]]
    again = Decisions(made=(*decided, said(IDS[0], "drop", "conflicts"))).asked_by("ingest")
    assert IDS[0] not in honoured("ingest", None, outcome, again).kept["row_id"]  # though another step asked this time
