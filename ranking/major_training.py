"""A major version from start to end of its training: read, train both towers, judge, register. Its rollout comes after.

Nothing is promoted here: every product has to be embedded anew first (ranking/rollout.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from django.db import transaction

from eventlog.consume import checkpoint_read
from eventlog.errors import ConcurrentChange, FreshetError
from feedback.projections import click_throughs
from ranking.artefacts import towers_store
from ranking.draining import drain_to_head
from ranking.events import ModelVersionTrained
from ranking.judgements import judgements_at
from ranking.learning.catalogue import vectors_missing
from ranking.learning.gate import LEAST, LEAST_QUERIES
from ranking.learning.major_options import MAJOR, MajorOptions
from ranking.projections.judgements import judgements
from ranking.projections.models import models
from ranking.registry import (
    ModelVersion,
    artefact_hash,
    model_awaited,
    model_next_major,
    model_refuse_new,
    model_register,
)
from ranking.retraining import left_out_count, touched_read
from ranking.supervised import VectorsMissing
from ranking.towers import encoder_frozen
from ranking.training import Outcome, newest_clicked, serving_ensured

if TYPE_CHECKING:
    from ranking.learning.major_candidate import MajorCandidate
    from ranking.learning.major_lesson import MajorLesson

log = structlog.get_logger(__name__)


class TooLittleToLearn(FreshetError):
    """There are too few click-throughs and judgements for a major version."""

    code = "too_little_to_learn"
    status = 409


class MajorUnderWay(FreshetError):
    """A major version is being rolled out already."""

    code = "major_under_way"
    status = 409


def major_train(
    *,
    shop_id: int,
    now: datetime,
    options: MajorOptions = MAJOR,
    processes: int = 1,
    without_erased: bool = False,
    progress: Callable[[float], None] = lambda share: None,
) -> Outcome | None:
    """Train and register the next major version, as candidate or refused; None when another trainer was faster.

    With `without_erased` it starts from the newest version of the line that learned from nobody who was erased, leaves out
    their click-throughs, and takes those that did learn from them out for good when it serves.
    Raises TooLittleToLearn, MajorUnderWay, VectorsMissing, NothingToRetrain, IndivisibleBatch, MajorProcessesFailed.
    """
    from ranking.learning.major_candidate import major_make  # loads torch

    parent = serving_ensured(shop_id, now)
    if awaited := model_awaited(shop_id=shop_id):
        raise MajorUnderWay(f"{awaited.version} is being rolled out; `promote {parent.version}` gives it up.")
    touched = touched_read(shop_id=shop_id, now=now) if without_erased else None
    start, left_out = (touched.ancestor, touched.left_out) if touched else (parent, dict[int, int]())
    lesson = _lesson(parent, options, left_out)
    # slow, so in no transaction
    candidate = major_make(
        parent=parent, start=start, rival=lambda: serving_ensured(shop_id, now), lesson=lesson, options=options,
        frozen=encoder_frozen(parent.config.get("encoder_name")), processes=processes, progress=progress,
    )  # fmt: skip
    if candidate is None:
        raise TooLittleToLearn("No product that the catalogue has was wanted for any query.")
    try:
        if touched:
            candidate.metrics["left_out"] = left_out_count(left_out, lesson.from_position, lesson.trained_to)
        return _commit(start, lesson, candidate, now)
    except ConcurrentChange as error:
        log.info("training_dropped", shop_id=shop_id, reason=str(error))  # the other trainer's version stands
        return None


def _lesson(parent: ModelVersion, options: MajorOptions, left_out: Collection[int]) -> MajorLesson:
    from ranking.learning.major_lesson import lesson_make

    shop_id = parent.shop_id
    position = min(checkpoint_read(judgements.name), checkpoint_read(click_throughs.name))
    newest = newest_clicked(shop_id=shop_id, to_position=position, most=options.most_clicks)
    closed = [each for each in newest if each.impression_position not in left_out]
    lesson = lesson_make(
        closed, judgements_at(shop_id=shop_id, position=position),
        position=position, seen_to=parent.to_position, shop_id=shop_id, options=options,
    )  # fmt: skip
    if len(lesson.gate) < LEAST and len(lesson.kept) < LEAST_QUERIES:
        raise TooLittleToLearn(
            f"{len(closed)} click-throughs with an outcome and {len(lesson.teach) + len(lesson.kept)} judged queries are there; "
            f"of what is kept to judge it, {len(lesson.gate)} click-throughs ({LEAST} are needed) and {len(lesson.kept)} "
            f"queries ({LEAST_QUERIES} would do as well)."
        )
    missing = vectors_missing(shop_id=shop_id, position=position, major=parent.major, named=lesson.products())
    if missing:
        raise VectorsMissing(f"{missing} products that shoppers saw or judges named wait for their vectors.")
    return lesson


def _commit(start: ModelVersion, lesson: MajorLesson, candidate: MajorCandidate, now: datetime) -> Outcome:
    """Store the towers, then record the version; a refused one keeps its figures, and nobody needs its towers."""
    from ranking.learning.artefact import artefact_write
    from ranking.major_towers import towers_name

    shop_id, artefact, refused = start.shop_id, artefact_write(candidate.artefact), candidate.verdict.reason
    digest = artefact_hash(candidate.towers) if refused else towers_store(candidate.towers)
    metrics = dict(candidate.metrics)
    version = f"{model_next_major(shop_id=shop_id)}.0"
    trained = ModelVersionTrained(
        version=version, encoder=digest, artefact=artefact_hash(artefact), parent=start.version,
        from_position=lesson.from_position, to_position=lesson.trained_to, seed=candidate.seed,
        config={"encoder_name": towers_name(digest), "options": metrics.pop("options")}, metrics=metrics,
    )  # fmt: skip
    drain_to_head(models)
    reason = refused or _overtaken(shop_id)
    with transaction.atomic():
        model_register(shop_id=shop_id, trained=trained, artefact=artefact, now=now)
        if reason:
            model_refuse_new(shop_id=shop_id, version=version, reason=reason, now=now)
    drain_to_head(models)
    log.info("major_trained", shop_id=shop_id, version=version, refused=reason, **metrics["gate"])
    passed = "not worse than what serves on what was kept; its products are to be embedded"
    return Outcome(version, False, reason or passed, metrics)


def _overtaken(shop_id: int) -> str | None:
    """Why a version that passed is of no use any more: its products would be embedded for nothing."""
    awaited = model_awaited(shop_id=shop_id)
    return f"{awaited.version} is being rolled out already" if awaited else None
