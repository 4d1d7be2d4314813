"""A version in shadow: it passed the gate, and is judged once more on what closed after that before it may serve.

Searches know nothing of it. Who shadows (FRESHET_SHADOW) pays with time: the trainer waits meanwhile, since the next
version trains from what serves, and each click-through judges before it teaches, here as in the gate.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import structlog

from eventlog.consume import checkpoint_read
from eventlog.errors import ConcurrentChange
from feedback.projections import click_throughs
from feedback.selectors import closed_click_throughs
from ranking.cadence import cadence_read, pace_note
from ranking.registry import ModelVersion, model_awaited, model_get, model_in_shadow, model_shadow_end
from ranking.towers import encoder_frozen, model_load, query_vectors_prepare
from ranking.training import Outcome, evidence_missing, models_drain, reached, shop_train_if_allowed

log = structlog.get_logger(__name__)


def shop_learn(*, shop_id: int, now: datetime) -> Outcome | None:
    """What the trainer does again and again: end the shadow that a version is in, or else train one, when it is time.

    None when it is not. Nothing begins or ceases to serve by itself while a shop is frozen.
    """
    if model_awaited(shop_id=shop_id):
        return None  # what serves is about to be replaced, and nothing but an operator comes between
    shadow = model_in_shadow(shop_id=shop_id)
    if shadow is None:
        return shop_train_if_allowed(shop_id=shop_id, now=now)
    return None if cadence_read(shop_id=shop_id).learning == "frozen" else shadow_judge(shadow=shadow, now=now)


def shadow_judge(*, shadow: ModelVersion, now: datetime) -> Outcome | None:
    """Judge a version by the click-throughs that closed since it went into shadow, and promote or refuse it.

    None while too few have closed, while their products wait for their vectors, and when somebody else ended it. One event
    ends a shadow: killed anywhere before it, the same is done again.
    """
    shop_id, after = shadow.shop_id, shadow.shadow_after or 0
    position = reached(shop_id=shop_id, after=after, count=shadow.shadow_click_throughs or 0)
    if position is None or position > checkpoint_read(click_throughs.name):
        return None
    closed = closed_click_throughs(shop_id=shop_id, after_position=after, to_position=position)
    if evidence_missing(shadow, {product for each in closed for product in each.items}, position=position):
        return None
    from ranking.learning.shadow import shadow_verdict  # loads torch

    assert shadow.parent is not None, "a version in shadow goes on from the one that serves"
    cadence, serving = cadence_read(shop_id=shop_id), model_get(shop_id=shop_id, version=shadow.parent)
    frozen = encoder_frozen(shadow.config.get("encoder_name"))
    verdict = shadow_verdict(serving=serving, shadow=shadow, frozen=frozen, closed=closed, position=position)
    refused = verdict.reason is not None
    reason = (
        f"in shadow: {verdict.reason}" if refused else f"not worse in shadow, on {len(closed)} later click-throughs"
    )
    if not refused:  # before anybody serves it, so that serving processes find its queries encoded
        query_vectors_prepare(shop_id=shop_id, model=model_load(shadow))
    if not _end(shadow, refused=refused, reason=reason, figures=verdict.figures, now=now):
        return None
    pace_note(cadence, shop_id=shop_id)
    metrics = shadow.metrics | {"gate": verdict.figures}
    log.info(
        "shadow_ended", shop_id=shop_id, version=shadow.version, promoted=not refused, reason=reason, **verdict.figures
    )
    return Outcome(shadow.version, not refused, reason, metrics)


def _end(shadow: ModelVersion, *, refused: bool, reason: str, figures: dict[str, Any], now: datetime) -> bool:
    """Whether it was ended here; an operator's choice or another trainer may have been faster."""
    models_drain()
    if model_in_shadow(shop_id=shadow.shop_id) != shadow:
        return False
    try:
        model_shadow_end(
            shop_id=shadow.shop_id, version=shadow.version, refused=refused, reason=reason, figures=figures, now=now
        )
    except ConcurrentChange:
        return False
    models_drain()
    return True
