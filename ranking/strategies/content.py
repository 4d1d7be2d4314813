"""What the items of a context are about: the mean of their vectors, newer ones before older ones."""

from __future__ import annotations

import numpy as np

from eventlog.database import rows
from ranking.projections.vectors import embedding_table
from ranking.strategies.next_for_you import lately
from ranking.strategies.sizes import CONTENT_ITEMS
from ranking.vector_formats import vectors_matrix
from ranking.visits.asked import Asked, Floats
from ranking.visits.reading import Items


def content_vector(shop_id: int, major: int, items: Items, asked: Asked) -> Floats | None:
    """Unit vector (D,) of the newest items that have one; None where none has."""
    if not len(items.ids):
        return None
    found = rows(
        f"""SELECT g.n, t.vector FROM unnest(%b::text[]) WITH ORDINALITY AS g (product_id, n)
              JOIN ranking_document d ON d.shop_id = %b AND d.product_id = g.product_id
              JOIN {embedding_table(shop_id, major)} t ON t.document_id = d.id""",
        [list(items.product_ids[:CONTENT_ITEMS]), shop_id],
        binary=True,
    )
    if not found:
        return None
    counts = lately(asked)[[n - 1 for n, _ in found]]
    mean = counts @ vectors_matrix([bytes(vector) for _, vector in found]).astype(np.float64)  # (D,)
    length = float(np.linalg.norm(mean))
    return mean / length if length > 0 else None
