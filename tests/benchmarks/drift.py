"""How often `watch` calls a drift: where there is none, and where a share of the new rows turned to one topic.

    python -m tests.benchmarks.drift

Prints the figures of infra/README.md. 1,000 made messages of three topics are learnt from
(tests/support/drifting_messages.py); a look is the tests of lengths, words and labels, at the settings that a recipe
has unless it says otherwise.
"""

from __future__ import annotations

import numpy as np

from tests.support.drifting_messages import SHARES, alarms, found, sent

LEARNT, ROWS, TURNED = 1000, (50, 100, 300), (0.2, 0.35, 0.5)
LOOKS, BATCHES = 500, 60  # of each number of rows: without a drift, and with one of each size


def main() -> None:
    dice = np.random.default_rng(0)
    false = {rows: sum(called(dice, rows, 0) for _ in range(LOOKS)) for rows in ROWS}
    print(f"of {LOOKS * len(ROWS):,} looks at rows of the same kind {sum(false.values())} called a drift: {false}\n")
    print("| share turned |" + "".join(f" {rows} rows |" for rows in ROWS))
    print("|---|" + "---|" * len(ROWS))
    for share in TURNED:
        seen = [sum(called(dice, rows, share) for _ in range(BATCHES)) / BATCHES for rows in ROWS]
        print(f"| {share * 100:.0f} % |" + "".join(f" {part * 100:.0f} % |" for part in seen))


def called(dice: np.random.Generator, rows: int, turned: float) -> bool:
    """Whether a look at new rows calls a drift. turned: the share of them that is of one topic in
    the place of its own.
    """
    shares = {topic: share * (1 - turned) + turned * (topic == "login") for topic, share in SHARES.items()}
    return any(alarms(test, what) for what, test in found(sent(dice, LEARNT), sent(dice, rows, shares)).items())


if __name__ == "__main__":
    main()
