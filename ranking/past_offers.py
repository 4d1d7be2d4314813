"""What products cost when an old answer was made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from catalog.events import OfferChanged, offer_stream
from eventlog.database import rows
from feedback.ranking_token import RankingToken

# the newest offer of each product by then
_NEWEST = """
SELECT DISTINCT ON (e.stream) e.stream, e.data::text FROM eventlog_event e JOIN eventlog_position p ON p.event_id = e.id
 WHERE e.shop_id = %s AND e.stream = ANY(%s::text[]) AND e.type = %s AND p.position <= %s
 ORDER BY e.stream, e.version DESC"""


def offers_at(read: RankingToken, product_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Price, currency and stock of each product as they were then, by product_id; empty where no offer was made."""
    streams = {offer_stream(product_id): product_id for product_id in product_ids}
    found = rows(_NEWEST, [read.shop_id, list(streams), OfferChanged.type, read.positions.get("products", 0)])
    offers: dict[str, dict[str, Any]] = {product_id: {} for product_id in streams.values()}
    return offers | {streams[stream]: orjson.loads(data) for stream, data in found}
