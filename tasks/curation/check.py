"""check: hold the dataset against its contract (data_contracts/), before anything trains on it.

    relations = RelationInputs(
        RelationSettings(recipe.dedupe, recipe.conflicts, recipe.decontaminate),
        HeldoutRows(holdout=holdout, edge_cases=edge_cases, benchmarks=benchmarks),
        seen_by_conflicts=(steps[5], conflicts),
        seen_by_decontaminate=(steps[8], decontaminate),
    )
    made = check(place, CheckSettings(), contract=read_contract("support_triage"), rows=handle, answer=recipe.answer,
                 kind=SFT, tokens=TokenInputs(base, recipe.prompt), personal=recipe.redact, relations=relations)

A contract is for one kind of dataset (sft, preference, classification), and only what it speaks of is computed. The
base model's tokenizer counts tokens; held-out rows are what may not leak; a contract that asks for what was not given
is refused. Personal data, twins, contradictions and leaks are what redact, dedupe, conflicts and decontaminate find, as
the recipe set them (personal, relations.settings) and among the rows that they were given (relations.seen_by_...); what
conflicts and decontaminate have answered about these very rows is not asked again (tasks/contract/known_answers.py).

Leaves facts.json, great_expectations.json (GX's own result) and failing_rows.csv (up to 200 for each expectation). When
one of severity `block` fails, the same three lie in HOME/contracts/<contract>-<digest>/, and the flow ends.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from data_contracts.contract import Contract, Expectation, check_kind, short
from data_contracts.vocabulary import COLUMNS, COSTLY, FIELD, unknown
from tasks.contract.facts import text_columns
from tasks.contract.known_answers import RelationInputs, step_inputs
from tasks.contract.measure import FactSources, facts_for
from tasks.core.errors import ContractError
from tasks.core.handle import FACTS, Handle
from tasks.core.home import digest_path, home
from tasks.core.process import terminal
from tasks.core.process.run_page import show
from tasks.core.row_kind import SFT, RowKind
from tasks.core.settings import Settings
from tasks.core.text.display import DIGEST
from tasks.core.work import StepDirs, StepResult
from tasks.facts.contract import ContractFacts, ExpectationFacts, FailingRow
from tasks.metrics.answer_schema import AnswerSettings
from tasks.model.chat_template import PromptSettings
from tasks.personal_data.finders import PersonalData
from tasks.personal_data.hiding import mask_in_json, mask_personal_data

EXAMPLES = 5  # enough to see what is wrong; all the rows, up to 200, are in failing_rows.csv
EXCERPT = 70  # characters of a question or an answer: two of them fit a line of a wide terminal
MODEL = "model"  # of a base model's artifact, the folder of weights and tokenizer
PERSONAL, RELATIONS = PersonalData(), RelationInputs()
GX_RESULT, FAILING = "great_expectations.json", "failing_rows.csv"


class CheckSettings(Settings):
    """Nothing to set: what the data must be is said in the contract."""


@dataclass(frozen=True)
class TokenInputs:
    """What counts a row's tokens. base: the folder `model` in it holds the tokenizer. prompt: as the model is asked."""

    base: Handle | None = None
    prompt: PromptSettings = field(default_factory=PromptSettings)

    @property
    def tokenizer(self) -> Path | None:
        return self.base.folder / MODEL if self.base else None


NO_TOKENIZER = TokenInputs()


