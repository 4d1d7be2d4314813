"""A minor version from start to end: read what closed, train, calibrate, judge, and commit it with the trainer's checkpoint.

The slow part holds no transaction and no lock; killed anywhere, it leaves the checkpoint and what serves as they were.
What loads torch is imported where it is used, since every worker imports the tasks and only the trainer trains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil
from typing import TYPE_CHECKING, Any

import structlog
from django.conf import settings
from django.db import transaction

from eventlog.consume import checkpoint_move, checkpoint_read
from eventlog.database import scalar
from eventlog.errors import ConcurrentChange, LostClaim
from feedback.joining import ClickThrough
from feedback.projections import facts
from feedback.selectors import closed_click_throughs
from ranking.cadence import DAY, Cadence, cadence_read, pace_note
from ranking.draining import drain_to_head
from ranking.events import ModelVersionTrained
from ranking.learning.catalogue import vectors_missing
from ranking.learning.courses import products_acted_on
from ranking.learning.gate import LEAST as LEAST_JUDGES
from ranking.learning.options import TrainOptions
from ranking.learning.ranges import AT_ONCE, GATE, Split, clicked, needed, split
from ranking.privacy import BudgetSpent, options_allowed
from ranking.projections.judgements import judgements
from ranking.projections.models import models
from ranking.projections.weights import weights
from ranking.registry import (
    ModelVersion,
    artefact_hash,
    model_awaited,
    model_in_shadow,
    model_next_minor,
    model_promote_new,
    model_refuse_new,
    model_register,
    model_served,
    model_serving,
    model_shadow_new,
)
from ranking.services import model_ensure_first
from ranking.towers import Model, encoder_frozen, query_vectors_prepare
from ranking.train_options import line_options
from ranking.watching import Course

if TYPE_CHECKING:
    from ranking.learning.candidate import Candidate

log = structlog.get_logger(__name__)
FIRST_SHARE = 0.4  # of FRESHET_TRAIN_EVERY: a new shop sees its first learned version sooner, on fewer click-throughs
LEAST_EVERY = ceil(LEAST_JUDGES / GATE)  # fewer leave too few to judge the version by
PAST = 150  # click-throughs from before the range by which forgetting shows: as many as judge a version of 500
DAY_MOST = 50_000  # click-throughs that a daily version takes at most: 100 MB of them, minutes for the gate


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a range of click-throughs. `reason` says why a version was refused, or why it serves."""

    version: str
    promoted: bool
    reason: str
    metrics: dict[str, Any]


Progress = Callable[[float], None]


def shop_train(
    *,
    shop_id: int,
    now: datetime,
    every: int | None = None,
    options: TrainOptions | None = None,
    progress: Progress = lambda share: None,
) -> Outcome | None:
    """Train and commit one minor version if enough click-throughs closed since the last; None when not.

    `every` is how many to train on, by hand: without it the shop's cadence says whether, and on how many; `options` are by
    default those of the shop. None also when another trainer was faster, while a version is in shadow (the next one trains
    from what serves), while a major version is being rolled out, and while products of the range still wait for their
    vectors, or judgements for their list. Raises BudgetSpent when the shop's privacy allows no further version.
    """
    after = checkpoint_read(consumer(shop_id))
    if _pace_now(shop_id, after, every, now) is None:
        return None
    parent = serving_ensured(shop_id, now)
    if model_awaited(shop_id=shop_id):
        return None  # what it would be made from is about to be replaced; the click-throughs wait for the next line
    options = options_allowed(options or line_options(parent), shop_id=shop_id)
    cadence, pace = cadence_read(shop_id=shop_id), _pace_now(shop_id, after, every, now)  # by what the log says by now
    part = range_read(shop_id=shop_id, after=after, every=pace.every) if pace else None
    if part is None or evidence_missing(parent, part.products(), position=part.to_position):
        return None
    from ranking.learning.candidate import candidate_make

    frozen = encoder_frozen(parent.config.get("encoder_name"))
    course = Course()
    # slow, so in no transaction
    candidate = candidate_make(
        parent=parent, frozen=frozen, part=part, options=options, progress=progress,
        watch=course.watch, yesterday=_served_a_day_ago(parent, now),
    )  # fmt: skip
    candidate.metrics["seconds"] = course.seconds
    try:
        outcome = candidate_commit(parent=parent, part=part, candidate=candidate, now=now)
    except (LostClaim, ConcurrentChange) as error:
        log.info("training_dropped", shop_id=shop_id, reason=str(error))  # the other trainer's version stands
        return None
    course.write(shop_id=shop_id, version=outcome.version, promoted=outcome.promoted, metrics=candidate.metrics)
    pace_note(cadence, shop_id=shop_id)
    return outcome


def _served_a_day_ago(parent: ModelVersion, now: datetime) -> ModelVersion | None:
    """None when that was another major version: its products have other vectors."""
    served = model_served(shop_id=parent.shop_id, at=now - DAY)
    return served if served is not None and served.major == parent.major else None


