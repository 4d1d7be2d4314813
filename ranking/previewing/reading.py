"""What a preview asks: searches of a past range with their outcomes, the contexts near to them, and the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from eventlog.consume import checkpoint_read
from eventlog.database import rows, scalar
from eventlog.errors import FreshetError
from feedback.projections import facts
from ranking.learning.catalogue import CatalogueAt, catalogue_at
from ranking.learning.examples import gain
from ranking.projections.contexts import encoder_key
from ranking.towers import Model

EVENTS = 200_000  # positions of the log that are walked at most, back from the last one asked
CATALOGUE = 5000  # products that are ranked besides those that were wanted


class NothingToPreview(FreshetError):
    """No search of this range has an outcome: choose another range, or set the table with "force": true and a reason."""

    code = "nothing_to_preview"
    status = 409


@dataclass(frozen=True, slots=True)
class Asked:
    """A search with an outcome: at a position of the log, what was wanted by what it led to."""

    position: int
    key: str
    text: str
    at: float
    wanted: Sequence[str]


# newest first by closing: an index has that order, and the end of a range is near the end of the log
_ASKED = """
SELECT impression_position, context_key, coalesce(context_text, context_key),
       extract(epoch FROM shown_at)::double precision, outcomes
  FROM feedback_clickthrough
 WHERE shop_id = %s AND context_kind = 'query' AND shown_at >= %s AND shown_at < %s AND outcomes <> '{}'
   AND impression_position <= %s
 ORDER BY closed_position DESC, impression_position DESC LIMIT %s"""


def asked_read(*, shop_id: int, from_at: datetime, to_at: datetime, limit: int) -> list[Asked]:
    """The newest click-throughs of a range that wanted something, in the order of the log. Raises NothingToPreview."""
    found = [
        Asked(position, key, text, at, [p for p, kinds in orjson.loads(outcomes).items() if gain(kinds) > 0])
        for position, key, text, at, outcomes in rows(
            _ASKED, [shop_id, from_at, to_at, checkpoint_read(facts.name), limit]
        )
    ]
    wanting = sorted((each for each in found if each.wanted), key=lambda each: each.position)
    if not wanting:
        raise NothingToPreview
    return [each for each in wanting if each.position > wanting[-1].position - EVENTS]


_NEAR = """
SELECT c.key, o.key, n.similarity
  FROM ranking_context c
  JOIN ranking_contextneighbour n ON n.context_id = c.id AND n.encoder = %s
  JOIN ranking_context o ON o.id = n.neighbour_id
 WHERE c.shop_id = %s AND c.kind = 'query' AND c.key = ANY(%s::text[])
 ORDER BY c.key, n.similarity DESC, n.neighbour_id"""


def near_read(shop_id: int, keys: Iterable[str], model: Model) -> dict[str, list[tuple[str, float]]]:
    """Near contexts of each query, as they are known now."""
    found: dict[str, list[tuple[str, float]]] = {}
    for key, other, similarity in rows(_NEAR, [encoder_key(model.frozen.fingerprint), shop_id, sorted(keys)]):
        found.setdefault(key, []).append((other, similarity))
    return found


def documents_read(shop_id: int) -> int:
    """How many products can be found by their words, as breadth is shared among."""
    return int(scalar("SELECT documents FROM ranking_lexicon WHERE shop_id = %s", [shop_id]) or 0)


def catalogue_read(shop_id: int, model: Model, asked: Sequence[Asked]) -> CatalogueAt:
    """The catalogue as it is now: what was wanted, and CATALOGUE others. Raises NothingToPreview."""
    named = {product_id for each in asked for product_id in each.wanted}
    found = catalogue_at(
        shop_id=shop_id,
        position=checkpoint_read("products"),
        major=model.major,
        named=named,
        pool=CATALOGUE,
        seed=0,
    )
    if not found.product_ids:
        raise NothingToPreview("No product has a vector yet: preview when the catalogue is embedded.")
    return found
