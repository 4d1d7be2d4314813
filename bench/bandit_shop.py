"""A simulated shop whose shoppers' tastes drift, and turn over once: what an arm is worth to a segment, request by request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from typing import Any, Protocol
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from eventlog.events import Event, RecordedEvent
from feedback.events import ImpressionRecorded, InteractionRecorded
from ranking.choices import ArmName, Trial, Trials

Floats = NDArray[np.float64]
SURFACE = "home"
SEGMENTS = ("new", "few", "known")
SHARES = (0.5, 0.3, 0.2)
LEVELS = (0.05, 0.08, 0.12)  # clicks a request of each segment, on the mean arm
SPREAD = 0.5  # of the arms' log odds: the best of five mixes is clicked about three times as often as the worst
DRIFT = 0.3  # how far an arm's log odds wander in a simulation, beside that spread
PURCHASES = 0.1  # of clicks
CLICK_REWARD, PURCHASE_REWARD = 0.1, 1.0
CLICK_SECONDS, PURCHASE_SECONDS = 60.0, 600.0  # mean delays
WINDOW_SECONDS = 1800.0
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class World:
    """Who asks, and how likely each arm is clicked: (T,) and (T, S, K)."""

    segments: NDArray[np.int64]
    clicks: Floats
    flips: Sequence[int]

    @property
    def rewards(self) -> Floats:
        """Expected reward of each arm for the shopper who asks, (T, K)."""
        chances = self.clicks[np.arange(len(self.segments)), self.segments]
        return np.asarray(chances * ((1 - PURCHASES) * CLICK_REWARD + PURCHASES * PURCHASE_REWARD))


def world(*, requests: int, arms: int, seed: int, flips: Sequence[int] = ()) -> World:
    """Each arm has a lift, each segment a little of its own; lifts wander, and at a flip the best and the worst change places."""
    rng = np.random.default_rng([seed, 1])
    lifts = rng.normal(0, SPREAD, arms) + rng.normal(0, SPREAD / 2, (len(SEGMENTS), arms))  # (S, K)
    steps = rng.normal(0, DRIFT * SPREAD / np.sqrt(requests), (requests, 1, arms))
    logits = np.log(np.array(LEVELS) / (1 - np.array(LEVELS)))[:, None] + lifts + np.cumsum(steps, axis=0)
    for flip in flips:
        order = np.argsort(logits[flip].mean(axis=0))
        turned = np.empty_like(order)
        turned[order] = order[::-1]
        logits[flip:] = logits[flip:][:, :, turned]
    return World(rng.choice(len(SEGMENTS), requests, p=SHARES), 1 / (1 + np.exp(-logits)), flips)


class Learner(Protocol):
    """Something that chooses arms by name, and is told of each trial that closed."""

    def choose(self, segment: str, request: int) -> tuple[str, float]: ...
    def learn(self, trial: Trial, at: float) -> None: ...


def run(of: World, learner: Learner, *, per_day: float, seed: int) -> Floats:
    """Let everybody ask, see, click and buy; the expected reward of each request, (T,).

    What they do goes through the trials of the project, so a learner knows of it when the window has passed.
    """
    rng = np.random.default_rng([seed, 2])
    rewards, trials = of.rewards, Trials(WINDOW_SECONDS)
    acts: list[tuple[float, int, Event]] = []
    earned = np.zeros(len(of.segments))
    for request, segment in enumerate(of.segments):
        at = request * 86_400 / per_day
        for event in _until(acts, at):
            _advance(trials, learner, event)
        arm, propensity = learner.choose(SEGMENTS[segment], request)
        number = int(arm[1:])
        earned[request] = rewards[request, number]
        token = _token(request, ArmName(SURFACE, SEGMENTS[segment], arm), propensity, at)
        heappush(acts, (at, 3 * request, ImpressionRecorded(items=["1"], first_rank=1, ranking=token)))
        if rng.random() < of.clicks[request, segment, number]:
            after = at + rng.exponential(CLICK_SECONDS)
            heappush(acts, (after, 3 * request + 1, _act("click", token)))
            if rng.random() < PURCHASES:
                heappush(acts, (after + rng.exponential(PURCHASE_SECONDS), 3 * request + 2, _act("purchase", token)))
    return earned


def _until(acts: list[tuple[float, int, Event]], at: float) -> Iterator[RecordedEvent]:
    while acts and acts[0][0] <= at:
        when, number, event = heappop(acts)
        moment = START + timedelta(seconds=when)
        yield RecordedEvent(
            position=number, id=number, shop_id=1, stream=None, version=None, type=event.type, data=event.data(),
            personal=None, subject_id=None, event_id=_NOBODY, occurred_at=moment, recorded_at=moment,
        )  # fmt: skip


_NOBODY = UUID(int=0)


def _advance(trials: Trials, learner: Learner, event: RecordedEvent) -> None:
    for trial in trials.advance(event):
        learner.learn(trial, trials.clock)


def _act(kind: Any, token: dict[str, Any]) -> InteractionRecorded:
    return InteractionRecorded(kind=kind, product_id="1", ranking=token)


def _token(request: int, arm: ArmName, propensity: float, at: float) -> dict[str, Any]:
    return {"ref": str(request), "at": START.timestamp() + at, "arm": arm.text, "propensity": propensity}