def shop_train_if_allowed(*, shop_id: int, now: datetime) -> Outcome | None:
    """As `shop_train`, for a worker that asks every few seconds: a spent privacy budget is told once a process, and rests."""
    try:
        return shop_train(shop_id=shop_id, now=now)
    except BudgetSpent as error:
        if _told.get(shop_id) != error.detail:
            _told[shop_id] = error.detail
            log.warning("training_refused", shop_id=shop_id, reason=error.detail)
        return None


_told: dict[int, str] = {}


def consumer(shop_id: int) -> str:
    """Name of a shop's trainer among the checkpoints."""
    return f"trainer/{shop_id}"


@dataclass(frozen=True, slots=True)
class Pace:
    """A version trains on `every` click-throughs, or on a multiple of them, once `wanted` with an outcome have closed."""

    every: int
    wanted: int


def _pace_now(shop_id: int, after: int, every: int | None, now: datetime) -> Pace | None:
    """How much the next version takes; None when it is not its time, or too little has closed."""
    cadence = cadence_read(shop_id=shop_id)
    if model_in_shadow(shop_id=shop_id) or not (every or cadence.is_due(now)):
        return None
    pace = Pace(every, needed(every)) if every else pace_of(cadence, shop_id=shop_id, after=after)
    return pace if clicked_count(shop_id=shop_id, after_position=after, limit=pace.wanted) >= pace.wanted else None


def pace_of(cadence: Cadence, *, shop_id: int, after: int) -> Pace:
    """How much the next version takes at a cadence; one a day takes what has closed since the checkpoint `after`."""
    every = train_every(after)
    wanted = needed(cadence.slowdown * every)
    if cadence.learning == "daily":  # a day at once, or the trainer would fall behind by what is over each day
        waiting = clicked_count(shop_id=shop_id, after_position=after, limit=DAY_MOST)
        every = max(every, every_of(waiting))
    return Pace(every, max(wanted, needed(every)))


def train_every(checkpoint: int) -> int:
    """How many click-throughs a version trains on at the usual pace."""
    every = settings.FRESHET_TRAIN_EVERY
    return max(LEAST_EVERY, every if checkpoint else round(every * FIRST_SHARE))


def every_of(waiting: int) -> int:
    """How many of so many click-throughs to train on, when a version shall be made of just these."""
    every = waiting
    while every > 1 and needed(every) > waiting:
        every -= 1
    return every


def clicked_count(*, shop_id: int, after_position: int, limit: int | None = None) -> int:
    """How many click-throughs with an outcome closed after a position, counted up to `limit`."""
    sql = """SELECT count(*) FROM (SELECT 1 FROM feedback_clickthrough
                                    WHERE shop_id = %s AND closed_position > %s AND outcomes <> '{}' LIMIT %s) c"""
    return int(scalar(sql, [shop_id, after_position, limit]))


def candidate_commit(*, parent: ModelVersion, part: Split, candidate: Candidate, now: datetime) -> Outcome:
    """Record a version, what the gate said and the trainer's checkpoint in one transaction, all or nothing.

    Raises LostClaim when another trainer moved the checkpoint, ConcurrentChange when it took the number.
    """
    shop_id = parent.shop_id

    def move_checkpoint() -> None:
        checkpoint_move(consumer=consumer(shop_id), position=part.from_position, to=part.trained_to)

    return version_commit(
        parent=parent, span=(part.from_position, part.trained_to), candidate=candidate, now=now,
        passed="not worse on the newest click-throughs", beside=move_checkpoint, shadow_after=part.to_position,
    )  # fmt: skip


def version_commit(
    *,
    parent: ModelVersion,
    span: tuple[int, int],
    candidate: Candidate,
    passed: str,
    now: datetime,
    beside: Callable[[], None] = lambda: None,
    shadow_after: int | None = None,
    rival: ModelVersion | None = None,
    when_promoted: Callable[[str], None] = lambda version: None,
) -> Outcome:
    """Record a version trained on click-throughs of a span of positions, which may be empty, and promote or refuse it.

    `passed` is the reason to promote; `beside` runs in the same transaction, and `when_promoted` if it comes
    to that. `rival` is what serves where that is not the parent. `shadow_after`: where nothing that closed
    later has judged it; where shadows are asked for (FRESHET_SHADOW), it goes into one instead of being promoted.
    Raises ConcurrentChange, and what both raise.
    """
    from ranking.learning.artefact import artefact_write

    shop_id, artefact = parent.shop_id, artefact_write(candidate.artefact)
    version = f"{parent.major}.{model_next_minor(shop_id=shop_id, major=parent.major)}"
    metrics = dict(candidate.metrics)
    options = metrics.pop("options")
    trained = ModelVersionTrained(
        version=version, encoder=parent.encoder, artefact=artefact_hash(artefact), parent=parent.version,
        from_position=span[0], to_position=span[1], seed=candidate.seed, metrics=metrics,
        config={**parent.config, "options": options},
    )  # fmt: skip
    promoted, reason = _decision(rival or parent, candidate, passed, now)
    shadow = shadow_length() if promoted and shadow_after is not None else 0
    if shadow:
        promoted, reason = False, f"{passed}; in shadow until {shadow} later click-throughs have closed"
    if promoted:  # before anybody serves it, so that serving processes find its queries encoded
        _prepare(parent, candidate, version, trained.artefact)
    with transaction.atomic():
        beside()
        model_register(shop_id=shop_id, trained=trained, artefact=artefact, now=now)
        if promoted:
            model_promote_new(shop_id=shop_id, version=version, reason=reason, now=now)
            when_promoted(version)
        elif shadow and shadow_after is not None:
            model_shadow_new(
                shop_id=shop_id, version=version, after_position=shadow_after, click_throughs=shadow, now=now
            )
        elif candidate.verdict.reason is not None:
            model_refuse_new(shop_id=shop_id, version=version, reason=reason, now=now)
    models_drain()
    log.info("model_trained", shop_id=shop_id, version=version, promoted=promoted, reason=reason, **metrics["gate"])
    return Outcome(version, promoted, reason, metrics)


