"""Rows worth showing in a report: one for each kind of change and of loss, and the worst answers of a model.

Which row is shown follows from row ids and texts alone, so a report of the same artifacts is the same report. Of texts
before redact, those are shown that it later found nothing in, with the words covered that it never saw because they had
been taken out; and, of rows that never came to it, those without their addresses and long numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import Any

import polars as pl
from markupsafe import Markup

from tasks.core.handle import LEDGER, QUARANTINE, ROWS, Handle
from tasks.core.ledger import GONE
from tasks.core.row import with_calls
from tasks.core.text.display import differences, impersonal, short, visible
from tasks.facts.scores import MetricWords
from tasks.metrics.answer_schema import parse
from tasks.model.chat_template import Message
from tasks.reporting.ledger_in_words import ROWS as TWINS
from tasks.reporting.ledger_in_words import in_words

RULES = "rules"  # in the evidence of a step that is made of several: those that fired
REDACT = "redact"  # the step after which texts are free of personal data
CANDIDATES = 20  # rows of a kind that are looked at, by row id, for one of a good length
GOOD_LENGTH = 160  # characters: enough to say something, little enough to read


@dataclass(frozen=True)
class Example:
    """One row that a step changed or let go.

    rows: how many are of its kind. turns: (role, before, after) of each turn that differs; after is empty for a row
    that went. evidence: in words. twins: (what it is, turns) of the rows that the evidence names.
    """

    step: str
    action: str
    reason: str
    rows: int
    row_id: str
    where: str
    turns: list[tuple[str, Markup, Markup]]
    evidence: str
    twins: list[tuple[str, list[tuple[str, Markup]]]]


@dataclass(frozen=True)
class Mistake:
    """A wrong answer. failed: the metrics it fails, the gravest first. fields: (name, expected,
    got) where they differ.
    """

    row_id: str
    set: str
    slice: str
    failed: list[str]
    question: str
    expected: str
    answer: str
    fields: list[tuple[str, str, str]]


def changed_rows(steps: Sequence[Handle], limit: int) -> list[Example]:
    """One changed row of each kind, in the order of the steps, the most frequent kind first.

    Rows that redact changed are not shown before it did, of its own changes only the result is shown, and words that
    were taken out before it are covered. limit: characters of a text that are shown.
    """
    secret, safe = _touched(steps), redacted_at(steps)
    found = []
    for i, (former, step) in enumerate(pairwise(steps), 1):
        for kind, rows, ids in _kinds(step, "changed", leave_out=secret if i < safe else ()):
            before, after = texts_of(former, ids), texts_of(step, ids)
            if not after:  # all let go by the same step: shown among the rows that went
                continue
            entry = _pick(step, "changed", sorted(after), after)
            turns = _changed_turns(before[entry["row_id"]], after[entry["row_id"]], limit, cover=i < safe)
            if i == safe:
                turns = [(role, Markup(""), text) for role, _, text in turns]
            found.append(_example(entry, kind, rows, turns, [], limit, impersonal))
    return found


def lost_rows(steps: Sequence[Handle], heldout: Mapping[str, str], limit: int) -> list[Example]:
    """One dropped or quarantined row of each kind, with the rows that its evidence names beside it.

    heldout: {row_id: text} of the holdout and the edge cases, which a leaked row is shown beside.
    """
    found, safe = [], redacted_at(steps)
    for i, step in enumerate(steps):
        clean: Callable[[str], str] = impersonal if i <= safe else str

        def shown(turns: Sequence[Message], clean: Callable[[str], str] = clean) -> list[tuple[str, Markup]]:
            return [(turn["role"], _plain(clean(turn["content"]), limit)) for turn in turns]

        for action in GONE:
            for kind, rows, ids in _kinds(step, action):
                texts = texts_of(steps[i - 1], ids) if i else _raw_texts(step, ids)
                entry = _pick(step, action, ids, texts)
                turns = [(role, text, Markup("")) for role, text in shown(texts.get(entry["row_id"], []))]
                beside = _twins(entry, steps[i - 1], heldout) if i else []
                twins = [(name, shown(messages)) for name, messages in beside]
                found.append(_example(entry, kind, rows, turns, twins, limit, clean))
    return found


def mistakes(graded: pl.DataFrame, metrics: Mapping[str, MetricWords]) -> list[Mistake]:
    """Every wrong answer, the gravest first: by the first metric it fails, then by how many.

    graded, of one variant: row_id, set, slice, question, expected, answer, one column a metric. metrics: in falling
    gravity. A number is never a mistake. Nor is one that sums up the others, where there are others: a reply in other
    words, say.
    """
    yes_or_no = {name: words for name, words in metrics.items() if not words.is_number}
    checks = [name for name, words in yes_or_no.items() if not words.sums_up] or list(yes_or_no)[-1:]
    wrong = graded.filter(~pl.all_horizontal(pl.col(checks).fill_null(True)))  # null: not one of this row's metrics
    found = []
    for row in wrong.sort("set", "row_id", descending=[True, False]).iter_rows(named=True):  # holdout before edge cases
        failed = [m for m in checks if row[m] is False]
        fields = _fields(row["expected"], row["answer"], failed)
        # Redact saw none of these.
        texts = {key: impersonal(row[key] or "") for key in ("question", "expected", "answer")}
        found.append(Mistake(row["row_id"], row["set"], row["slice"] or "", failed, **texts, fields=fields))
    return sorted(found, key=lambda m: (checks.index(m.failed[0]), -len(m.failed)))


def _fields(expected: str, answer: str, names: list[str]) -> list[tuple[str, str, str]]:
    wanted, got = parse(expected) or {}, parse(answer)
    if got is None:
        return []
    pairs = [(name, str(wanted[name]), str(got.get(name, "(missing)"))) for name in names if name in wanted]
    return [(name, impersonal(right), impersonal(wrong)) for name, right, wrong in pairs]


def _kinds(step: Handle, action: str, leave_out: Collection[str] = ()) -> list[tuple[str, int, list[str]]]:
    """(reason, rows, the first row ids) of each kind of entry in a step's ledger, the most frequent first.

    Of changes whose evidence lists rules, each rule is a kind, and rows that only it touched come first.
    """
    listed = pl.col("evidence").str.json_path_match(f"$.{RULES}") if action == "changed" else pl.lit(None, pl.String)
    entries = step.frame(LEDGER).filter(pl.col("action").cast(pl.String) == action)
    groups = entries.group_by("reason", rules=listed).agg(pl.col("row_id").unique().sort()).sort("reason", "rules")
    kinds: dict[str, list[list[str]]] = {}
    for reason, rules, ids in sorted(groups.iter_rows(), key=lambda group: len(json.loads(group[1] or "[]"))):
        for kind in [f"{reason}, {rule}" for rule in json.loads(rules or "[]")] or [reason]:
            kinds.setdefault(kind, []).append(ids)
    found = []
    for kind, parts in sorted(kinds.items(), key=lambda item: (-sum(map(len, item[1])), item[0])):
        usable = next((ids for part in parts if (ids := [i for i in part if i not in leave_out])), [])
        found += [(kind, sum(map(len, parts)), usable[:CANDIDATES])] if usable else []
    return found


def _pick(step: Handle, action: str, ids: list[str], texts: dict[str, Any]) -> dict[str, Any]:
    """The ledger entry of the row whose text has the best length to read."""

    def awkward(row_id: str) -> tuple[float, str]:
        asked = sum(len(turn["content"]) for turn in texts.get(row_id, []) if turn["role"] != "assistant")
        return abs(asked - GOOD_LENGTH), row_id

    entries = step.frame(LEDGER).filter(pl.col("action").cast(pl.String) == action)
    return entries.filter(row_id=min(ids, key=awkward)).row(0, named=True)


def texts_of(step: Handle, ids: list[str]) -> dict[str, list[Message]]:
    """{row_id: messages, with their tool calls as text} of those of `ids` that `step` left."""
    rows = pl.scan_parquet(step.folder / ROWS).filter(pl.col("row_id").is_in(ids)).collect()
    told = with_calls(rows).select("row_id", "messages").iter_rows()
    return {row_id: [{**turn, "content": turn["content"] or ""} for turn in messages] for row_id, messages in told}


def _raw_texts(step: Handle, ids: list[str]) -> dict[str, list[Message]]:
    """Of rows that never became canonical: their raw text, from the quarantine."""
    held = step.frame(QUARANTINE).filter(pl.col("row_id").is_in(ids)).select("row_id", "text")
    return {row_id: [{"role": "as it came", "content": text or ""}] for row_id, text in held.iter_rows()}


def _changed_turns(
    before: list[Message], after: list[Message], limit: int, cover: bool
) -> list[tuple[str, Markup, Markup]]:
    turns = []
    for old, new in zip_longest(before, after, fillvalue={"role": "", "content": ""}):
        if old["content"] != new["content"]:
            left, right = differences(old["content"], new["content"], limit, cover=cover)
            turns.append((old["role"] or new["role"], left, right))
    return turns


def _twins(entry: dict[str, Any], former: Handle, heldout: Mapping[str, str]) -> list[tuple[str, list[Message]]]:
    """(what it is, messages) of the rows that an entry's evidence names."""
    named = {value: name for name, value in json.loads(entry["evidence"]).items() if isinstance(value, str)}
    asked = {row_id: [{"role": "user", "content": heldout[row_id]}] for row_id in named if row_id in heldout}
    found = asked | texts_of(former, list(named))
    return [(TWINS.get(named[row_id], named[row_id]), messages) for row_id, messages in sorted(found.items())]


def _example(
    entry: dict[str, Any],
    kind: str,
    rows: int,
    turns: list[tuple[str, Markup, Markup]],
    twins: list[tuple[str, list[tuple[str, Markup]]]],
    limit: int,
    clean: Callable[[str], str] = str,
) -> Example:
    evidence = short(clean(in_words(json.loads(entry["evidence"]))), limit)
    where = f"{entry['source']}:{entry['line']}"
    return Example(entry["step"], str(entry["action"]), kind, rows, entry["row_id"], where, turns, evidence, twins)


def _plain(text: str, limit: int) -> Markup:
    return Markup("{}").format(visible(short(text, limit)))


def redacted_at(steps: Sequence[Handle]) -> int:
    """The position of redact: what it and later steps leave is safe to show, what came before is not."""
    return next((i for i, step in enumerate(steps) if step.step == REDACT), len(steps))


def _touched(steps: Sequence[Handle]) -> set[str]:
    """The rows that redact found something in."""
    return {row_id for step in steps if step.step == REDACT for row_id in step.frame(LEDGER)["row_id"]}
