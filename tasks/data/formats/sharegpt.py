"""ShareGPT: {conversations: [{from, value}]}, and LLaMA-Factory's pairs in it, whose answers are turns."""

from __future__ import annotations

from tasks.data.formats.base import Format
from tasks.data.formats.conversations import turns_under
from tasks.data.formats.preference_pairs import paired

KEYS = ("conversations", "conversation")

FORMAT = Format("sharegpt", shapes=(paired(KEYS), turns_under(*KEYS)))