def _decision(parent: ModelVersion, candidate: Candidate, passed: str, now: datetime) -> tuple[bool, str]:
    if candidate.verdict.reason is not None:
        return False, candidate.verdict.reason
    serving = serving_ensured(parent.shop_id, now)
    if awaited := model_awaited(shop_id=parent.shop_id):
        return False, f"{awaited.version} is being rolled out"
    if serving.version != parent.version:  # an operator's choice made meanwhile is not overruled
        return False, f"{serving.version} was put in place of {parent.version} while this version was trained"
    return True, passed


def shadow_length() -> int:
    """How many later click-throughs judge a version in shadow, never fewer than can tell; 0: none goes into shadow."""
    return max(LEAST_JUDGES, settings.FRESHET_SHADOW) if settings.FRESHET_SHADOW > 0 else 0


_REACHED = """
SELECT closed_position FROM feedback_clickthrough WHERE shop_id = %s AND closed_position > %s AND outcomes <> '{}'
 ORDER BY closed_position, impression_position OFFSET %s LIMIT 1"""
_PAST = """
SELECT closed_position FROM feedback_clickthrough WHERE shop_id = %s AND closed_position <= %s AND outcomes <> '{}'
 ORDER BY closed_position DESC, impression_position DESC OFFSET %s LIMIT 1"""


def reached(*, shop_id: int, after: int, count: int) -> int | None:
    """The position at which so many click-throughs with an outcome have closed after another; None while fewer have."""
    found = scalar(_REACHED, [shop_id, after, count - 1])
    return None if found is None else int(found)


def range_read(*, shop_id: int, after: int, every: int) -> Split | None:
    """Read and part the click-throughs after a checkpoint, and some before it; None while there are too few."""
    most = needed(AT_ONCE * every) + 1  # and the next one: what closed with the last of them must not be parted
    to = reached(shop_id=shop_id, after=after, count=most) or checkpoint_read("click_throughs")
    closed = closed_click_throughs(shop_id=shop_id, after_position=after, to_position=to)
    part = split(closed, from_position=after, every=every)
    if part is None or not after:
        return part
    return replace(part, past=newest_clicked(shop_id=shop_id, to_position=after))


def newest_clicked(*, shop_id: int, to_position: int, most: int = PAST) -> list[ClickThrough]:
    """The newest click-throughs with an outcome that had closed at a position, in log order."""
    start = int(scalar(_PAST, [shop_id, to_position, most]) or 0)
    closed = closed_click_throughs(shop_id=shop_id, after_position=start, to_position=to_position)
    return [each for each in closed if clicked(each)][-most:]


def evidence_missing(model: ModelVersion, products: set[str], *, position: int) -> bool:
    """Whether products, those of histories too, wait for the embedder, or judgements, the curve and what shoppers did for their
    projections: the same range must teach the same later."""
    if min(checkpoint_read(each.name) for each in (judgements, weights, facts)) < position:
        return True
    named = products | products_acted_on(shop_id=model.shop_id, position=position)
    return vectors_missing(shop_id=model.shop_id, position=position, major=model.major, named=named) > 0


def _prepare(parent: ModelVersion, candidate: Candidate, version: str, artefact: str) -> None:
    from ranking.learning.candidate import tower_of

    frozen = encoder_frozen(parent.config.get("encoder_name"))
    tower = tower_of(frozen, candidate.artefact)
    model = Model(version, parent.major, candidate.artefact.head, tower, frozen, artefact)
    query_vectors_prepare(shop_id=parent.shop_id, model=model)


def serving_ensured(shop_id: int, now: datetime) -> ModelVersion:
    """The version that serves; a shop without one gets 1.0 first."""
    models_drain()
    model = model_serving(shop_id=shop_id)
    if model is None:
        model_ensure_first(shop_id=shop_id, now=now)
        models_drain()
        model = model_serving(shop_id=shop_id)
    assert model is not None, "version 1.0 is registered and drained"
    return model


def models_drain() -> None:
    """So that what was registered and promoted until now is known, whoever drains it."""
    drain_to_head(models)
