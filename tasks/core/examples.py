"""Rows worth showing in a report: one for each kind of change and of loss, and the worst answers of a model.

Which row is shown follows from row ids and texts alone, so a report of the same artifacts is the same report. A text that redact
has not seen yet is shown only if redact later found nothing in it, or without addresses and long numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, zip_longest
from typing import Any

import polars as pl
from markupsafe import Markup

from tasks.core.handle import LEDGER, QUARANTINE, ROWS, Handle
from tasks.core.ledger import GONE
from tasks.core.readable import differences, impersonal, short, visible

REDACT = "redact"  # the step after which texts are free of personal data
CANDIDATES = 20  # rows of a kind that are looked at, by row id, for one of a good length
GOOD_LENGTH = 160  # characters: enough to say something, little enough to read
PLAIN = ("all_graded", "exact")  # sums of the other metrics; a reply in other words is no mistake


@dataclass(frozen=True)
class Example:
    """One row that a step changed or let go.

    rows: how many share its step, action and reason. turns: (role, before, after) of each turn that differs; after is empty
    for a row that went. evidence: (name, value). twins: (name, text) of the rows that the evidence names.
    """

    step: str
    action: str
    reason: str
    rows: int
    row_id: str
    where: str
    turns: list[tuple[str, Markup, Markup]]
    evidence: list[tuple[str, str]] = field(default_factory=list)
    twins: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Mistake:
    """A wrong answer. failed: the metrics it fails, the gravest first. fields: (name, expected, got) where they differ."""

    row_id: str
    set: str
    slice: str
    failed: list[str]
    question: str
    expected: str
    answer: str
    fields: list[tuple[str, str, str]]


def changed(steps: Sequence[Handle], limit: int) -> list[Example]:
    """One changed row of each kind, in the order of the steps, the most frequent kind first.

    Rows that redact changed are not shown before it did, and of redact's own changes only the result is. limit: characters
    of a text that are shown.
    """
    secret, safe = _touched(steps), _safe_from(steps)
    found = []
    for i, (former, step) in enumerate(pairwise(steps), 1):
        for kind, rows, ids in _kinds(step, "changed", leave_out=secret if i < safe else ()):
            before, after = _texts(former, ids), _texts(step, ids)
            entry = _pick(step, "changed", [row_id for row_id in ids if row_id in after] or ids, before)
            row_id = entry["row_id"]
            turns = _changed_turns(before[row_id], after.get(row_id, []), limit, hide=step.step == REDACT)
            found.append(_example(entry, kind, rows, turns, limit=limit))
    return found


def gone(steps: Sequence[Handle], judging: Mapping[str, str], limit: int) -> list[Example]:
    """One dropped or quarantined row of each kind, with the rows that its evidence names beside it.

    judging: {row_id: text} of the holdout and the edge cases, which a leaked row is shown beside.
    """
    found = []
    for i, step in enumerate(steps):
        clean: Callable[[str], str] = impersonal if i <= _safe_from(steps) else str
        for action in GONE:
            for kind, rows, ids in _kinds(step, action):
                texts = _texts(steps[i - 1], ids) if i else _raw_texts(step, ids)
                entry = _pick(step, action, ids, texts)
                shown = [(m["role"], _plain(clean(m["content"]), limit)) for m in texts.get(entry["row_id"], [])]
                twins = [(n, clean(text)) for n, text in (_twins(entry, steps[i - 1], judging) if i else [])]
                turns = [(role, text, Markup("")) for role, text in shown]
                found.append(_example(entry, kind, rows, turns, twins, limit, clean))
    return found


def mistakes(graded: pl.DataFrame, metrics: Sequence[str]) -> list[Mistake]:
    """Every wrong answer, the gravest first: by the first metric it fails, then by how many.

    graded, of one variant: row_id, set, slice, question, expected, answer, one boolean column a metric. metrics: in falling gravity.
    """
    checks = [m for m in metrics if m not in PLAIN] or [m for m in metrics if m in PLAIN][-1:]
    wrong = graded.filter(~pl.all_horizontal(checks))
    found = []
    for row in wrong.sort("set", "row_id", descending=[True, False]).iter_rows(named=True):  # holdout before edge cases
        failed = [m for m in checks if not row[m]]
        told = {key: row[key] or "" for key in ("row_id", "set", "slice", "question", "expected", "answer")}
        found.append(Mistake(**told, failed=failed, fields=_fields(told["expected"], told["answer"], failed)))
    return sorted(found, key=lambda m: (checks.index(m.failed[0]), -len(m.failed)))


def _fields(expected: str, answer: str, names: list[str]) -> list[tuple[str, str, str]]:
    try:
        wanted, got = json.loads(expected), json.loads(answer)
    except ValueError:
        return []
    if not isinstance(wanted, dict) or not isinstance(got, dict):
        return []
    return [(name, str(wanted[name]), str(got.get(name, "(missing)"))) for name in names if name in wanted]


def _kinds(step: Handle, action: str, leave_out: Collection[str] = ()) -> list[tuple[str, int, list[str]]]:
    """(reason, rows, the first row ids) of each kind of entry in a step's ledger, the most frequent first.

    Where the evidence lists rules, each rule is a kind, and rows that only it touched come first.
    """
    rules = pl.col("evidence").str.json_path_match("$.rules")
    ledger = (
        step.frame(LEDGER).filter(pl.col("action").cast(pl.String) == action).select("reason", "row_id", rules=rules)
    )
    groups = ledger.group_by("reason", "rules").agg(pl.col("row_id").unique().sort()).sort(pl.all().exclude("row_id"))
    kinds: dict[str, list[list[str]]] = {}
    for reason, listed, ids in sorted(groups.iter_rows(), key=lambda group: len(json.loads(group[1] or "[]"))):
        for kind in [f"{reason}, {rule}" for rule in json.loads(listed or "[]")] or [reason]:
            kinds.setdefault(kind, []).append(ids)
    found = []
    for kind, parts in sorted(kinds.items(), key=lambda item: (-sum(map(len, item[1])), item[0])):
        usable = next((ids for part in parts if (ids := [i for i in part if i not in leave_out])), [])
        found += [(kind, sum(map(len, parts)), usable[:CANDIDATES])] if usable else []
    return found


def _pick(step: Handle, action: str, ids: list[str], texts: dict[str, Any]) -> dict[str, Any]:
    """The ledger entry of the row whose text has the best length to read."""

    def awkward(row_id: str) -> tuple[float, str]:
        return abs(sum(len(m["content"] or "") for m in texts.get(row_id, [])) - GOOD_LENGTH), row_id

    chosen = min(ids, key=awkward)
    return (
        step.frame(LEDGER).filter(row_id=chosen).filter(pl.col("action").cast(pl.String) == action).row(0, named=True)
    )


def _texts(step: Handle, ids: list[str]) -> dict[str, list[dict[str, str]]]:
    rows = (
        pl.scan_parquet(step.folder / ROWS).filter(pl.col("row_id").is_in(ids)).select("row_id", "messages").collect()
    )
    return {row_id: [{**m, "content": m["content"] or ""} for m in messages] for row_id, messages in rows.iter_rows()}


def _raw_texts(step: Handle, ids: list[str]) -> dict[str, list[dict[str, str]]]:
    """Of rows that never became canonical: their raw text, from the quarantine."""
    held = step.frame(QUARANTINE).filter(pl.col("row_id").is_in(ids)).select("row_id", "text")
    return {row_id: [{"role": "as it came", "content": text or ""}] for row_id, text in held.iter_rows()}


def _changed_turns(
    before: list[dict[str, str]], after: list[dict[str, str]], limit: int, hide: bool
) -> list[tuple[str, Markup, Markup]]:
    turns = []
    for old, new in zip_longest(before, after, fillvalue={"role": "", "content": ""}):
        if old["content"] != new["content"]:
            left, right = differences(old["content"], new["content"], limit)
            turns.append((old["role"] or new["role"], Markup("") if hide else left, right))
    return turns


def _twins(entry: dict[str, Any], former: Handle, judging: Mapping[str, str]) -> list[tuple[str, str]]:
    """(name in the evidence, text) of the rows that an entry's evidence names."""
    named = {value: name for name, value in json.loads(entry["evidence"]).items() if isinstance(value, str)}
    beside = {row_id: "\n".join(m["content"] for m in turns) for row_id, turns in _texts(former, list(named)).items()}
    return [(named[row_id], text) for row_id, text in ({**judging, **beside}).items() if row_id in named]


def _example(
    entry: dict[str, Any], kind: str, rows: int, turns: list[tuple[str, Markup, Markup]],
    twins: Sequence[tuple[str, str]] = (), limit: int = 0, clean: Callable[[str], str] = str,
) -> Example:  # fmt: skip
    told = json.loads(entry["evidence"]).items()
    evidence = [(name, short(clean(_value(value)), limit)) for name, value in told]
    where = f"{entry['source']}:{entry['line']}"
    return Example(
        entry["step"], str(entry["action"]), kind, rows, entry["row_id"], where, turns, evidence, list(twins)
    )


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _plain(text: str, limit: int) -> Markup:
    return Markup("{}").format(visible(short(text, limit)))


def _safe_from(steps: Sequence[Handle]) -> int:
    """The position of redact: what it and later steps leave is safe to show, what came before is not."""
    return next((i for i, step in enumerate(steps) if step.step == REDACT), len(steps))


def _touched(steps: Sequence[Handle]) -> set[str]:
    """The rows that redact found something in."""
    return {row_id for step in steps if step.step == REDACT for row_id in step.frame(LEDGER)["row_id"]}
