"""Every gate rule, once."""

from __future__ import annotations

from tasks.evaluation.gate_rules import at_least, better_than_baseline, not_worse_than_champion
from tasks.evaluation.gate_rules.base import GateRule

RULES: tuple[GateRule, ...] = (at_least.RULE, better_than_baseline.RULE, not_worse_than_champion.RULE)