def check(
    place: StepDirs,
    settings: CheckSettings,
    contract: Contract,
    rows: Handle,
    answer: AnswerSettings,
    kind: RowKind = SFT,
    tokens: TokenInputs = NO_TOKENIZER,
    personal: PersonalData = PERSONAL,
    relations: RelationInputs = RELATIONS,
) -> StepResult:
    """Hold every row against the contract, with Great Expectations.

    rows: ROW_SCHEMA. A contract speaks of row facts: data_contracts.vocabulary.COLUMNS and COSTLY, and field_<name> for
    each graded field of the answer.
    Facts: contract, description, rows, passed, warnings (how many), expectations: for each name, rule, severity,
    success, checked and failed (rows; none failed where it is about the whole table), share, observed (text), examples
    [{row_id, where, text}], description (why), file. Told: seconds, of facts and of great_expectations, its import
    included; answered, the columns that steps had answered. Raises ContractError when an expectation of severity
    `block` fails; RecipeError when one cannot be evaluated or measured, or when the contract is for another kind.
    """
    check_kind(contract, kind.name)
    _check_columns(contract, answer)
    frame, started = rows.frame(), time.perf_counter()
    place.progress(0.1, f"row facts of {frame.height:,} rows")
    seen = step_inputs(relations, kind=kind, answer=answer)
    heldout = [one.frame() for one in relations.heldout.by_name().values()]
    sources = FactSources(answer, kind, tokens.prompt, tokens.tokenizer, heldout, personal, relations.settings, seen)
    facts = facts_for(contract, frame, sources)
    place.progress(0.4, f"{len(contract.expectations)} expectations")
    measured = time.perf_counter()
    from data_contracts.expectations import validate  # imports Great Expectations, which takes seconds

    result = mask_in_json(validate(contract, facts), personal)
    validated = time.perf_counter()
    named = _named(contract, result["results"], frame, personal)
    findings = _findings(contract, result["results"], facts.height, named)
    seconds = {"facts": measured - started, "great_expectations": validated - measured}
    answered = sorted(column for column, rows in seen.items() if rows.removed is not None)
    made = replace(_made(contract, findings, facts.height), told={"seconds": seconds, "answered": answered})
    _write(place.out, result, named)
    place.progress(1.0, made.line)
    _stop_if_broken(place.out, contract, made, findings)
    return made


def _check_columns(contract: Contract, answer: AnswerSettings) -> None:
    """field_<name> is known only with the recipe's answer.graded; reading the contract checked the others."""
    known = [*COLUMNS, *COSTLY, *(f"{FIELD}{name}" for name in answer.graded)]
    for expectation in contract.expectations:
        for column in expectation.columns:
            if column not in known:
                raise unknown("column", column, known, f"{expectation.file} ({expectation.name})")


def _named(
    contract: Contract, results: list[dict[str, Any]], frame: pl.DataFrame, personal: PersonalData
) -> pl.DataFrame:
    """The failing rows that GX named: number of the expectation, its name and severity, row_id, source, line, text."""
    hits = [
        {"number": n, "expectation": e.rule, "severity": e.severity, "row_id": hit["row_id"], "value": _value(hit)}
        for n, (e, told) in enumerate(zip(contract.expectations, results, strict=True), 1)
        for hit in told["result"].get("partial_unexpected_index_list", [])
    ]
    columns = {"number": pl.Int64, **dict.fromkeys(["expectation", "severity", "row_id", "value"], pl.String)}
    found = pl.DataFrame(hits, schema=columns)
    texts = frame.join(found, on="row_id", how="semi").select("row_id", "source", "line", **text_columns())
    safe = mask_personal_data(pl.concat([texts["prompt"], texts["answer"]]), personal)
    texts = texts.with_columns(pl.col("prompt", "answer").replace(safe))
    shown = pl.struct("prompt", "answer").map_elements(_excerpt, return_dtype=pl.String)
    told = found.join(texts.with_columns(text=shown), on="row_id", how="left").sort("number", "row_id")
    return told.select("number", "expectation", "severity", "row_id", "source", "line", "value", "text")


def _value(hit: dict[str, Any]) -> str:
    """What the expectation saw in the row, where that says more than the text beside it: not true, not the question."""
    seen = {k: v for k, v in hit.items() if k not in ("row_id", "prompt_key") and not isinstance(v, bool)}
    return ", ".join(f"{key} {_shown(str(value))}" for key, value in seen.items())


def _shown(value: str) -> str:
    return value[:12] if DIGEST.fullmatch(value) else short(value, EXCERPT)


def _excerpt(texts: dict[str, str]) -> str:
    prompt, answer = (short(" ".join(texts[key].split()), EXCERPT) for key in ("prompt", "answer"))
    return f"{prompt or '(empty)'} -> {answer or '(empty)'}"


def _findings(
    contract: Contract, results: list[dict[str, Any]], rows: int, named: pl.DataFrame
) -> list[ExpectationFacts]:
    return [
        _finding(expectation, told, rows, named.filter(pl.col("number") == number))
        for number, (expectation, told) in enumerate(zip(contract.expectations, results, strict=True), 1)
    ]


