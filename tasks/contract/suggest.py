"""Drafts a contract from data: what holds today, with a margin and the reason for each line, for a person to go
through.

    text = suggest(rows, FactSources(answer, kind, prompt), name="helpdesk", origin="helpdesk.jsonl")

The draft extends the kind's own contract and repeats nothing of it. Its lines hold on these rows; what would block in
the kind's contract is turned into a warning that says how many rows have to be mended first.
"""

from __future__ import annotations

import math
import textwrap
from typing import Any

import polars as pl
import yaml

from data_contracts.contract import Contract, Expectation, read_contract
from data_contracts.vocabulary import COLUMNS, FIELD
from tasks.contract.measure import FactSources, columns_spoken_of, compute_facts
from tasks.core.errors import DataError
from tasks.core.row_kind import SFT

FEWER = 0.8  # of today's rows: an export a fifth smaller has lost something on its way
LISTED = 100  # values that a person can go through
MARGIN, STEP = 0.25, 0.01  # how much worse a rate may get: a quarter, and at least one row in a hundred
MOSTLY = 0.98  # of a length's 99th percentile: a hundredth is above it today, another is the margin
WIDTH = 116  # columns of a line of YAML
RARE = 0.001  # of all rows: a label so rare may be a slip, or a header that was read as a row
TOKEN_CHARACTERS = 4  # characters of English a token, for a first guess


def suggest(rows: pl.DataFrame, sources: FactSources, name: str, origin: str) -> str:
    """The text of a contract. rows: ROW_SCHEMA, at least one. origin: where they are from, for the first line.

    Raises DataError without rows.
    """
    if rows.is_empty():
        raise DataError(
            "There is no row to draft a contract from.",
            where=origin,
            allowed="at least one row",
            todo="name other data",
        )
    parent = read_contract(sources.kind.name)
    wanted = {*COLUMNS, *(f"{FIELD}{field}" for field in sources.answer.graded), "conflicts_with", "personal_data"}
    wanted |= {f"{sources.kind.compared_by}_twin"} | columns_spoken_of(parent)
    facts = compute_facts(rows, wanted, sources)
    lines = [
        *_counts(facts),
        *_labels(facts, sources),
        *_sizes(facts, sources),
        *_formats(facts, sources),
        *_rates(facts, sources),
    ]
    blocking, warning = _unmet(parent, facts, lines)
    return _written(name, origin, sources, facts, [*lines, *blocking], warning)


Line = tuple[str, dict[str, Any], str, str]  # name, arguments, severity, why


def _counts(facts: pl.DataFrame) -> list[Line]:
    rows = facts.height
    least = _down(max(1, FEWER * rows))
    why = f"There are {rows:,} rows today; a fifth fewer means that an export lost some on its way."
    return [("expect_table_row_count_to_be_between", {"min_value": least}, "block", why)]


def _labels(facts: pl.DataFrame, sources: FactSources) -> list[Line]:
    lines = []
    labelled = sources.kind.answer_is_label or sources.answer.label
    columns = ["label"] if labelled else []
    columns += [f"{FIELD}{field}" for field in sources.answer.graded if field != sources.answer.label]
    for column in columns:
        counts = facts[column].drop_nulls().value_counts(name="rows").sort(-pl.col("rows").cast(pl.Int64), column)
        values, rows = counts[column].to_list(), counts["rows"].to_list()
        if not 1 < len(values) <= LISTED:
            continue
        why = f"These {len(values)} values are there today; another is a slip, or a decision that belongs in this line."
        if rows[-1] < RARE * sum(rows):
            why += f" Is {values[-1]!r}, with {rows[-1]:,} of {sum(rows):,} rows, one of them?"
        lines.append(
            ("expect_column_values_to_be_in_set", {"column": column, "value_set": sorted(values)}, "block", why)
        )
        if column == "label" and rows[-1] > 1:
            lines.append(_balance(values, rows))
    return lines


