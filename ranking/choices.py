"""Choices of arms and what became of them: which trial of which arm an event belongs to, and what a trial earned (pure).

The log names the arm of an answer "<surface>/<segment>/<arm>". A trial is one answer shown to one shopper. It is open until the
shop's clock (the latest effective time so far, in log order) passes the time of the answer by the window; then it closes,
whatever came of it. To count a reward as soon as it comes, and its absence half an hour later, would flatter every arm that
is shown more often than it was. All is told by positions of the log, so that a replay closes alike.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple
from uuid import UUID

from eventlog.events import RecordedEvent
from feedback.events import ImpressionRecorded, InteractionRecorded

FEEDBACK = frozenset({ImpressionRecorded.type, InteractionRecorded.type})


class ArmName(NamedTuple):
    """An arm where it was chosen."""

    surface: str
    segment: str
    arm: str

    @property
    def text(self) -> str:
        """As tokens and the log have it."""
        return "/".join(self)


def arm_name(text: object) -> ArmName | None:
    """Read what the log says of an arm; None where it was no choice of a bandit ("search")."""
    parts = text.split("/") if isinstance(text, str) else []
    return ArmName(*parts) if len(parts) == 3 and all(parts) else None


@dataclass(slots=True)
class Trial:
    """A choice: what was chosen, how likely that was, whether shoppers saw it, and what they did, each once a product."""

    key: str
    name: ArmName
    propensity: float
    due_at: float  # in seconds
    shown: bool = False
    deeds: set[tuple[str, str]] = field(default_factory=set)  # (kind, product)

    def reward(self, values: Mapping[str, float], full: float) -> float:
        """What followed, in [0, 1]: the sum of its values as a share of a full reward.

        A deed counts once a product: a robot that clicks on and on earns an arm one click. Sorted, so that doubles sum alike.
        """
        total = sum(values.get(kind, 0.0) for kind, _ in sorted(self.deeds))
        return min(max(total / full, 0.0), 1.0)


def full_reward(values: Mapping[str, float]) -> float:
    """What counts as a whole reward: a purchase, of which a click is a tenth as tables of signals ship; where that counts
    nothing, the largest value there is."""
    return values["purchase"] or max(values.values(), default=0.0) or 1.0


def trial_key(ref: str, subject_id: UUID | None) -> str:
    """Name a trial without saying whose it is, so that nothing is to be unlinked when that shopper is erased."""
    content = ref.encode() + (subject_id.bytes if subject_id else b"")
    return blake2b(content, digest_size=16).hexdigest()


def event_key(event: RecordedEvent) -> str | None:
    """The trial that an event belongs to; None of events without an arm."""
    ranking = event.data.get("ranking") if event.type in FEEDBACK else None
    return trial_key(ranking["ref"], event.subject_id) if ranking and arm_name(ranking.get("arm")) else None


@dataclass(slots=True)
class Trials:
    """A shop's clock and its open trials."""

    window_seconds: float
    clock: float = 0.0
    open: dict[str, Trial] = field(default_factory=dict)
    _due: list[tuple[float, str]] = field(default_factory=list)

    @classmethod
    def of(cls, trials: Iterable[Trial], *, clock: float, window_seconds: float) -> Trials:
        """Start from stored state."""
        made = cls(window_seconds, clock, {trial.key: trial for trial in trials})
        made._due = [(trial.due_at, trial.key) for trial in made.open.values()]
        heapify(made._due)
        return made

    def advance(self, event: RecordedEvent) -> list[Trial]:
        """Let time pass to an event and take it in; the trials that closed by it, in their order.

        A trial that nobody was told was shown is left out: shops that send no impressions would only ever count rewards.
        """
        self.clock = max(self.clock, event.effective_at.timestamp())
        closed = []
        while self._due and self._due[0][0] <= self.clock:
            closed.append(self.open.pop(heappop(self._due)[1]))
        if event.type in FEEDBACK:
            self._take(event.data, event)
        return [trial for trial in closed if trial.shown]

    def _take(self, data: Mapping[str, Any], event: RecordedEvent) -> None:
        ranking = data.get("ranking") or {}
        name = arm_name(ranking.get("arm"))
        if name is None:
            return
        due_at = float(ranking["at"]) + self.window_seconds
        if due_at <= self.clock:
            return  # its trial has closed: too late, whichever arm it was
        trial = self._opened(trial_key(ranking["ref"], event.subject_id), name, ranking, due_at)
        if event.type == ImpressionRecorded.type:
            trial.shown = True
        else:
            trial.deeds.add((data["kind"], data["product_id"]))

    def _opened(self, key: str, name: ArmName, ranking: Mapping[str, Any], due_at: float) -> Trial:
        trial = self.open.get(key)
        if trial is None:
            propensity = ranking.get("propensity")
            trial = self.open[key] = Trial(key, name, 1.0 if propensity is None else float(propensity), due_at)
            heappush(self._due, (due_at, key))
        return trial


def keys_of(events: Collection[RecordedEvent]) -> list[str]:
    """The trials that events belong to, each once."""
    return sorted({key for event in events if (key := event_key(event)) is not None})
