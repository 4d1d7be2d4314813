"""A shopper's history as a context: the newest interactions, read as of a position of the log, with the products' vectors.

Searches with a shopper read it, old answers are made again from it, and so may recommendations be (`kind="history"`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log2
from operator import attrgetter
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from eventlog.database import rows
from ranking.vector_formats import vectors_matrix
from ranking.weights.options import VALUES

LENGTH = 50  # interactions: older ones say little of today, and a search reads them all
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Step:
    """An interaction with a product; `at` is its effective time in seconds since 1970."""

    product_id: str
    kind: str
    at: float
    position: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """T steps with products that have a vector, in the order of their time, (T, D).

    `exceptions` says, by how many interactions ago, whose vector was not that of the newest description when it was read
    (0: there was none): what only that moment knew, without which it could not be read again.
    """

    steps: Sequence[Step]
    vectors: Floats
    exceptions: Mapping[int, int]


def pull(kind: str) -> float:
    """How much an interaction of a kind counts in the mean of a history, >= 0: as a gain, log2(1 + its value)."""
    return log2(1.0 + max(0.0, VALUES[kind]))


def merged(steps: Iterable[Step]) -> list[Step]:
    """Put steps in the order of their time, and make one of what was done with one product in a row.

    A click, a basket and a purchase are one wish: the kind that counts most stays, and where it began. Else the next
    product would mostly be the one before. The log's own order says nothing within a batch.
    """
    found: list[Step] = []
    for step in sorted(steps, key=attrgetter("at", "position")):
        if found and found[-1].product_id == step.product_id:
            if pull(step.kind) > pull(found[-1].kind):
                found[-1] = replace(found[-1], kind=step.kind)
        else:
            found.append(step)
    return found


# the newest vector that a product's descriptions had by a position of the catalogue, or the one that was used then
_READ = """
WITH newest AS MATERIALIZED (
  SELECT i.product_id, i.kind, extract(epoch FROM i.at)::double precision AS at, i.position,
         row_number() OVER (ORDER BY i.position DESC)::integer AS ago
    FROM feedback_shopper s
    CROSS JOIN LATERAL (
      SELECT product_id, kind, at, position FROM feedback_interaction t
       WHERE t.subject_id = s.subject_id AND t.position <= %(facts)s ORDER BY t.position DESC LIMIT %(length)s) i
   WHERE s.shop_id = %(shop)s AND s.reference = %(reference)s
)
SELECT n.product_id, n.kind, n.at, n.position, n.ago, d.version, coalesce(e.description_version, 0), v.vector
  FROM newest n
  LEFT JOIN unnest(%(agos)s::integer[], %(versions)s::integer[]) AS g (ago, version) ON g.ago = n.ago
  LEFT JOIN LATERAL (
    SELECT max(version) AS version FROM catalog_descriptionversion t
     WHERE t.shop_id = %(shop)s AND t.product_id = n.product_id AND t.position <= %(products)s) d ON true
  LEFT JOIN LATERAL (
    SELECT description_version, hash FROM ranking_descriptionvector t
     WHERE t.shop_id = %(shop)s AND t.product_id = n.product_id AND t.major = %(major)s
       AND t.description_version <= coalesce(g.version, d.version)
     ORDER BY description_version DESC LIMIT 1) e ON true
  LEFT JOIN ranking_vector v ON v.hash = e.hash"""


def history_read(
    *,
    shop_id: int,
    reference: UUID,
    major: int,
    positions: Mapping[str, int],
    exceptions: Mapping[int, int] | None = None,
) -> History:
    """Read the LENGTH interactions of a shopper (by what tokens say) newest in the log as of positions of `facts` and `products`.

    `exceptions` are those of the history that is read again. Nobody known has an empty one, and so has who was erased.
    """
    noted = exceptions or {}
    found = rows(
        _READ,
        {
            "shop": shop_id,
            "reference": reference,
            "major": major,
            "facts": positions.get("facts", 0),
            "products": positions.get("products", 0),
            "length": LENGTH,
            "agos": list(noted),
            "versions": list(noted.values()),
        },
        binary=True,
    )
    steps, vectors = [], []
    for product_id, kind, at, position, _, _, _, vector in found:
        if vector is not None:
            steps.append(Step(product_id, kind, at, position))
            vectors.append(bytes(vector))
    odd = {ago: used for _, _, _, _, ago, newest, used, _ in found if newest is not None and used != newest}
    return _merged(steps, vectors_matrix(vectors), odd)


def _merged(steps: Sequence[Step], vectors: Floats, exceptions: Mapping[int, int]) -> History:
    row_of = {step.position: row for row, step in enumerate(steps)}
    kept = merged(steps)
    return History(kept, vectors[[row_of[step.position] for step in kept]], exceptions)