def _balance(values: list[str], rows: list[int]) -> Line:
    most = rows[0] / sum(rows)
    arguments = {"column": "label", "min_rows": int(FEWER * rows[-1]), "max_share": _rate_above(most, 0.1)}
    why = (
        f"Today {values[-1]!r} is the rarest with {rows[-1]:,} rows, and {values[0]!r} the commonest with {most:.0%} "
        f"of all."
    )
    return ("expect_column_values_to_be_balanced", arguments, "warn", why)


def _sizes(facts: pl.DataFrame, sources: FactSources) -> list[Line]:
    kind = sources.kind
    names = (
        {"prompt_words": "Texts"} if kind.answer_is_label else {"prompt_words": "Questions", "answer_words": "Answers"}
    )
    names |= {"rejected_chars": "Rejected answers"} if kind.has_rejected else {}
    lines: list[Line] = []
    for column, what in names.items():
        middle, high, most = (_quantile(facts[column], q) for q in (0.5, 0.99, 1.0))
        unit = column.rpartition("_")[2].replace("chars", "characters")
        why = f"{what} have {middle:,} {unit} in the middle, {high:,} at the 99th percentile and {most:,} at most."
        arguments = {"column": column, "max_value": _up(max(high, 1)), "mostly": MOSTLY}
        lines.append(("expect_column_values_to_be_between", arguments, "warn", why))
    most = _quantile(facts["turns"], 1.0)
    if kind.is_conversation and most:
        least = _quantile(facts["turns"], 0.0)
        told = "Every row has one answer today" if most == 1 == least else f"Rows have up to {most} answers today"
        arguments = {"column": "turns", "min_value": least, "max_value": most}
        why = f"{told}; longer conversations are another format."
        lines.append(("expect_column_values_to_be_between", arguments, "warn", why))
    return lines


def _formats(facts: pl.DataFrame, sources: FactSources) -> list[Line]:
    """The rate of valid answers: by the schema, or as JSON where most answers are."""
    schema = bool(sources.answer.json_schema)
    good = facts["answer_problem"].is_null() if schema else facts["answer_is_json"]
    rate = float(good.sum()) / facts.height
    if sources.kind.answer_is_label or (rate == 1 if schema else rate < 0.5):  # the kind's contract asks for all
        return []
    arguments: dict[str, Any] = {"min_rate": max(0.0, round(1 - _rate_above(1 - rate), 2))}
    arguments |= {} if schema else {"form": "json"}
    what = "keep the recipe's schema" if schema else "are one JSON object"
    why = (
        f"{int(good.sum()):,} of {facts.height:,} answers {what} today, and the model learns the form of the others "
        f"too."
    )
    return [("expect_valid_format_rate_to_be_at_least", arguments, "block", why)]


def _rates(facts: pl.DataFrame, sources: FactSources) -> list[Line]:
    of = sources.kind.compared_by
    twins, conflicts = (facts[column].count() for column in (f"{of}_twin", "conflicts_with"))
    asks = sources.kind.is_conversation
    same = "ask the same or nearly the same as another" if asks else "are the same or nearly so as another"
    lines: list[Line] = []
    for name, rows, more, what in (
        ("duplicate", twins, {} if of == "prompt" else {"of": of}, same),
        ("conflict", conflicts, {}, "contradict another"),
    ):
        arguments = {"max_rate": _rate_above(rows / facts.height), **more}
        why = f"{f'{rows:,}' if rows else 'None'} of {facts.height:,} rows {what} today."
        lines.append((f"expect_{name}_rate_to_be_at_most", arguments, "warn", why))
    if not facts["personal_data"].count():
        why = "Nothing that redact would take out is in the data today, and nothing of it may come in."
        lines.append(("expect_personal_data_rate_to_be_at_most", {"max_rate": 0}, "block", why))
    return lines


