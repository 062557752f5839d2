"""How a version compares with the champion that it would replace, by what evaluation recorded of both."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.core.variants import CHAMPION, TUNED
from tasks.facts.scores import Scores


@dataclass(frozen=True)
class Comparison:
    """text: for a person, empty where there is no champion. is_worse: for certain, as far as an interval goes.
    is_unknown: the two were not compared, though they could have been.
    """

    text: str = ""
    is_worse: bool = False
    is_unknown: bool = False


def compare(champion: int, scores: Scores | None) -> Comparison:
    """champion: the version that is champion now, 0 for none. scores: of the version that would replace it."""
    if not champion:
        return Comparison()
    if scores is None or "champion" not in scores.model_fields_set:
        return Comparison(f"It was registered before versions were compared with the champion (version {champion}).")
    rival = scores.champion
    if rival is None or rival.version != champion:
        other = f"with version {rival.version}, and " if rival else ""
        return Comparison(f"It was compared {other}never with version {champion}, the champion.", is_unknown=True)
    difference = scores.against(CHAMPION, "holdout", scores.headline)
    if difference is None:
        reason = rival.unasked or "it gave no answers"
        return Comparison(f"Version {champion}, the champion, could not be asked: {reason}.", is_unknown=True)
    own, its = (scores.cell(name, "holdout", scores.headline).text(digits=1) for name in (TUNED, CHAMPION))
    told = (
        f"On {difference.n:,} holdout rows its {scores.headline} is {own}, that of version {champion}, the champion, "
    )
    told += f"{its}: {difference.text(digits=1)}"
    if difference.wins is not None:
        told += f"; {difference.wins:,} rows are right only with it, {difference.losses:,} only with the champion"
    lower = scores.words_of(scores.headline).lower_is_better
    return Comparison(f"{told}.", is_worse=difference.low > 0 if lower else difference.high < 0)
