"""A shop whose shoppers each like one colour, whatever they search for: only who asks says what they want."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from eventlog.consume import sequence_and_drain
from feedback.ranking_token import RankingToken, token_sign
from feedback.services import clock_tick, events_record
from tests.learning_shop import NOW, PRODUCTS
from tests.tiny_encoder import WORDS

THINGS = WORDS[7:]
TASTES = {"alice": "red", "bob": "blue", "charlie": "green", **{f"other-{n}": WORDS[n % 3] for n in range(9)}}


def tastes_visits(shop_id: int, count: int, *, seed: int, shuffled: bool = False) -> None:
    """Let shoppers, in turn, search for a thing, see it in every colour, and buy it in theirs; shuffled: in any."""
    rng = random.Random(seed)
    events: list[dict[str, Any]] = []
    for n in range(count):
        name, thing = list(TASTES)[n % len(TASTES)], rng.choice(THINGS)
        shown = rng.sample([product for product in PRODUCTS if product.endswith(thing)], 3) + rng.sample(PRODUCTS, 3)
        shown = list(dict.fromkeys(shown))
        bought = f"{rng.choice(WORDS[:3]) if shuffled else TASTES[name]} {thing}"
        at = NOW + timedelta(seconds=60 * n)
        token = RankingToken(
            shop_id=shop_id, context_kind="query", context_key=thing, query=thing, now=at.timestamp(), model="1.0",
            positions={}, k=6,
        )  # fmt: skip
        seen = {"ranking_token": token_sign(token), "shopper_id": name, "query": thing, "occurred_at": at.isoformat()}
        events.append({"event_id": f"seen-{seed}-{n}", "kind": "impression", "items": shown, **seen})
        rank = shown.index(bought) + 1
        events.append({"event_id": f"did-{seed}-{n}", "kind": "purchase", "product_id": bought, "rank": rank, **seen})
    now, visits = NOW + timedelta(seconds=60 * count), 2 * len(TASTES)
    for start in range(0, len(events), visits):  # a round at once: within a batch the log has an order of its own
        result = events_record(shop_id=shop_id, items=events[start : start + visits], now=now)
        assert not result.rejected, result.rejected[:3]
    sequence_and_drain()
    clock_tick(now=now + timedelta(hours=2))
    sequence_and_drain()
