"""What check_prompts hands on."""

from __future__ import annotations

from tasks.core.facts import Facts


class PromptFacts(Facts):
    """system: the system prompt of the prompted baselines."""

    system: str