def _unmet(parent: Contract, facts: pl.DataFrame, lines: list[Line]) -> tuple[list[Line], list[str]]:
    """What the kind's contract asks and these rows break, as far as no line above says it in other words.

    What blocks there, as lines that warn; what only warns there, as words for a comment.
    """
    from data_contracts.expectations import validate  # imports Great Expectations, which takes seconds

    known = set(facts.columns)
    said = {(name, Expectation(name=name, arguments=arguments, file="").columns) for name, arguments, *_ in lines}
    asked = [e for e in parent.expectations if (e.name, e.columns) not in said and set(e.columns) <= known]
    results = validate(parent.model_copy(update={"expectations": tuple(asked)}), facts)["results"]
    blocking: list[Line] = []
    warning: list[str] = []
    for expectation, result in zip(asked, results, strict=True):
        if result["success"]:
            continue
        failed = result["result"].get("unexpected_count")
        if expectation.severity == "warn":
            warning.append(expectation.rule + (f", {failed:,} row{'s' * (failed > 1)}" if failed else ""))
            continue
        today = f"{failed:,} of {facts.height:,} rows break this" if failed else "The data breaks this"
        why = f"{today} today. Mend them, then delete this line, and it blocks again. {expectation.why}"
        blocking.append((expectation.name, expectation.arguments, "warn", why.strip()))
    return blocking, warning


def _written(
    name: str, origin: str, sources: FactSources, facts: pl.DataFrame, lines: list[Line], warning: list[str]
) -> str:
    kind = sources.kind.name
    head = (
        f"Drafted from {facts.height:,} rows of {origin}. Each line says what holds today, with a margin, and why it "
        "was written; what ought to hold only you know. Go through them, tighten what matters, take `severity: warn` "
        "out where training must stop, and delete what you would not defend. "
        f"{kind}.yaml, which this extends, has the rest"
        + ("." if kind == SFT.name else f"; {SFT.name}.yaml explains the columns.")
    )
    tokens = _up(_quantile(facts["prompt_chars"] + facts["answer_chars"], 1.0) / TOKEN_CHARACTERS)
    body = "\n".join(map(_item, lines))
    seen = "".join(f"  #   {rule}\n" for rule in warning)
    seen = f"\n  # Of {kind}.yaml these warn on the data today:\n{seen}" if seen else ""
    return f"""\
{textwrap.fill(head, WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False)}

name: {name}
extends: {kind}

expectations:
{body}{seen}
  # Not measured here, because it takes a recipe's base model. Uncomment it if it is to hold.
  # - expect_tokens_to_be_within_budget: {{max_tokens: {max(tokens, 1)}}}  # a guess from the longest row
"""


def _item(line: Line) -> str:
    """One expectation as people write it: its arguments on one line if they fit, else one a line."""
    name, arguments, severity, why = line
    inline = yaml.safe_dump(
        arguments, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6
    ).strip()
    fits = len(name) + len(inline) < WIDTH
    told = f" {inline}\n" if fits else "\n" + "".join(_block({key: value}, 6) for key, value in arguments.items())
    warn = "    severity: warn\n" if severity == "warn" else ""
    return f"  - {name}:{told}{warn}{_block({'why': why}, 4)}"


def _block(pair: dict[str, Any], spaces: int) -> str:
    """A key with its value, a list in brackets."""
    style = None if isinstance(next(iter(pair.values())), list) else False
    text = yaml.safe_dump(pair, default_flow_style=style, allow_unicode=True, width=WIDTH - spaces)
    return textwrap.indent(text, " " * spaces)


def _quantile(values: pl.Series, q: float) -> int:
    return int(values.quantile(q, "higher") or 0)


def _rate_above(rate: float, margin: float = 0.0) -> float:
    """A rate that leaves room above today's: a quarter of it, and at least one row in a hundred; in
    whole hundredths.
    """
    return min(1.0, math.ceil(round(100 * (rate + max(margin, STEP, MARGIN * rate)), 6)) / 100)


def _down(number: float) -> int:
    """Two leading digits, the rest zeros: 1,234 is 1,200."""
    unit = 10 ** max(0, len(str(int(number))) - 2)
    return int(number // unit * unit)


def _up(number: float) -> int:
    unit = 10 ** max(0, len(str(math.ceil(number))) - 2)
    return int(math.ceil(number / unit) * unit)
