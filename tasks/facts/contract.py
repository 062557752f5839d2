"""What check hands on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tasks.core.facts import Facts


class FailingRow(Facts):
    """A row that an expectation does not hold of, as it may be shown. where: source and line."""

    row_id: str
    where: str
    text: str


class ExpectationFacts(Facts):
    """How an expectation held: of `checked` rows `failed`. observed: what was seen of a table as a whole."""

    name: str
    rule: str = ""
    severity: Literal["block", "warn"]
    success: bool
    checked: int
    failed: int
    share: float
    observed: str = ""
    examples: list[FailingRow] = Field(default_factory=list)
    description: str = ""
    file: str = ""


class ContractFacts(Facts):
    """passed: every expectation that blocks holds. warnings: how many of the others do not."""

    contract: str = ""
    description: str = ""
    rows: int = 0
    expectations: list[ExpectationFacts] = Field(default_factory=list)
    passed: bool
    warnings: int = 0
