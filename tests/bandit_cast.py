"""Shoppers who are shown what an arm made, as events of the log: in memory, or appended to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import numpy as np

from eventlog.events import ClockTicked, Event, NewEvent, RecordedEvent
from eventlog.services import append
from feedback.events import ImpressionRecorded, InteractionRecorded
from tests.cast import SHOP_ID, drain

START = datetime(2026, 1, 1, tzinfo=UTC)  # so that the events' own times count, not that of the test
ARMS = ("fresh", "learned", "plain")
SEGMENTS = ("few", "known", "new")


def ranking(ref: str, arm: str = "home/known/learned", propensity: float = 0.5, at: float = 0.0) -> dict[str, Any]:
    """What the token of an answer says of it, made so many seconds after the start."""
    made_at = START.timestamp() + at
    return {"ref": ref, "position": 1, "at": made_at, "model": "1.0", "arm": arm, "propensity": propensity}


def seen(ref: str, **token: Any) -> ImpressionRecorded:
    return ImpressionRecorded(items=["mug"], first_rank=1, ranking=ranking(ref, **token))


def did(kind: Any, ref: str, product_id: str = "mug", **token: Any) -> InteractionRecorded:
    return InteractionRecorded(kind=kind, product_id=product_id, ranking=ranking(ref, **token))


_rows = count(1)
_ids = count(1)  # one append stores its events in the order of their ids


def recorded(event: Event, at: float, *, subject: UUID | None = None) -> RecordedEvent:
    """An event as the log would give it, so many seconds after the start."""
    when = START + timedelta(seconds=at)
    position = next(_rows)
    return RecordedEvent(
        position=position, id=position, shop_id=SHOP_ID, stream=None, version=None, type=event.type, data=event.data(),
        personal=None, subject_id=subject, event_id=UUID(int=position), occurred_at=when, recorded_at=when,
    )  # fmt: skip


def log(*events: tuple[Event, float]) -> None:
    """Append events in this order, each so many seconds after the start, and let the projections see them."""
    append(
        shop_id=SHOP_ID,
        events=[
            NewEvent(event=event, event_id=UUID(int=next(_ids)), occurred_at=START + timedelta(seconds=at))
            for event, at in events
        ],
    )
    drain()


def visits(
    worth: Mapping[str, float],
    *,
    trials: int,
    seed: int = 0,
    surface: str = "home",
    segments: Sequence[str] = SEGMENTS,
    chances: Sequence[float] | None = None,
    start: float = 0.0,
) -> list[tuple[Event, float]]:
    """Answers a second apart, each made by an arm drawn with its chance, and bought from with the arm's worth."""  # fmt: skip
    rng = np.random.default_rng(seed)
    arms, chance = list(worth), list(chances or [1 / len(worth)] * len(worth))
    events: list[tuple[Event, float]] = []
    for n in range(trials):
        arm, at = int(rng.choice(len(arms), p=chance)), start + n
        name = f"{surface}/{segments[n % len(segments)]}/{arms[arm]}"
        token: dict[str, Any] = {"arm": name, "propensity": chance[arm], "at": at}
        events.append((seen(f"{seed}-{n}", **token), at))
        if rng.random() < worth[arms[arm]]:
            events.append((did("purchase", f"{seed}-{n}", **token), at + float(rng.uniform(0, 600))))
    return sorted(events, key=lambda each: each[1])


def later(at: float) -> tuple[Event, float]:
    """Time passes."""
    return ClockTicked(), at
