"""Which rows a report shows: one of each kind, the same whatever the order, and never one that redact had to mend."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from markupsafe import Markup

from tasks.core.handle import FACTS, LEDGER, QUARANTINE, ROWS, Handle
from tasks.core.home import TOLD, commit, digest_bytes, new_artifact
from tasks.core.ledger import Outcome, entries, entry, quarantine
from tasks.core.ledger import changed as change
from tasks.core.row import ROW_SCHEMA
from tasks.facts.scores import MetricWords
from tasks.reporting.row_examples import changed_rows, lost_rows, mistakes

Row = dict[str, Any]


def row(n: int, text: str) -> Row:
    messages = [{"role": "user", "content": text}]
    return {
        "row_id": digest_bytes(f"{n}".encode()),
        "source": "raw.jsonl",
        "line": n,
        "messages": messages,
        "meta": "{}",
    }


def with_text(one: Row, text: str) -> Row:
    return {**one, "messages": [{"role": "user", "content": text}]}


def step(
    name: str, before: Sequence[Row], kept: Sequence[Row], told: Sequence[Row] = (), raw: pl.DataFrame | None = None
) -> Handle:
    """What a row step leaves, with its rows in the order given."""
    outcome = Outcome(pl.DataFrame(kept, schema=ROW_SCHEMA), entries(name, list(told)), raw)
    with new_artifact(name) as out:
        outcome.kept.write_parquet(out / ROWS)
        outcome.ledger.write_parquet(out / LEDGER)
        quarantine(pl.DataFrame(before, schema=ROW_SCHEMA), outcome).write_parquet(out / QUARANTINE)
        for file in (FACTS, TOLD):
            Path(out / file).write_text("{}")
        final, digest = commit(out, name)
    return Handle.of(final, step=name, kind="rows", digest=digest, rows=len(kept))


def cleaned(one: Row, text: str, *rules: str) -> tuple[Row, Row]:
    after = with_text(one, text)
    return after, change(one, after, "text cleaned", rules=list(rules))


def test_each_rule_of_a_step_is_shown_once_by_a_row_that_only_it_changed():
    raw = [row(1, "<p>one</p>"), row(2, "two  spaces"), row(3, "<p>three  both</p>")]
    pairs = [cleaned(raw[0], "one", "HTML"), cleaned(raw[1], "two spaces", "blanks")]
    pairs.append(cleaned(raw[2], "three both", "HTML", "blanks"))
    steps = [step("ingest", [], raw), step("clean", raw, [a for a, _ in pairs], [e for _, e in pairs])]
    shown = {example.reason: (example.rows, example.row_id) for example in changed_rows(steps, 500)}
    assert shown == {"text cleaned, HTML": (2, raw[0]["row_id"]), "text cleaned, blanks": (2, raw[1]["row_id"])}
    assert changed_rows(steps, 500)[0].turns[0][1] == Markup("<del>&lt;p&gt;</del>one<del>&lt;/p&gt;</del>")


def test_a_row_that_redact_changed_is_never_shown_as_it_was():
    raw = [row(n, f"<p>I am Ada Lovelace, {n}</p>") for n in range(30)]
    pairs = [cleaned(one, one["messages"][0]["content"][3:-4], "HTML") for one in raw]
    after = [a for a, _ in pairs]
    safe = [with_text(one, one["messages"][0]["content"].replace("Ada Lovelace", "[NAME]")) for one in after]
    told = [change(a, b, "personal data replaced", name=1) for a, b in zip(after, safe, strict=True)]
    steps = [
        step("ingest", [], raw),
        step("clean", raw, after, [e for _, e in pairs]),
        step("redact", after, safe, told),
    ]
    shown = changed_rows(steps, 500)
    assert [example.step for example in shown] == ["redact"]  # no row of clean's could be shown safely
    assert "Lovelace" not in str(shown)
    assert "<ins>[NAME]</ins>" in shown[0].turns[0][2].replace("</ins><ins>", "")


def test_a_signature_that_clean_took_out_is_not_shown_as_redact_never_saw_it():
    raw = [row(1, 'Where is it?\n<a href="mailto:ada@x.org">Ada</a> Lovelace, 0151 496 0123\nNo. Itâ€™s late')]
    after, told = cleaned(raw[0], "Where is it?\nNo. It’s late", "signature", "Unicode")
    steps = [step("ingest", [], raw), step("clean", raw, [after], [told]), step("redact", [after], [after])]
    before = str(changed_rows(steps, 500)[0].turns[0][1])
    assert "&lt;a …&gt;▪▪▪&lt;/a&gt; ▪▪▪▪▪▪▪▪, ▪▪▪▪ ▪▪▪ ▪▪▪▪" in before
    assert "<del>Itâ€™</del>s late" in before  # mended, not taken out


def test_a_row_that_went_before_redact_is_shown_without_its_addresses():
    lost = row(1, "")
    raw = pl.DataFrame([{"row_id": lost["row_id"], "text": "{broken jo@example.org 0151 496 0123"}])
    steps = [step("ingest", [], [row(2, "fine")], [entry(lost, "quarantined", "not JSON", near="jo@example.org")], raw)]
    (example,) = lost_rows(steps, {}, 500)
    assert example.turns[0][1] == "{broken [not shown] [not shown]"
    assert example.evidence == "near: [not shown]"


def test_a_row_that_met_the_holdout_stands_beside_the_question_it_met():
    raw = [row(1, "Where is it?"), row(2, "other")]
    told = [entry(raw[0], "dropped", "also in the holdout", match="f" * 64, jaccard=1.0)]
    steps = [step("redact", [], raw), step("split", raw, raw[1:], told)]
    (example,) = lost_rows(steps, {"f" * 64: "Where is it then?"}, 500)
    assert example.twins == [("the row it meets", [("user", "Where is it then?")])]


def test_the_choice_does_not_depend_on_the_order_of_rows(tmp_path: Path):
    raw = [row(n, "word " * n) for n in range(60)]
    told = [entry(one, "dropped", f"reason {one['line'] % 3}") for one in raw[:50]]
    seen = []
    for seed in range(3):
        shuffled, mixed = raw.copy(), told.copy()
        random.Random(seed).shuffle(shuffled)
        random.Random(seed).shuffle(mixed)
        seen.append(lost_rows([step("redact", [], shuffled), step("filter", shuffled, raw[50:], mixed)], {}, 500))
    assert seen[0] == seen[1] == seen[2]
    assert len(seen[0]) == 3


def test_mistakes_are_ordered_by_gravity_then_by_the_number_of_faults():
    marks = {"broken": (False, False, False), "two": (True, False, False), "one": (True, False, True)}
    marks["late"] = (True, True, False)
    rows = [
        {
            "row_id": name,
            "set": "holdout",
            "slice": None,
            "question": "?",
            "expected": '{"intent": "a", "urgency": "low"}',
            "answer": '{"intent": "b"}',
            "json_valid": m[0],
            "intent": m[1],
            "urgency": m[2],
            "all_graded": False,
            "exact": False,
        }
        for name, m in reversed(marks.items())
    ]
    rows.append({**rows[0], "row_id": "other words", "urgency": True, "all_graded": True})
    words = {name: MetricWords(title=name) for name in ("json_valid", "intent", "urgency")}
    words |= {name: MetricWords(title=name, sums_up=True) for name in ("all_graded", "exact")}
    words["length"] = MetricWords(title="length", is_number=True)
    found = mistakes(pl.DataFrame(rows).with_columns(length=0.0), words)
    assert [m.row_id for m in found] == ["broken", "two", "one", "late"]  # another reply in prose is no mistake
    assert found[1].fields == [("intent", "a", "b"), ("urgency", "low", "(missing)")]
