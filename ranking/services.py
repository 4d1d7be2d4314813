"""Writes of ranking: operator weights, lexical statistics, and the first model version of a shop."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction
from pydantic import ValidationError

from eventlog.database import rows
from eventlog.errors import ConcurrentChange, FreshetError
from eventlog.events import NewEvent
from eventlog.receipts import receipt_make
from eventlog.rejections import Rejection, rejection_of
from eventlog.selectors import heads
from eventlog.services import append
from feedback.contexts import query_context
from ranking.events import LexicalStatisticsPublished, ModelVersionTrained, WeightSet
from ranking.inputs import WeightIn
from ranking.registry import artefact_hash, model_promote_new, model_register
from ranking.relevance import head_default
from ranking.towers import encoder_frozen

if TYPE_CHECKING:
    from ranking.encoders import Encoder

PUBLISH_SHARE = 0.02  # statistics that moved by less would only make scores tremble
PUBLISH_SECONDS = 3600


class BadWeights(FreshetError):
    """The body is {"weights": [{"product_id": "...", "weight": 1.5}]} with up to 1,000 weights."""

    code = "bad_weights"


MOST_WEIGHTS = 1000


def weights_put(*, shop_id: int, body: Any, now: datetime) -> dict[str, Any]:
    """Set operator weights, each item answered on its own; the newest for a product and query counts.

    Of several for one product and query in a call the last is recorded, and the others are its duplicates: events of one
    call have no order among them. Raises BadWeights.
    """
    items = body.get("weights") if isinstance(body, dict) and set(body) == {"weights"} else None
    if not isinstance(items, list) or len(items) > MOST_WEIGHTS:
        raise BadWeights(field="weights")
    newest: dict[tuple[str, str | None], WeightSet] = {}
    rejected: list[Rejection] = []
    for index, item in enumerate(items):
        try:
            event = _weight_set(WeightIn.model_validate(item))
        except ValidationError as error:
            rejected.append(rejection_of(error, model=WeightIn, index=index))
        else:
            newest[event.product_id, event.context_key] = event
    events = [NewEvent(event=event, occurred_at=now) for event in newest.values()]
    row_id = max((appended.id or 0 for appended in append(shop_id=shop_id, events=events)), default=0)
    return {
        "accepted": len(events),
        "duplicates": len(items) - len(rejected) - len(events),
        "rejected": [rejection.as_dict() for rejection in rejected],
        "receipt": receipt_make(shop_id=shop_id, row_id=row_id),
    }


def _weight_set(given: WeightIn) -> WeightSet:
    context = query_context(given.query) if given.query else None
    return WeightSet(
        product_id=given.product_id,
        weight=given.weight,
        context_key=context.key if context else None,
        until=given.until.isoformat() if given.until else None,
    )


def lexical_statistics_publish(*, now: datetime) -> int:
    """Publish the statistics of each shop whose index moved by 2 %, or moved at all an hour ago. Returns how many."""
    due = rows(
        """SELECT l.shop_id, l.documents FROM ranking_lexicon l
             LEFT JOIN LATERAL (SELECT documents, published_at FROM ranking_publication p
                                 WHERE p.shop_id = l.shop_id ORDER BY position DESC LIMIT 1) p ON true
            WHERE l.changes > 0 AND (p.documents IS NULL OR l.changes > %s * p.documents
                                     OR p.published_at < %s::timestamptz - make_interval(secs => %s))""",
        [PUBLISH_SHARE, now, PUBLISH_SECONDS],
    )
    for shop_id, documents in due:
        append(
            shop_id=shop_id, events=[NewEvent(event=LexicalStatisticsPublished(documents=documents), occurred_at=now)]
        )
    return len(due)


def model_ensure_first(*, shop_id: int, now: datetime) -> None:
    """Register and promote version 1.0, the configured encoder as it came, unless the shop has it. Safe to repeat."""
    if heads(shop_id=shop_id, streams=["model/1.0"])["model/1.0"].version:
        return
    encoder = encoder_frozen(settings.FRESHET_ENCODER)
    try:
        _register_untrained(shop_id, "1.0", encoder, now)
    except ConcurrentChange:
        return  # another process was first


@transaction.atomic
def _register_untrained(shop_id: int, version: str, encoder: Encoder, now: datetime) -> None:
    from ranking.learning.artefact import Artefact, artefact_write  # loads torch: see ranking/towers.py

    artefact = artefact_write(Artefact(head_default(encoder.name)))
    trained = ModelVersionTrained(
        version=version,
        encoder=encoder.fingerprint,
        artefact=artefact_hash(artefact),
        config={"encoder_name": settings.FRESHET_ENCODER},
    )
    model_register(shop_id=shop_id, trained=trained, artefact=artefact, now=now)
    model_promote_new(shop_id=shop_id, version=version, reason="the pre-trained encoder, before any feedback", now=now)
