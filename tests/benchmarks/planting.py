"""Planting defects in clean rows, and scoring what curation made of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tasks.metrics.intervals import wilson
from tests.benchmarks.curating import Run
from tests.benchmarks.quality_defects import MARK, Defect, Row
from tests.benchmarks.table import Figure

CONFIDENCE = 0.95
PLACEHOLDER = re.compile(r"<[A-Z]+_\d+>")


@dataclass(frozen=True)
class Line:
    """A line of the planted file.

    defect: name of what it is made into, empty for a clean row. twin: line of the row a copy was made of, 0 if there is
    none. expected: what it must be in the end, where it is to be mended.
    """

    row: Row
    defect: str = ""
    twin: int = 0
    expected: Row | None = None


def plant(base: Sequence[Row], holdout: Sequence[Row], defects: Sequence[Defect], rate: float, seed: int) -> list[Line]:
    """The file's lines, in random order. Each base row is used once at most; a defect is planted in `rate` of them."""
    random, count = Random(seed), round(rate * len(base))
    pool, heldout = _shuffled(base, random), _shuffled(holdout, random)
    lines: list[tuple[Line, int | None]] = []  # with the place of the row it is a copy of
    for defect in defects:
        for row, made in _made(defect, heldout if defect.holdout else pool, count, random):
            twin = None
            if defect.copy and not defect.holdout:
                twin = len(lines)
                lines.append((Line(row), None))
            lines.append((_line(defect, row, made), twin))
    lines += [(Line(row), None) for row in pool]
    order = list(range(len(lines)))
    random.shuffle(order)
    number = {place: i for i, place in enumerate(order, 1)}
    placed = [lines[place] for place in order]
    return [line if twin is None else Line(line.row, line.defect, number[twin], line.expected) for line, twin in placed]


def _shuffled(rows: Sequence[Row], random: Random) -> list[Row]:
    return random.sample(list(rows), len(rows))


def _made(defect: Defect, pool: list[Row], count: int, random: Random) -> list[tuple[Row, Row]]:
    """Up to `count` rows that are fit for it, taken out of the pool, each with what it becomes."""
    found, left = list[tuple[Row, Row]](), list[Row]()
    while pool and len(found) < count:
        row = pool.pop()
        made = defect.make(row, random)
        if made is None:
            left.append(row)
        else:
            found.append((row, made))
    pool[:0] = left
    return found


def _line(defect: Defect, row: Row, made: Row) -> Line:
    plain = made[0].replace(MARK, ""), made[1]
    if defect.mend == "redacted":
        before, _, after = made[0].split(MARK)
        return Line(plain, defect.name, expected=(f"{before}<>{after}", made[1]))
    return Line(plain, defect.name, expected=row if defect.mend == "same" else None)


@dataclass(frozen=True)
class Score:
    """planted, found: defects. flagged, right: rows that the ledger says have it, and those of them that do.

    missed, false: lines of defects that were not found, and of rows that are said to have it and do not.
    """

    defect: Defect
    planted: int
    found: int
    flagged: int
    right: int
    missed: list[int]
    false: list[int]

    @classmethod
    def sum(cls, scores: Sequence[Score]) -> Score:
        """Of the same defect, planted several times; without the lines, which belong to a file each."""
        planted, found = sum(s.planted for s in scores), sum(s.found for s in scores)
        return cls(
            scores[0].defect, planted, found, sum(s.flagged for s in scores), sum(s.right for s in scores), [], []
        )

    def figures(self) -> Figure:
        recall, precision = self.found / max(self.planted, 1), self.right / max(self.flagged, 1)
        low, high = wilson(self.found, self.planted, CONFIDENCE)
        told = f"{recall:.1%} ({low:.1%} to {high:.1%}) of {self.planted}, {precision:.1%} of {self.flagged:,}"
        aim = self.defect.aim
        return Figure(
            self.defect.name, told, *((f"{aim:g} and {aim:g}", min(recall, precision) >= aim) if aim else ("", None))
        )


def score(lines: Sequence[Line], run: Run, defects: Sequence[Defect]) -> list[Score]:
    """For each defect. A copy is found when it or its twin is; any other when it went for its reason, or is as it
    should be.
    """
    events, texts = run.events(), run.texts()
    by_name = {defect.name: defect for defect in defects}
    made = {i: by_name[line.defect] for i, line in enumerate(lines, 1) if line.defect in by_name}
    twins = {lines[i - 1].twin: defect for i, defect in made.items() if lines[i - 1].twin}
    scores = []
    for defect in defects:
        own = [i for i, line in enumerate(lines, 1) if line.defect == defect.name]
        flagged = {i for i, told in events.items() if _means(told, defect)}
        right = {i for i in flagged if (true := made.get(i) or twins.get(i)) and _means(events[i], true)}
        missed = [i for i in own if not _done(i, lines[i - 1], defect, flagged, texts)]
        scores.append(
            Score(defect, len(own), len(own) - len(missed), len(flagged), len(right), missed, sorted(flagged - right))
        )
    return scores


def _means(events: Sequence[str], defect: Defect) -> bool:
    return any(told == word or told.startswith(f"{word}:") for told in events for word in defect.found)


def _done(number: int, line: Line, defect: Defect, flagged: set[int], texts: dict[int, Row]) -> bool:
    if defect.mend == "go":
        return number in flagged or line.twin in flagged
    if number not in texts or line.expected is None:
        return False
    asked, said = texts[number]
    asked = PLACEHOLDER.sub("<>", asked) if defect.mend == "redacted" else asked
    return (" ".join(asked.split()), said.strip()) == (" ".join(line.expected[0].split()), line.expected[1].strip())


@dataclass(frozen=True)
class Harm:
    """What befell rows without a defect.

    clean, decoys: how many there are. gone: clean lines that went. fooled: decoys that went or were changed.
    """

    clean: int
    gone: list[int]
    decoys: int
    fooled: list[int]


def harm(lines: Sequence[Line], run: Run, decoys: Sequence[Defect]) -> Harm:
    """A row with a copy beside it is not counted as clean, since one of the two has to go; nor is a decoy's twin."""
    names, twins, gone, events = (
        {decoy.name for decoy in decoys},
        {line.twin for line in lines},
        run.gone(),
        run.events(),
    )
    clean = [i for i, line in enumerate(lines, 1) if not line.defect and i not in twins]
    posed = [i for i, line in enumerate(lines, 1) if line.defect in names]
    return Harm(len(clean), [i for i in clean if i in gone], len(posed), [i for i in posed if i in events])
