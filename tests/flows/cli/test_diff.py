"""`assay diff`: rows added, gone, changed and moved between two datasets, each with its reason."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.cli.diff import diff, tell
from flows.run.dataset_history import RUNS, find_dataset, record_dataset
from tasks.core.errors import DataError
from tasks.core.handle import Handle
from tasks.core.home import home
from tasks.core.ledger import Outcome, changed, entries
from tests.support.run_artifacts import Row, close, judged, row, rows, step

ALL = [row(f"Question {n}?") for n in range(8)]
IDS = [one["row_id"] for one in ALL]


def dataset(
    found: list[Row], fates: dict[str, Any], edited: dict[str, str] | None = None, train: set[str] | None = None
) -> Handle:
    """A run over `found`. fates: {row_id: verdict}. edited: {row_id: its new text}. train: rows that are not
    validation.
    """
    raw = step("ingest", None, Outcome(rows(found), entries("ingest", [])))
    new = {one["row_id"]: one for one in found}
    told = []
    for row_id, text in (edited or {}).items():
        new[row_id] = {**new[row_id], "messages": [{"role": "user", "content": text}, new[row_id]["messages"][1]]}
        told.append(
            changed(next(one for one in found if one["row_id"] == row_id), new[row_id], "text cleaned", rules=["HTML"])
        )
    clean = step("clean", raw, Outcome(rows(list(new.values())), entries("clean", told)))
    judge = judged("judge", clean, lambda one: fates.get(one["row_id"]))
    side = pl.when(pl.col("row_id").is_in(list(train if train is not None else IDS))).then(pl.lit("train"))
    split = judged("split", judge, lambda _: None, split=side.otherwise(pl.lit("validation")))
    return close([raw, clean, judge, split])


def told(a: Handle, b: Handle) -> dict[str, dict[str, int]]:
    found = diff(a.digest, b.digest).reasons
    return {kind: {reason.says: reason.rows for reason in reasons} for kind, reasons in found.items() if reasons}


def test_each_kind_of_difference_is_counted_by_reason() -> None:
    twin, late = ("dropped", "near duplicate", {}), ("quarantined", "looks odd", {})
    a = dataset(ALL[:6], {IDS[0]: twin, IDS[5]: twin})
    b = dataset(ALL[1:], {IDS[1]: late, IDS[5]: late}, edited={IDS[2]: "Cleaned?"}, train=set(IDS) - {IDS[3]})
    assert told(a, b) == {
        "added": {"new in the raw data": 2},
        "gone": {"now quarantined by judge: looks odd": 1},
        "changed": {"now clean: text cleaned": 1},
        "moved": {"train to validation": 1},
        "elsewhere": {
            "dropped by judge: near duplicate; now not in the raw data": 1,
            "dropped by judge: near duplicate; now quarantined by judge: looks odd": 1,
        },
    }
    text = tell(diff(a.digest, b.digest))
    assert "1 gone: only in the first" in text
    assert f"1  now quarantined by judge: looks odd  ({IDS[1][:12]})" in text
    assert told(b, a)["changed"] == {"no longer clean: text cleaned": 1}
    assert told(b, a)["added"] == {"was quarantined by judge: looks odd": 1}


def test_a_dataset_does_not_differ_from_itself() -> None:
    one = dataset(ALL, {IDS[0]: ("dropped", "near duplicate", {})}, edited={IDS[2]: "Cleaned?"})
    assert told(one, one) == {}
    assert "no row was added" in tell(diff(one.digest, one.digest))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(*(st.sets(st.integers(0, 6)) for _ in range(4)))
def test_every_row_that_differs_is_told_once_and_the_counts_add_up(
    come: set[int], go: set[int], in_a: set[int], in_b: set[int]
) -> None:
    odd = ("dropped", "odd", {})
    a = dataset([ALL[n] for n in sorted(come | {7})], {IDS[n]: odd for n in in_a & come})
    b = dataset([ALL[n] for n in sorted(go | {7})], {IDS[n]: odd for n in in_b & go})
    found = diff(a.digest, b.digest)
    assert found.rows["added"] - found.rows["gone"] == b.rows - a.rows
    kept = [set(one.frame("curated.parquet")["row_id"]) for one in (a, b)]
    assert found.rows["added"] == len(kept[1] - kept[0])
    assert found.rows["gone"] == len(kept[0] - kept[1])


# ---------------------------------------------------------------- names of datasets


def test_datasets_go_by_run_digest_folder_newest_and_previous() -> None:
    a, b = dataset(ALL, {}), dataset(ALL[1:], {})
    for one in (a, b, a):
        record_dataset("little", one)  # the last run found that nothing had changed, and made nothing
    assert find_dataset() == a
    assert find_dataset("previous") == b
    assert find_dataset(b.digest[:8]) == find_dataset(str(b.folder)) == find_dataset(b.digest) == b


def test_a_dataset_is_found_by_the_name_of_its_prefect_run(prefect: None) -> None:
    from prefect import flow
    from prefect.context import FlowRunContext

    a, b = dataset(ALL, {}), dataset(ALL[1:], {})
    names = []

    def run(made: Handle) -> None:
        context = FlowRunContext.get()
        assert context
        assert context.flow_run
        names.append(context.flow_run.name)
        record_dataset("little", made)

    for made in (a, b):
        flow(run, name="run", persist_result=False, validate_parameters=False)(made)
    assert [find_dataset(name) for name in names] == [a, b]


def test_a_name_that_means_none_or_several_says_which_there_are() -> None:
    with pytest.raises(DataError, match="run `assay curate` first"):
        find_dataset("newest")
    made = [dataset([ALL[0], row(f"More {n}?")], {}) for n in range(17)]  # sixteen first digits: two of them share one
    with pytest.raises(DataError, match=r"There is no dataset 'xyz'(.|\n)*newest first: .*(.|\n)*choose one"):
        find_dataset("xyz")
    firsts = [one.digest[0] for one in made]
    with pytest.raises(DataError, match="give more digits"):
        find_dataset(max(firsts, key=firsts.count))


def test_a_line_that_a_kill_cut_off_is_passed_over() -> None:
    a = dataset(ALL, {})
    record_dataset("little", a)
    with (home() / RUNS).open("a") as file:
        file.write('{"at": "2026-')
    assert find_dataset() == a
