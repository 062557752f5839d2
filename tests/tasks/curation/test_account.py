"""account: the books of a whole run, on artifacts as the step wrapper writes them."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from tasks.core.handle import FACTS, LEDGER, QUARANTINE, Handle
from tasks.core.home import TOLD, commit, new_artifact
from tasks.core.ledger import LedgerError, Outcome, entries, entry
from tasks.core.process.progress import Progress
from tasks.core.row import ROW_SCHEMA
from tasks.core.step import _write_rows
from tasks.core.work import StepDirs, StepResult
from tasks.curation.account import AccountSettings, account


def rows(row_ids: str) -> pl.DataFrame:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    told = [{"row_id": r, "source": "a", "line": 1, "messages": messages, "meta": "{}"} for r in row_ids]
    return pl.DataFrame(told, schema=ROW_SCHEMA)


def step(name: str, before: str, kept: str, *, dropped: str = "", quarantined: str = "", changed: str = "") -> Handle:
    """A row step's artifact, written by the wrapper's own code."""
    acts = {"dropped": dropped, "quarantined": quarantined, "changed": changed}
    told = [
        entry({"row_id": r, "source": "a", "line": 1}, action, f"{action} for a reason")
        for action, ids in acts.items()
        for r in ids
    ]
    frame = rows(kept)
    if name == "split":
        frame = frame.with_columns(split=pl.lit("train"))
    with new_artifact(name) as out:
        made = _write_rows(out, name, [(rows(before), Outcome(frame, entries(name, told)))])
        (out / FACTS).write_text(json.dumps(made.facts))
        (out / TOLD).write_text(json.dumps({"line": made.line}))
        path, digest = commit(out, name)
    return Handle.of(path, step=name, kind="rows", digest=digest, rows=made.rows)


def close(tmp_path: Path, *steps: Handle) -> tuple[StepResult, Path]:
    out = tmp_path / "out"
    out.mkdir()
    return account(StepDirs(out, tmp_path, Progress("account")), AccountSettings(), list(steps)), out


def test_the_books_of_a_run_balance_and_say_so_in_one_line(tmp_path: Path) -> None:
    made, out = close(
        tmp_path,
        step("ingest", "abcdefgh", "abcdefg", quarantined="h"),
        step("clean", "abcdefg", "abcdef", dropped="g", changed="ab"),
        step("split", "abcdef", "abcd", dropped="ef"),
    )
    assert made.kind == "dataset"
    assert made.line == "8 raw = 4 kept + 3 dropped + 1 quarantined"
    assert (made.facts["raw"], made.facts["kept"], made.facts["dropped"], made.facts["quarantined"]) == (8, 4, 3, 1)
    assert made.facts["waterfall"][1] == {
        "step": "clean",
        "in": 7,
        "kept": 6,
        "dropped": 1,
        "quarantined": 0,
        "changed": 2,
    }
    assert made.facts["reasons"]["dropped"] == {"split: dropped for a reason": 2, "clean: dropped for a reason": 1}
    ledger = pl.read_parquet(out / LEDGER)
    final = ledger.filter(pl.col("action") != "changed")
    assert sorted(final["row_id"]) == list("abcdefgh")  # every raw row once
    kept = ledger.filter(pl.col("step") == "account")
    assert kept.select("row_id", "action", "reason", "evidence").row(0) == (
        "a",
        "kept",
        "passed every step",
        '{"split": "train"}',
    )
    assert pl.read_parquet(out / "curated.parquet")["row_id"].to_list() == list("abcd")
    assert pl.read_parquet(out / QUARANTINE).select("row_id", "step").rows() == [("h", "ingest")]


@pytest.mark.parametrize(
    ("ingested", "split", "told"),
    [
        (("abc", "abc", ""), ("ab", "ab", ""), "split took 2 rows, but ingest kept 3"),
        (("abc", "ab", "c"), ("ab", "b", "c"), "1 rows kept or gone more than once"),
        (("abc", "ab", "c"), ("ab", "ac", ""), "1 rows kept or gone more than once"),
        (("abc", "ab", "c"), ("abx", "ab", "x"), "split took 3 rows, but ingest kept 2"),
    ],
)
def test_books_that_do_not_balance_are_refused(
    tmp_path: Path, ingested: tuple[str, str, str], split: tuple[str, str, str], told: str
) -> None:
    first = step("ingest", ingested[0], ingested[1], dropped=ingested[2])
    last = step("split", split[0], split[1], dropped=split[2])
    with pytest.raises(LedgerError, match=told):
        close(tmp_path, first, last)


def test_facts_that_do_not_fit_the_ledger_are_refused(tmp_path: Path) -> None:
    first = step("ingest", "abc", "ab", dropped="c")
    facts = json.loads((first.folder / FACTS).read_text())
    (first.folder / FACTS).write_text(json.dumps({**facts, "in": 4}))
    with pytest.raises(LedgerError, match="ingest: 4 in, 2 kept, 1 dropped"):
        close(tmp_path, first, step("split", "ab", "ab"))
