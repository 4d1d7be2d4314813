"""Near contexts: what shoppers taught for "red sneakers" also moves "red trainers"."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from django.db import transaction
from numpy.typing import NDArray

from eventlog.database import query, rows, scalar
from eventlog.events import NewEvent, consumer_event_id
from eventlog.services import append
from ranking.draining import drain_through
from ranking.events import ContextRelated
from ranking.projections.contexts import contexts, encoder_key
from ranking.towers import Model, query_vectors
from ranking.vector_formats import vector_text
from ranking.weights.decay import MOST_HALF_LIVES
from ranking.weights.near import UNRELATED_QUERIES, unrelated_cosine
from ranking.weights.options import DEFAULTS, WeightOptions

if TYPE_CHECKING:
    from ranking.encoders import Encoder

# the larger of cosine under the frozen encoder, stretched so that unrelated contexts have 0, and similarity of spelling
_FIND = """
SELECT id, max(similarity)::double precision FROM (
  (SELECT context_id AS id, (-(vector <#> %(vector)s::vector) - %(unrelated)s) / (1 - %(unrelated)s) AS similarity
     FROM ranking_contextvector
    WHERE shop_id = %(shop)s AND encoder = %(encoder)s ORDER BY vector <#> %(vector)s::vector LIMIT %(most)s + 1)
  UNION ALL
  (SELECT id, similarity(key, %(key)s) FROM ranking_context
    WHERE shop_id = %(shop)s AND kind = 'query' AND key %% %(key)s ORDER BY 2 DESC, id LIMIT %(most)s + 1)) n
 WHERE id IS DISTINCT FROM %(own)s
 GROUP BY id HAVING max(similarity) >= %(least)s ORDER BY 2 DESC, 1 LIMIT %(most)s"""

_UNRELATED_YET = """
  FROM ranking_context c LEFT JOIN ranking_relatedcontext r ON r.context_id = c.id AND r.encoder = %s
 WHERE c.shop_id = %s AND c.kind = 'query' AND r.context_id IS NULL"""

_REWARDS = f"""
SELECT id, reward * power(2.0, -least(greatest(%s - at, 0) / %s::double precision, {MOST_HALF_LIVES}))
  FROM ranking_context WHERE id = ANY(%s::bigint[])"""


@cache
def _unrelated(encoder: Encoder) -> float:
    """The mean cosine that an encoder gives to unrelated queries, made once a process."""
    return float(unrelated_cosine(np.stack([encoder.encode_query(text) for text in UNRELATED_QUERIES])))


def neighbours_find(
    *,
    shop_id: int,
    key: str,
    text: str,
    model: Model,
    vector: NDArray[np.float32],
    now: float,
    own: int | None = None,
    options: WeightOptions = DEFAULTS,
) -> list[tuple[int, float, float]]:
    """The nearest contexts of a query: context id, similarity, lasting reward at `now`; most similar first.

    `own` is the query's own context where it has one already, which is no neighbour of itself. `vector` is what the tower
    made of the query. Where that is what the frozen encoder makes of the key it serves here too, so that a new query is
    encoded once: an encoder is given the words of a query, which all but the longest keys are. `options` are those of the shop.
    """
    same = model.is_frozen and model.frozen.query_text(text) == model.frozen.query_text(key)
    near = vector if same else query_vectors.get(model, key, frozen=True)
    found = _find(shop_id, key, near, model.frozen, own, options)
    if not found:
        return []
    rewards: dict[int, float] = dict(
        rows(_REWARDS, [now, options.context_half_life_seconds, [id_ for id_, _ in found]])
    )
    # a vector may outlive its context: vectors lie beside the log, contexts are rebuilt from it
    return [(id_, similarity, rewards[id_]) for id_, similarity in found if id_ in rewards]


def contexts_waiting(*, shop_id: int, encoder: str) -> int:
    """How many contexts an encoder (by its fingerprint) has not been asked about yet."""
    return int(scalar(f"SELECT count(*) {_UNRELATED_YET}", [encoder_key(encoder), shop_id]))


def contexts_relate(*, shop_id: int, model: Model, now: datetime, most: int = 64) -> int:
    """Find the neighbours of contexts that got their first feedback, or the model's encoder its first contexts, and record
    them. Returns how many were not recorded before."""
    waiting = rows(
        f"SELECT c.id, c.key {_UNRELATED_YET} ORDER BY c.id LIMIT %s",
        [encoder_key(model.frozen.fingerprint), shop_id, most],
    )
    new: list[int] = []
    for context_id, key in waiting:
        vector = query_vectors.get(model, key, frozen=True)
        with transaction.atomic():
            query(
                """INSERT INTO ranking_contextvector (shop_id, context_id, encoder, vector) VALUES (%s, %s, %s, %s::vector)
                   ON CONFLICT DO NOTHING""",
                [shop_id, context_id, model.frozen.fingerprint, vector_text(vector)],
            )
            found = _find(shop_id, key, vector, model.frozen, context_id, DEFAULTS)
            event = ContextRelated(context_id=context_id, encoder=model.frozen.fingerprint, neighbours=found)
            identity = consumer_event_id(consumer=f"contexts/{model.frozen.fingerprint}", position=context_id)
            (appended,) = append(shop_id=shop_id, events=[NewEvent(event=event, event_id=identity, occurred_at=now)])
        if appended.id is not None:
            new.append(appended.id)
    if new:
        drain_through(contexts, row_id=new[-1])  # so that the next look knows these are done
    return len(new)


def _find(
    shop_id: int, key: str, vector: NDArray[np.float32], encoder: Encoder, own: int | None, options: WeightOptions
) -> list[tuple[int, float]]:
    params = {
        "shop": shop_id,
        "key": key,
        "vector": vector_text(vector),
        "encoder": encoder.fingerprint,
        "unrelated": _unrelated(encoder),
        "own": own,
        "most": options.near_contexts,
        "least": options.near_similarity,
    }
    return [(id_, similarity) for id_, similarity in rows(_FIND, params)]
