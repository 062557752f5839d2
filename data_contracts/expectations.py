"""Runs a contract with Great Expectations (GX), its own expectations and ours (custom_expectations.py). Importing
this takes seconds.
"""

from __future__ import annotations

import logging
import os
from typing import Any

import polars as pl

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # no telemetry from our defaults; read by GX at import

import great_expectations as gx
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.registry import get_expectation_impl

import data_contracts.custom_expectations  # noqa: F401 - from now on GX knows ours
from data_contracts import vocabulary
from data_contracts.contract import Contract, Expectation
from tasks.core.errors import RecipeError

logging.getLogger("great_expectations").setLevel(logging.ERROR)

NAMED = 200  # failing rows that are named for each expectation; more than that is a fault of the source, not of rows
SEVERITY = {"block": "critical", "warn": "warning"}  # GX's words for ours


def validate(contract: Contract, facts: pl.DataFrame) -> dict[str, Any]:
    """GX's own result as JSON, one of `results` for each expectation of the contract, in its order.

    facts: sorted by row_id (facts.row_facts). What differs from run to run (ids, times, versions) is left out: the same
    rows give the same bytes. Raises RecipeError when GX cannot make or evaluate an expectation.
    """
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("rows").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("rows").get_batch({"dataframe": facts.to_pandas()})
    suite = gx.ExpectationSuite(contract.name, [_made(e, n) for n, e in enumerate(contract.expectations)])
    told = batch.validate(
        suite,
        result_format={  # SUMMARY names rows when asked for an index; COMPLETE is five times slower on a million rows
            "result_format": "SUMMARY",
            "unexpected_index_column_names": ["row_id"],
            "partial_unexpected_count": NAMED,
        },
    ).to_json_dict()
    results = sorted(told["results"], key=lambda r: r["expectation_config"]["meta"]["number"])
    for expectation, result in zip(contract.expectations, results, strict=True):
        _check_evaluated(expectation, result)
    return {"success": told["success"], "statistics": told["statistics"], "results": [_stable(r) for r in results]}


def _made(expectation: Expectation, number: int) -> Any:
    fact = vocabulary.fact_of(expectation.name, expectation.arguments)
    column = {"column": fact} if fact else {}
    try:
        return get_expectation_impl(expectation.name)(
            **column,
            **expectation.arguments,
            severity=SEVERITY[expectation.severity],
            notes=expectation.why or None,
            meta={"number": number},
        )
    except (ValueError, TypeError) as error:  # pydantic's ValidationError is a ValueError
        raise _refused(expectation, str(error)) from error


def _check_evaluated(expectation: Expectation, result: dict[str, Any]) -> None:
    """An expectation that raised was not evaluated, which is neither kept nor broken."""
    told = result["exception_info"]
    for raised in [told] if "raised_exception" in told else told.values():  # one, or one for each metric
        if raised["raised_exception"]:
            raise _refused(expectation, raised["exception_message"])


def _refused(expectation: Expectation, why: str) -> RecipeError:
    return RecipeError(
        f"Great Expectations cannot evaluate {expectation.rule}: {why}",
        where=f"{expectation.file}, {expectation.name}",
        allowed="arguments as Great Expectations documents them, on a column of that type",
        todo="correct the contract",
    )


def _stable(result: dict[str, Any]) -> dict[str, Any]:
    config = result["expectation_config"]
    arguments = {key: value for key, value in config["kwargs"].items() if key != "batch_id"}
    kept = {key: config[key] for key in ("type", "severity", "notes") if config.get(key)}
    told = {"success": result["success"], "result": result["result"]}
    return {"expectation_config": {**kept, "kwargs": arguments}, **told}
