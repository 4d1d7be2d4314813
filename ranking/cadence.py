"""How often a shop makes model versions by itself: as an operator said, and more seldom while the gate refuses them.

Both follow from the log alone: from LearningSet, and from the states of the versions that there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias, get_args

import structlog

from eventlog.database import rows
from eventlog.errors import FreshetError
from eventlog.events import NewEvent
from eventlog.selectors import heads
from eventlog.services import append
from ranking.events import LEARNING_STREAM, LearningSet

log = structlog.get_logger(__name__)
Learning: TypeAlias = Literal["live", "daily", "frozen"]
LEARNINGS: tuple[Learning, ...] = get_args(Learning)
PATIENCE = 3  # versions refused in a row: one or two are bad luck, or a range of little sense
SLOWEST = 8  # times the usual; a version takes so many times more at once anyway when they wait (ranges.AT_ONCE)
DAY = timedelta(days=1)


class BadLearning(FreshetError):
    """The body is {"learning": "live"}, "daily" or "frozen"."""

    code = "bad_learning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """How often a shop learns. `refused_in_a_row` counts versions of click-throughs since the last that was promoted;
    `trained_at` is when the newest of them was trained."""

    learning: Learning
    refused_in_a_row: int
    trained_at: datetime | None

    @property
    def slowdown(self) -> int:
        """How many times the usual click-throughs the next version waits for."""
        return slowdown(self.refused_in_a_row)

    def is_due(self, now: datetime) -> bool:
        """Whether a version may be made now, if there is enough to learn from."""
        if self.learning == "daily":
            return self.trained_at is None or now - self.trained_at >= DAY
        return self.learning == "live"


def slowdown(refused_in_a_row: int) -> int:
    """1 for up to two refusals in a row, then 2, 4 and at most 8.

    Twice the click-throughs teach and judge the next version, so that it is refused by luck more seldom, and a shop
    that updating does not help spends an eighth of the work on finding that out.
    """
    return int(min(SLOWEST, 2 ** max(0, refused_in_a_row - PATIENCE + 1)))


# Judgements teach when an operator says so: what they taught is no reason to wait. Numbers grow with the position.
_CADENCE = """
SELECT coalesce((SELECT learning FROM ranking_learning WHERE shop_id = %(shop)s), 'live'),
       (SELECT count(*) FROM ranking_modelversion
         WHERE shop_id = %(shop)s AND state = 'refused' AND to_position > from_position
           AND trained_position > coalesce((SELECT max(trained_position) FROM ranking_modelversion
                                             WHERE shop_id = %(shop)s AND state IN ('serving', 'retired')), 0)),
       (SELECT trained_at FROM ranking_modelversion
         WHERE shop_id = %(shop)s AND to_position > from_position ORDER BY trained_position DESC LIMIT 1)"""


def cadence_read(*, shop_id: int) -> Cadence:
    """How often a shop learns, by what the projection `models` has seen; live unless somebody said otherwise."""
    learning, refused, trained_at = rows(_CADENCE, {"shop": shop_id})[0]
    return Cadence(learning=learning, refused_in_a_row=refused, trained_at=trained_at)


def learning_set(*, shop_id: int, learning: object, now: datetime) -> int:
    """Record how often a shop is to learn; return the event's row, 0 when it is so already. Raises BadLearning."""
    if learning not in LEARNINGS:
        raise BadLearning(field="learning")
    head = heads(shop_id=shop_id, streams=[LEARNING_STREAM])[LEARNING_STREAM]
    if (head.state or {"learning": "live"}).get("learning") == learning:
        return 0
    # no expected version: of two operators the one that comes second in the log is obeyed
    event = NewEvent(
        event=LearningSet(learning=str(learning)),
        stream=LEARNING_STREAM,
        state={"learning": learning},
        occurred_at=now,
    )
    (appended,) = append(shop_id=shop_id, events=[event])
    return appended.id or 0


def learning_of(body: object) -> object:
    """Take the cadence out of a body, unchecked. Raises BadLearning."""
    if not isinstance(body, dict) or set(body) != {"learning"}:
        raise BadLearning(field="learning")
    return body["learning"]


def pace_note(before: Cadence, *, shop_id: int) -> None:
    """Write a log line when a shop's pace is another than before."""
    after = cadence_read(shop_id=shop_id)
    if after.slowdown > before.slowdown:
        log.warning(
            "learning_slowed", shop_id=shop_id, refused_in_a_row=after.refused_in_a_row, slowdown=after.slowdown
        )
    elif after.slowdown < before.slowdown:
        log.info("learning_at_full_pace", shop_id=shop_id)
