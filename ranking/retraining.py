"""Versions that learned from shoppers who were erased since, replaced by a line that did not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from eventlog.consume import checkpoint_move, checkpoint_read
from eventlog.errors import ConcurrentChange, FreshetError, LostClaim
from feedback.projections import click_throughs
from feedback.selectors import click_throughs_of_erased, closed_click_throughs
from ranking.erasure import versions_learned
from ranking.learning.options import TrainOptions
from ranking.learning.ranges import Split, clicked, needed, split
from ranking.privacy import options_allowed
from ranking.registry import ModelVersion, model_refuse, model_versions
from ranking.towers import encoder_frozen
from ranking.train_options import line_options
from ranking.training import LEAST_EVERY, Outcome, consumer, every_of, serving_ensured, version_commit
from ranking.watching import Course

log = structlog.get_logger(__name__)


class NothingToRetrain(FreshetError):
    """What serves has learned from nobody who was erased."""

    code = "nothing_to_retrain"
    status = 409


class MajorVersionLearned(FreshetError):
    """The major version itself learned from somebody who was erased: train --major --without-erased."""

    code = "major_version_learned"
    status = 409


class TooLittleLeft(FreshetError):
    """Without the click-throughs of erased shoppers too few are left to train on and to be judged by."""

    code = "too_little_left"
    status = 409


@dataclass(frozen=True, slots=True)
class Touched:
    """What serves, and the versions of its line from the first that learned from erased shoppers on, oldest first.

    `ancestor` is the one that line goes on from; `all` are all versions that learned from them or go on from such a one.
    `left_out` are the click-throughs of erased shoppers: closing position by impression position.
    """

    serving: ModelVersion
    ancestor: ModelVersion
    line: Sequence[ModelVersion]
    all: Sequence[ModelVersion]
    left_out: dict[int, int]


def touched_read(*, shop_id: int, now: datetime) -> Touched:
    """Find what has learned from erased shoppers. Raises NothingToRetrain when what serves has not."""
    serving, left_out = serving_ensured(shop_id, now), click_throughs_of_erased(shop_id=shop_id)
    versions = {each.version: each for each in model_versions(shop_id=shop_id)}
    touched = {each.version: each for each in _touched(list(versions.values()), left_out)}
    line, each = list[ModelVersion](), serving
    while each.version in touched:
        line.insert(0, each)
        each = versions[each.parent or ""]
    if not line:
        raise NothingToRetrain(f"{serving.version} serves, and has learned from nobody who was erased.")
    return Touched(serving, each, line, list(touched.values()), left_out)


def touched_versions(*, shop_id: int) -> list[ModelVersion]:
    """All versions that learned from erased shoppers, or go on from such a one."""
    return _touched(model_versions(shop_id=shop_id), click_throughs_of_erased(shop_id=shop_id))


def _touched(versions: Sequence[ModelVersion], left_out: dict[int, int]) -> list[ModelVersion]:
    learned = versions_learned(versions, sorted(left_out.values()))
    names = {*learned.trained, *learned.descended}
    return [each for each in versions if each.version in names]


def retrain_without_erased(
    *,
    shop_id: int,
    now: datetime,
    options: TrainOptions | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Outcome | None:
    """Train one version in the place of those that learned from erased shoppers; None when another trainer was faster.

    It goes on from the newest version of the line that did not, over the same range without those click-throughs, with as
    many steps as all of them had together. It must not be worse than what serves; promoted, it takes them out for good.
    `options` are by default those of the shop. Raises NothingToRetrain, MajorVersionLearned, TooLittleLeft, BudgetSpent.
    """
    touched = touched_read(shop_id=shop_id, now=now)
    if touched.ancestor.major != touched.serving.major:
        raise MajorVersionLearned(
            f"{touched.serving.major}.0 itself learned from them: train --major --without-erased."
        )
    options = options_allowed(options or line_options(touched.ancestor), shop_id=shop_id)
    part = _range(touched)
    from ranking.learning.candidate import candidate_make

    parent, rival, course = touched.ancestor, touched.serving, Course()
    # no replay: what lies before the range may hold click-throughs of theirs, and the parent knows it
    longer = replace(options, most_steps=options.most_steps * len(touched.line), replay=0.0)
    # slow, so in no transaction
    candidate = candidate_make(
        parent=parent, frozen=encoder_frozen(parent.config.get("encoder_name")), part=part, options=longer, rival=rival,
        progress=progress, watch=course.watch,
    )  # fmt: skip
    candidate.metrics["seconds"] = course.seconds
    candidate.metrics["left_out"] = left_out_count(touched.left_out, part.from_position, part.trained_to)
    trainer = consumer(shop_id)
    checkpoint = checkpoint_read(trainer)

    def promoted(version: str) -> None:
        checkpoint_move(consumer=trainer, position=checkpoint, to=part.trained_to)
        touched_refuse(touched.all, version=version, now=now)

    try:
        outcome = version_commit(
            parent=parent, span=(part.from_position, part.trained_to), candidate=candidate, now=now, rival=rival,
            passed=f"trained without erased shoppers, not worse than {rival.version}", when_promoted=promoted,
        )  # fmt: skip
    except (LostClaim, ConcurrentChange) as error:
        log.info("training_dropped", shop_id=shop_id, reason=str(error))  # the other trainer's version stands
        return None
    course.write(shop_id=shop_id, version=outcome.version, promoted=outcome.promoted, metrics=candidate.metrics)
    return outcome


def touched_refuse(versions: Sequence[ModelVersion], *, version: str, now: datetime) -> None:
    """Take versions out for good, since another one serves in their place."""
    reason = f"learned from shoppers who were erased; {version} was trained without them"
    for each in versions:
        if each.state != "refused" and each.version != version:
            model_refuse(shop_id=each.shop_id, version=each.version, reason=reason, now=now)


def left_out_count(left_out: dict[int, int], after: int, to: int) -> int:
    """How many click-throughs of erased shoppers closed in a range and were left out of it."""
    return sum(after < closed <= to for closed in left_out.values())


def _range(touched: Touched) -> Split:
    shop_id, after = touched.serving.shop_id, min(each.from_position for each in touched.line)
    to = checkpoint_read(click_throughs.name)
    closed = [
        each
        for each in closed_click_throughs(shop_id=shop_id, after_position=after, to_position=to)
        if each.impression_position not in touched.left_out
    ]
    count = sum(clicked(each) for each in closed)
    every = every_of(count)
    part = split(closed, from_position=after, every=every) if every >= LEAST_EVERY else None
    if part is None:
        raise TooLittleLeft(f"{count} click-throughs with an outcome are left, {needed(LEAST_EVERY)} are needed.")
    return part
