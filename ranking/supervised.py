"""A minor version from the shop's judgement list: so that a shop starts well before it has any feedback."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog

from eventlog.consume import checkpoint_read
from eventlog.errors import ConcurrentChange, FreshetError
from feedback.projections import click_throughs
from ranking.learning.catalogue import vectors_missing
from ranking.learning.gate import LEAST_QUERIES
from ranking.learning.options import TrainOptions
from ranking.privacy import privacy_of
from ranking.projections.judgements import judgements
from ranking.towers import encoder_frozen
from ranking.train_options import line_kind
from ranking.training import Outcome, newest_clicked, serving_ensured, version_commit
from ranking.watching import Course

log = structlog.get_logger(__name__)


class TooFewJudgements(FreshetError):
    """The judgement list is too short to learn from and to be judged by."""

    code = "too_few_judgments"
    status = 409


class NothingToPretrain(FreshetError):
    """What serves has a projection, and no adapter inside the tower that could learn the shop's language."""

    code = "nothing_to_pretrain"
    status = 409


class VectorsMissing(FreshetError):
    """Judged products wait for their vectors; try again when `GET /v1/freshness` says that vectors are current."""

    code = "vectors_missing"
    status = 409


def supervised_train(
    *,
    shop_id: int,
    now: datetime,
    options: TrainOptions | None = None,
    pretrain: bool = False,
    progress: Callable[[float], None] = lambda share: None,
) -> Outcome | None:
    """Train and commit one minor version on the judgement list as it is now; None when a trainer was faster.

    With `pretrain` the tower first learns the shop's language by guessing masked words of its descriptions.
    The version's span of click-throughs is empty: it takes none from the trainer that learns from shoppers.
    Raises TooFewJudgements, VectorsMissing, NothingToPretrain.
    """
    from ranking.learning.pretrain import PretrainOptions  # these load torch
    from ranking.learning.supervised import SUPERVISED, lesson_read, supervised_make

    parent = serving_ensured(shop_id, now)
    if pretrain and line_kind(parent) == "projection":
        raise NothingToPretrain(
            f"{parent.version} moves vectors behind the tower, which itself would learn the language: "
            "pre-train before the first version that clicks teach, or by train --major."
        )
    position = min(checkpoint_read(judgements.name), checkpoint_read(click_throughs.name))
    private = privacy_of(shop_id).epsilon is not None  # then judgements alone fit the head and judge
    recent = [] if private else newest_clicked(shop_id=shop_id, to_position=position)
    lesson = lesson_read(shop_id=shop_id, position=position, recent=recent)
    if not lesson.teach or len(lesson.kept) < LEAST_QUERIES:
        raise TooFewJudgements(
            f"{len(lesson.teach) + len(lesson.kept)} queries have a product that was judged to fit: {len(lesson.teach)} to "
            f"learn from and {len(lesson.kept)} to be judged by; at least {LEAST_QUERIES} must be among those that judge, "
            "which are about 3 of 10."
        )
    missing = vectors_missing(shop_id=shop_id, position=position, major=parent.major, named=lesson.products())
    if missing:
        raise VectorsMissing(f"{missing} judged products wait for their vectors.")
    frozen = encoder_frozen(parent.config.get("encoder_name"))
    course = Course()
    # slow, so in no transaction
    candidate = supervised_make(
        parent=parent, frozen=frozen, lesson=lesson, options=options or SUPERVISED,
        language=PretrainOptions() if pretrain else None, progress=progress,
        watch=course.watch,
    )  # fmt: skip
    candidate.metrics["seconds"] = course.seconds
    try:
        outcome = version_commit(
            parent=parent, span=(position, position), candidate=candidate, now=now,
            passed="better on judged queries that were kept from it",
        )  # fmt: skip
    except ConcurrentChange as error:
        log.info("training_dropped", shop_id=shop_id, reason=str(error))  # the other trainer's version stands
        return None
    course.write(shop_id=shop_id, version=outcome.version, promoted=outcome.promoted, metrics=candidate.metrics)
    return outcome
