"""When training ends early: at points that the range fixes, by what the average of weights is worth there, never by the clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

from ranking.learning.artefact import Artefact

Judge = Callable[[Artefact], float]  # larger is better


def stop_points(steps: int, count: int) -> set[int]:
    """So many steps, from 1, evenly spread up to the last one; fewer when there are fewer steps."""
    return {ceil(steps * n / count) for n in range(1, count + 1)}


@dataclass(slots=True)
class Best:
    """The best of what was offered, and what each was worth, by step."""

    artefact: Artefact | None = None
    worths: dict[int, float] = field(default_factory=dict)

    def offer(self, step: int, artefact: Artefact, worth: float) -> bool:
        """Keep it if it is worth more than all before; else return False: it goes down from here."""
        better = worth > max(self.worths.values(), default=float("-inf"))
        self.worths[step] = worth
        if better:
            self.artefact = artefact
        return better
