"""What each arm earned, as decayed sums: older trials count less, by time and by how many came after them (pure).

Forgetting, so that the posterior follows drift: Raj and Kalyani, "Taming Non-stationary Bandits: A Bayesian Approach", 2017
(discounted Thompson sampling); Garivier and Moulines, "On Upper-Confidence Bound Policies for Switching Bandit Problems", 2011.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ranking.bandit.options import DEFAULTS, BanditOptions
from ranking.choices import ArmName


@dataclass(frozen=True, slots=True)
class ArmSums:
    """Decayed Σ1, Σ reward, Σ reward² of an arm in a segment, as they stood at a time and a turn; `count` does not decay."""

    trials: float = 0.0
    reward: float = 0.0
    squares: float = 0.0
    at: float = 0.0
    turn: int = 0
    count: int = 0

    def as_of(self, at: float, turn: int, options: BanditOptions = DEFAULTS) -> ArmSums:
        """The same sums later on."""
        half_lives = (at - self.at) / options.half_life_seconds + (turn - self.turn) / options.half_life_trials
        left = 0.5 ** min(max(half_lives, 0.0), 1000.0)
        return ArmSums(self.trials * left, self.reward * left, self.squares * left, at, turn, self.count)

    def plus(self, reward: float) -> ArmSums:
        """With one trial more."""
        return replace(
            self,
            trials=self.trials + 1.0,
            reward=self.reward + reward,
            squares=self.squares + reward * reward,
            count=self.count + 1,
        )


@dataclass(frozen=True, slots=True)
class Turn:
    """How many trials of a surface have closed, and when the last did, in seconds."""

    number: int = 0
    at: float = 0.0


@dataclass(slots=True)
class Tally:
    """A shop's arms and turns. Sums stay at the turn of their arm's last trial: however the log is cut, the same doubles."""

    arms: dict[ArmName, ArmSums] = field(default_factory=dict)
    turns: dict[str, Turn] = field(default_factory=dict)
    options: BanditOptions = DEFAULTS

    def add(self, name: ArmName, reward: float, at: float) -> None:
        """Count a trial that closed at a time, which never goes back."""
        turn = Turn(self.turns.get(name.surface, Turn()).number + 1, at)
        self.turns[name.surface] = turn
        before = self.arms.get(name) or ArmSums(at=at, turn=turn.number)
        self.arms[name] = before.as_of(at, turn.number, self.options).plus(reward)

    def surface(self, surface: str) -> dict[ArmName, ArmSums]:
        """The arms of a surface, all as of its last trial."""
        turn = self.turns.get(surface, Turn())
        return {
            name: sums.as_of(turn.at, turn.number, self.options)
            for name, sums in self.arms.items()
            if name.surface == surface
        }


def segments_of(names: Iterable[ArmName]) -> list[str]:
    """The segments that appear, in order."""
    return sorted({name.segment for name in names})
