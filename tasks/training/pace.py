"""The pace of a training: how long it still takes by the steps it has made, and when the estimate was wrong.

An estimate stands on the machine as it was for a moment. Beside other work, or with longer rows than most, it takes
another time, and who looks at it must not wait for what was said first.
"""

from __future__ import annotations

BURST = 1.0  # seconds in which a resumed trainer tells the steps of its last attempt
SURE = 20.0  # seconds of steps that a pace needs before it corrects an estimate
WRONG = 1.5  # times as long as estimated, or a part as short


class Pace:
    """estimated: seconds for all `steps` from now on. now: any clock's seconds, here and below."""

    def __init__(self, steps: int, estimated: float, now: float) -> None:
        self._steps, self._estimated, self._started = steps, estimated, now
        self._first: tuple[float, int] | None = None

    def left(self, step: int, now: float) -> float:
        """Seconds from `step` to the end: as estimated, until there is a pace."""
        if self._first is None and now - self._started >= BURST:
            self._first = (now, step)
        since, first = self._first or (now, step)
        if step == first:
            return self._estimated * (1 - step / self._steps)
        return (self._steps - step) * (now - since) / (step - first)

    def correction(self, step: int, now: float) -> float | None:
        """Seconds from the start to the end, where they are far from the last estimate; else None."""
        left = self.left(step, now)
        if self._first is None or now - self._first[0] < SURE or step == self._steps:
            return None
        whole = now - self._started + left
        if 1 / WRONG < whole / self._estimated < WRONG:
            return None
        self._estimated = whole
        return whole
