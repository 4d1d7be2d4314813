"""What the encoder does for a shop each second: embed what is new, relate what shoppers asked for the first time."""

from __future__ import annotations

from datetime import datetime

from ranking.draining import drain_to_head
from ranking.embedding import embed_waiting, index_vectors, product_encoder
from ranking.neighbours import contexts_relate
from ranking.projections.models import models
from ranking.registry import ModelVersion, model_serving, models_before
from ranking.services import model_ensure_first
from ranking.towers import serving


def shop_embed(*, shop_id: int, now: datetime) -> int:
    """Embed a shop's descriptions and relate its new contexts until nothing waits; return how many of both."""
    model = _model(shop_id, now)
    product_encoder(model.config.get("encoder_name"))  # loaded before a revised description waits for it
    done = 0
    while True:
        moved = embed_waiting(model=model, now=now, most_batches=4)
        moved += contexts_relate(shop_id=shop_id, model=serving.model(shop_id), now=now)
        for before in models_before(shop_id=shop_id):  # so that it can still be rolled back to
            moved += embed_waiting(model=before, now=now, most_batches=1)
        done += moved
        if not moved:
            break
    index_vectors(shop_id=shop_id, major=model.major)
    return done


def _model(shop_id: int, now: datetime) -> ModelVersion:
    """The version that serves; a shop without one gets 1.0 first."""
    model = model_serving(shop_id=shop_id)
    if model is None:
        model_ensure_first(shop_id=shop_id, now=now)
        drain_to_head(models)  # whoever applies it: at a first start the projection worker is at it too
        model = model_serving(shop_id=shop_id)
    assert model is not None, "version 1.0 is registered and drained"
    return model
