"""Shoppers of a bench with a taste: each visits products near a few that it likes, so that some products go together."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from tqdm import tqdm

KINDS = ("click", "click", "click", "add_to_cart", "purchase")
BATCH = 1000


def visits_load(*, product_ids: list[str], shoppers: int, steps: int, seed: int, name: str = "s") -> int:
    """Record so many interactions of each shopper over the last 60 days, as a shop sends them; return how many."""
    from eventlog.consume import sequence_and_drain
    from feedback.services import events_record

    now = datetime.now(UTC)
    events = list(happenings(product_ids, shoppers, steps, seed, now, name))
    with tqdm(total=len(events), desc="visits", unit="event", file=sys.stderr) as bar:
        for start in range(0, len(events), BATCH):
            batch = events[start : start + BATCH]
            result = events_record(shop_id=1, items=batch, now=now)
            if result.rejected:
                raise RuntimeError(f"refused: {result.rejected[0]}")
            bar.update(len(batch))
            if start % (10 * BATCH) == 0:
                sequence_and_drain()
        sequence_and_drain()
    return len(events)


def happenings(
    product_ids: list[str], shoppers: int, steps: int, seed: int, now: datetime, name: str
) -> Iterator[dict[str, Any]]:
    """Interactions in the order of their time. Neighbours in the catalogue go together; some products are popular."""
    chance = np.random.default_rng(seed)
    likes = chance.integers(len(product_ids), size=(shoppers, 4))
    who = chance.permutation(np.repeat(np.arange(shoppers), steps))
    started = now - timedelta(days=60)
    for n, shopper in enumerate(who.tolist()):
        near = int(likes[shopper, chance.integers(4)] + chance.normal(0, 15)) % len(product_ids)
        popular = int(len(product_ids) * chance.random() ** 4)
        yield {
            "event_id": f"{name}-{n}",
            "kind": KINDS[int(chance.integers(len(KINDS)))],
            "occurred_at": (started + timedelta(days=59) * (n / len(who))).isoformat(),
            "shopper_id": f"{name}{shopper}",
            "product_id": product_ids[near if chance.random() < 0.7 else popular],
        }
