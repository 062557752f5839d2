"""Expectations of our own, as classes of Great Expectations (GX): the rates that decide whether fine-tuning data is fit
to use.

    - expect_duplicate_rate_to_be_at_most: {max_rate: 0.02}               # of: prompt (unless said), answer or pair
    - expect_conflict_rate_to_be_at_most: {max_rate: 0}
    - expect_leakage_rate_to_be_at_most: {max_rate: 0}
    - expect_personal_data_rate_to_be_at_most: {max_rate: 0, kinds: [email, phone]}   # all kinds unless said
    - expect_tokens_to_be_within_budget: {max_tokens: 1024, max_rate: 0.01}           # max_rate: 0 unless said
    - expect_valid_format_rate_to_be_at_least: {min_rate: 0.99}           # form: schema (unless said) or json
    - expect_column_values_to_be_balanced: {column: label, min_rows: 10, max_share: 0.4}

Each rate is of one row fact (vocabulary.fact_of), so GX names the rows that count against it. Arguments are in
vocabulary.OWN.
"""

from __future__ import annotations

from typing import Any, ClassVar

from great_expectations.compatibility import pydantic
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import ColumnAggregateExpectation, ColumnMapExpectation
from great_expectations.expectations.metrics import ColumnMapMetricProvider
from great_expectations.expectations.metrics.map_metric_provider import column_condition_partial


class ExpectColumnValuesToBeBalanced(ColumnAggregateExpectation):  # type: ignore[misc]
    """Expect every value of a column to have at least min_rows rows, and none more than max_share of the rows.

    Args:
        column (str): The column name.
        min_rows (int): The fewest rows any value may have. Default=1.
        max_share (float): The largest share of the rows, 0 to 1, that one value may have. Default=1.
        value_set (list): Values that count even when no row has them. Default: those that are there.

    observed_value: the rows of each value that has too few or too many; of the rarest and the commonest when none has.
    """

    min_rows: int = pydantic.Field(1, ge=1)
    max_share: float = pydantic.Field(1.0, gt=0, le=1)
    value_set: list[Any] = pydantic.Field(default_factory=list)

    metric_dependencies = ("column.value_counts",)
    success_keys = ("min_rows", "max_share", "value_set")

    def _validate(
        self, metrics: dict[str, Any], runtime_configuration: Any = None, execution_engine: Any = None
    ) -> dict[str, Any]:
        found = {value: int(rows) for value, rows in metrics["column.value_counts"].items()}
        counts = {**dict.fromkeys(self.value_set, 0), **found}
        most = self.max_share * sum(found.values())
        ranked = sorted(counts, key=lambda value: (counts[value], str(value)))
        wrong = [value for value in ranked if not self.min_rows <= counts[value] <= most]
        shown = {str(value): counts[value] for value in wrong or ranked[:1] + ranked[-1:]}
        return {"success": not wrong, "result": {"observed_value": shown}}


class TokensWithinBudget(ColumnMapMetricProvider):  # type: ignore[misc]
    """True of a row of at most max_tokens tokens."""

    condition_metric_name = "column_values.within_budget"
    condition_value_keys = ("max_tokens",)

    @column_condition_partial(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(cls, column: Any, max_tokens: int, **_: Any) -> Any:  # noqa: N805 - GX makes it a class method
        return column <= max_tokens


class FreeOfPersonalData(ColumnMapMetricProvider):  # type: ignore[misc]
    """True of a row in which none of the kinds was found."""

    condition_metric_name = "column_values.free_of_personal_data"
    condition_value_keys = ("kinds",)
    filter_column_isnull = False

    @column_condition_partial(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(cls, column: Any, kinds: list[str], **_: Any) -> Any:  # noqa: N805
        if not kinds:
            return column.isnull()
        return ~column.str.contains("|".join(rf"\b{kind}\b" for kind in kinds)).eq(True)


class RateExpectation(ColumnMapExpectation):  # type: ignore[misc]
    """The share of rows that have something against them, which may be at most max_rate.

    GX allows for a share that is good (`mostly`); this counts rows, so that one row in a hundred is no more than 0.01.
    """

    max_rate: float = pydantic.Field(0.0, ge=0, le=1)
    success_keys: ClassVar[tuple[str, ...]] = ("mostly", "max_rate")

    def _validate(
        self, metrics: dict[str, Any], runtime_configuration: Any = None, execution_engine: Any = None
    ) -> dict[str, Any]:
        told: dict[str, Any] = super()._validate(metrics, runtime_configuration, execution_engine)
        failed, rows = (told["result"].get(key) or 0 for key in ("unexpected_count", "element_count"))
        return {**told, "success": bool(failed <= round(self._allowed() * rows, 6))}

    def _allowed(self) -> float:
        return self.max_rate


class ExpectDuplicateRateToBeAtMost(RateExpectation):
    """Expect at most max_rate of the rows to repeat another row: those that dedupe would let go of."""

    map_metric = "column_values.null"
    of: str = "prompt"


class ExpectConflictRateToBeAtMost(RateExpectation):
    """Expect at most max_rate of the rows to be answered otherwise by another row: those that conflicts would hold
    back.
    """

    map_metric = "column_values.null"


class ExpectLeakageRateToBeAtMost(RateExpectation):
    """Expect at most max_rate of the rows to say what the holdout, the edge cases or a benchmark says: see
    decontaminate.
    """

    map_metric = "column_values.null"


class ExpectTokensToBeWithinBudget(RateExpectation):
    """Expect all rows, but for max_rate of them, to have at most max_tokens tokens."""

    map_metric = "column_values.within_budget"
    max_tokens: int = pydantic.Field(ge=1)
    success_keys = ("mostly", "max_rate", "max_tokens")


class ExpectValidFormatRateToBeAtLeast(RateExpectation):
    """Expect at least min_rate of the answers to have the form: that of the recipe's schema, or of one JSON object."""

    map_metric = "column_values.as_formed"
    min_rate: float = pydantic.Field(ge=0, le=1)
    form: str = "schema"
    success_keys = ("mostly", "min_rate")

    def _allowed(self) -> float:
        return 1 - self.min_rate


class AsFormed(ColumnMapMetricProvider):  # type: ignore[misc]
    """True of an answer without a problem: a null of answer_problem, a true of answer_is_json."""

    condition_metric_name = "column_values.as_formed"
    filter_column_isnull = False

    @column_condition_partial(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(cls, column: Any, **_: Any) -> Any:  # noqa: N805
        return column if column.dtype == bool else column.isnull()


class ExpectPersonalDataRateToBeAtMost(RateExpectation):
    """Expect at most max_rate of the rows to hold personal data of the kinds named, or of any kind."""

    map_metric = "column_values.free_of_personal_data"
    kinds: list[str] = pydantic.Field(default_factory=list)
    success_keys = ("mostly", "max_rate", "kinds")
