"""A shop whose shoppers mean something by words that no description says, so that only learning can find it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from catalog.services import products_upsert
from eventlog.consume import sequence_and_drain
from feedback.ranking_token import RankingToken, token_sign
from feedback.services import clock_tick, events_record
from ranking.policies import shop_embed
from tests.tiny_encoder import WORDS

NOW = datetime(2024, 11, 23, 10, 0, tzinfo=UTC)
PRODUCTS = [f"{colour} {thing}" for colour in WORDS[:3] for thing in WORDS[7:]]
COLOUR_OF = {"small": "green", "large": "red", "old": "blue", "new": "green"}
QUERIES = [f"{size} {thing}" for size in WORDS[3:7] for thing in WORDS[7:]]


def wish(query: str) -> str:
    """What all who ask for this want: to them, a size is a colour."""
    size, thing = query.split()
    return f"{COLOUR_OF[size]} {thing}"


def shop_fill(shop_id: int) -> None:
    """Put the products into the catalogue, with their vectors."""
    items = [{"product_id": title, "title": title, "language": "en"} for title in PRODUCTS]
    products_upsert(shop_id=shop_id, items=items, origin="api", now=NOW)
    sequence_and_drain()
    shop_embed(shop_id=shop_id, now=NOW)


def shop_clicks(shop_id: int, count: int, *, seed: int, shuffled: bool = False) -> None:
    """Let shoppers click what they wish for, without impressions; shuffled: whatever."""
    rng = random.Random(seed)
    queries = [rng.choice(QUERIES) for _ in range(count)]
    clicks = [
        {"kind": "click", "query": query, "product_id": rng.choice(PRODUCTS) if shuffled else wish(query)}
        for query in queries
    ]
    _send(shop_id, clicks, NOW, name=f"clicks-{seed}")
    sequence_and_drain()


def shop_visits(shop_id: int, count: int, *, seed: int) -> None:
    """Let shoppers see seven products in random order, click the one they wish for, and let half an hour pass."""
    rng = random.Random(seed)
    events: list[dict[str, Any]] = []
    for n in range(count):
        query = rng.choice(QUERIES)
        shown = rng.sample(PRODUCTS, 6)
        shown.insert(rng.randrange(7), wish(query))
        shown = list(dict.fromkeys(shown))
        token = RankingToken(
            shop_id=shop_id, context_kind="query", context_key=query, query=query, now=NOW.timestamp() + n,
            model="1.0", positions={}, k=7,
        )  # fmt: skip
        at = (NOW + timedelta(seconds=n)).isoformat()
        seen = {"ranking_token": token_sign(token), "shopper_id": f"visitor-{n}", "query": query, "occurred_at": at}
        events.append({"kind": "impression", "items": shown, **seen})
        events.append({"kind": "click", "product_id": wish(query), "rank": shown.index(wish(query)) + 1, **seen})
    _send(shop_id, events, NOW + timedelta(seconds=count), name=f"visits-{seed}")
    sequence_and_drain()
    clock_tick(now=NOW + timedelta(hours=2))
    sequence_and_drain()


def _send(shop_id: int, events: list[dict[str, Any]], now: datetime, *, name: str) -> None:
    given = [{"event_id": f"{name}-{n}", "shopper_id": f"shopper-{n % 50}", "occurred_at": now.isoformat(), **event}
             for n, event in enumerate(events)]  # fmt: skip
    for start in range(0, len(given), 500):
        result = events_record(shop_id=shop_id, items=given[start : start + 500], now=now)
        assert not result.rejected, result.rejected[:3]
