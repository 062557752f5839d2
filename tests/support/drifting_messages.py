"""Made messages that drift is looked for in, and the look at them: for tests, and for the measured table of
infra/README.md.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from tasks.metrics import drift
from tasks.monitoring.retrain_rule import WatchSettings

RULE = WatchSettings()
LEVEL = RULE.significance
COMMON = np.array(["the", "my", "is", "where", "please", "order", "not", "in", "for", "and"])
TOPICS = {
    "parcel": "parcel late courier tracking door",
    "refund": "refund money card bank paid",
    "login": "password login email code app",
}
SHARES = {"parcel": 0.5, "refund": 0.3, "login": 0.2}


def sent(dice: np.random.Generator, rows: int, shares: dict[str, float] = SHARES) -> pl.DataFrame:
    """Messages as people send them: a topic, its words and everybody's, of lengths with a long tail."""
    topics = dice.choice(list(shares), rows, p=list(shares.values()))
    texts = []
    for topic in topics:
        size = 4 + int(dice.geometric(0.08))
        own = dice.choice(TOPICS[topic].split(), size)
        texts.append(" ".join(np.where(dice.random(size) < 0.3, own, dice.choice(COMMON, size))))
    return pl.DataFrame({"text": texts, "label": topics})


def found(before: pl.DataFrame, now: pl.DataFrame) -> dict[str, drift.Test]:
    sizes = [side["text"].str.len_chars().cast(pl.Int64) for side in (before, now)]
    return {
        "length": drift.lengths(*sizes),
        "words": drift.words(before["text"], now["text"])[0],
        "labels": drift.labels(before["label"], now["label"]),
    }


def alarms(test: drift.Test, what: str) -> bool:
    limits = {"length": RULE.length_effect, "words": RULE.word_effect, "labels": RULE.label_effect}
    return test.found(LEVEL, limits[what])
