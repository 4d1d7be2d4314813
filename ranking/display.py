"""What an answer shows of its products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eventlog.database import rows
from ranking.vector_formats import ids_text

_DISPLAY = """
SELECT id, title, brand, category, price, currency, in_stock, image_url, description_version
  FROM catalog_product WHERE id = ANY(%s::bigint[])"""


def products_display(ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The fields that a result list needs, by internal id."""
    names = ("title", "brand", "category", "price", "currency", "in_stock", "image_url", "description_version")
    return {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows(_DISPLAY, [ids_text(ids)])}