def _finding(expectation: Expectation, told: dict[str, Any], rows: int, named: pl.DataFrame) -> ExpectationFacts:
    seen = told["result"]
    checked, failed = seen.get("element_count", rows), seen.get("unexpected_count") or 0
    observed = seen.get("observed_value")
    return ExpectationFacts(
        name=expectation.name,
        rule=expectation.rule,
        severity=expectation.severity,
        success=told["success"],
        checked=checked,
        failed=failed,
        share=failed / checked if checked else 0.0,
        observed="" if observed is None else short(observed, 300),
        examples=[
            FailingRow(
                row_id=row["row_id"],
                where=f"{row['source']}:{row['line']}",
                text=f"{row['value']} | {row['text']}" if row["value"] else row["text"],
            )
            for row in named.head(EXAMPLES).iter_rows(named=True)
        ],
        description=expectation.why,
        file=expectation.file,
    )


def _made(contract: Contract, findings: list[ExpectationFacts], rows: int) -> StepResult:
    failed = [f for f in findings if not f.success]
    warnings = [f for f in failed if f.severity == "warn"]
    line = f"{contract.name}: {len(findings) - len(failed)} of {len(findings)} expectations hold on {rows:,} rows"
    facts = ContractFacts(
        contract=contract.name,
        description=contract.description,
        rows=rows,
        expectations=findings,
        passed=len(failed) == len(warnings),
        warnings=len(warnings),
    )
    for warning in warnings:
        terminal.note(f"warning: {warning.rule}: {_measured(warning)}")
    line += f", {len(warnings)} warning{'s' * (len(warnings) > 1)}" if warnings else ""
    return StepResult("contract", line, facts.written(), _table(findings), rows)


def _table(findings: list[ExpectationFacts]) -> list[dict[str, Any]]:
    """What the Prefect UI shows, the failures first."""
    word = {"block": "FAILED", "warn": "warning"}
    return [
        {
            "result": "holds" if f.success else word[f.severity],
            "expectation": f.rule,
            "severity": f.severity,
            "measured": _measured(f),
            "why": f.description,
        }
        for f in sorted(findings, key=lambda f: (f.success, f.severity))
    ]


def _measured(finding: ExpectationFacts) -> str:
    if finding.observed:
        return f"observed {finding.observed}"
    return f"{finding.failed:,} of {finding.checked:,} rows ({finding.share:.1%})"


def _write(out: Path, result: dict[str, Any], named: pl.DataFrame) -> None:
    (out / GX_RESULT).write_text(json.dumps(result, indent=1, ensure_ascii=False))
    named.drop("number").write_csv(out / FAILING)


def _stop_if_broken(out: Path, contract: Contract, made: StepResult, findings: list[ExpectationFacts]) -> None:
    broken = [f for f in findings if f.severity == "block" and not f.success]
    if broken:
        _publish(made)
        raise _blocked(contract, made, broken, _keep(out, contract, made))


def _keep(out: Path, contract: Contract, made: StepResult) -> Path:
    """A step that raises leaves no artifact, so what a person needs now is kept by the name of its content."""
    (out / FACTS).write_text(json.dumps(made.facts, indent=1, ensure_ascii=False))
    kept = home() / "contracts" / f"{contract.name}-{digest_path(out)[:16]}"
    if not kept.exists():
        fresh = kept.with_name(f".{kept.name}-{uuid.uuid4().hex}")
        shutil.copytree(out, fresh)
        os.replace(fresh, kept)
    return kept


def _publish(made: StepResult) -> None:
    """The table that the step wrapper publishes for a step that ends well."""
    from prefect.artifacts import create_table_artifact
    from prefect.context import TaskRunContext

    if TaskRunContext.get() is not None:
        described = f"**check stopped the flow**: {made.line}"
        show(create_table_artifact, table=made.table, key="check", description=described)


_MEND = (
    f"mend the rows that {FAILING} there names, and run again; or let a step of the recipe mend or drop them (clean, "
    "redact, filter, dedupe); or, "
)


def _blocked(contract: Contract, made: StepResult, broken: list[ExpectationFacts], kept: Path) -> ContractError:
    told = [f"The data broke its contract {contract.name}, so nothing was trained: {made.line}."]
    for number, finding in enumerate(broken, 1):
        told += [f"  {number}. {finding.rule}: {_measured(finding)}"]
        told += [f"     {finding.description}"] if finding.description else []
        told += [f"       row {e.row_id[:12]}  {e.where}  {e.text}" for e in finding.examples]
    return ContractError(
        "\n".join(told),
        where=str(kept),
        allowed="every expectation of severity block holds",
        todo=(_MEND if any(finding.examples for finding in broken) else "")
        + "if the contract asks too much, change it or say `severity: warn` in "
        + " and ".join(sorted({finding.file for finding in broken}))
        + ", or in a contract that extends it",
    )
