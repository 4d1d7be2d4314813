"""Probes: change one thing by REST, ask by REST until an answer shows it, and say how long that took.

The clock starts when the change was answered and stops when the first answer that shows it has arrived, so a search's own
time is part of every figure.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import orjson

from bench.traffic import Client, Goods

GIVE_UP_SECONDS = 60.0
PAUSE_SECONDS = 0.002
TAKEN = {"product_id", "title", "description", "language", "brand", "category", "price", "currency", "in_stock", "attributes",
         "image_url", "released_at", "relations"}  # of what GET answers, what POST takes  # fmt: skip


class NotSeen(RuntimeError):
    """A change did not show in any answer for a minute."""


def until(shown: Callable[[], bool], since: float) -> float:
    """Ask until it shows; seconds since the change was answered. Raises NotSeen."""
    while not shown():
        if time.perf_counter() - since > GIVE_UP_SECONDS:
            raise NotSeen(f"nothing after {GIVE_UP_SECONDS:.0f} s")
        time.sleep(PAUSE_SECONDS)
    return time.perf_counter() - since


@dataclass(slots=True)
class Probes:
    """All probes over one kept connection; what they change is drawn by `chance`."""

    client: Client
    goods: Goods
    chance: random.Random

    def click(self) -> float:
        """A click for a query, until the answer to this query counts it."""
        query = self._query()
        items = self.client.search(query, k=10, explain=True)["items"]
        chosen = self.chance.choice(items)
        product_id, counted = chosen["product_id"], chosen["explanation"]["events"]
        event = {
            "event_id": str(uuid4()),
            "kind": "click",
            "occurred_at": _now(),
            "product_id": product_id,
            "query": query,
        }
        self._accepted(self.client.post("/v1/events", orjson.dumps({"events": [event]})))
        since = time.perf_counter()

        def shown() -> bool:
            found = self._item(query, product_id, explain=True)
            return found is not None and found["explanation"]["events"] > counted + 0.5

        return until(shown, since)

    def offer(self, *, stock: bool) -> float:
        """Another price, or stock that comes or goes, until a search shows it."""
        product_id, title, found = self._product()
        product = self.client.get(f"/v1/products/{quote(product_id, safe='')}")
        name = "in_stock" if stock else "price"
        value: bool | float = not found["in_stock"] if stock else round(self.chance.uniform(1, 1000), 2)
        body = {field: given for field, given in product.items() if field in TAKEN and given is not None}
        self._accepted(self.client.post("/v1/products", orjson.dumps({"products": [body | {name: value}]})))
        since = time.perf_counter()

        def shown() -> bool:
            found = self._item(title, product_id)
            return found is not None and found[name] == value

        return until(shown, since)

    def description(self) -> tuple[float, float]:
        """A revised description with a word that is new to the shop: until it is found by it, and until by its vector."""
        product_id, _, found = self._product()
        word = "".join(self.chance.choices("bcdfghjklmnpqrstvwxz", k=12))
        place = f"/v1/products/{quote(product_id, safe='')}/descriptions"
        version = found["description_version"]
        body = orjson.dumps({"description": f"{word}. Revised."})
        revised = self.client.call("POST", place, body, **{"If-Match": f'"{version}"'})
        since = time.perf_counter()
        by_word = until(lambda: self._item(word, product_id) is not None, since)

        def embedded() -> bool:
            found = self._item(word, product_id)
            return found is not None and (found["vector_version"] or 0) >= revised["description_version"]

        return by_word, until(embedded, since)

    def _query(self) -> str:
        """A query that finds something and that no background shopper asks."""
        while True:
            query = f"{self.chance.choice(self.goods.queries)} {self.chance.randrange(1_000_000)}"
            if self.client.search(query, k=1)["items"]:
                return query

    def _product(self) -> tuple[str, str, dict[str, Any]]:
        """A product that is found by its title: id, title, item of the answer."""
        while True:
            product_id = self.chance.choice(self.goods.product_ids)
            title = str(self.client.get(f"/v1/products/{quote(product_id, safe='')}")["title"])[:500]
            if found := self._item(title, product_id):
                return product_id, title, found

    def _item(self, query: str, product_id: str, *, explain: bool = False) -> dict[str, Any] | None:
        items = self.client.search(query, k=100, explain=explain)["items"]
        return next((item for item in items if item["product_id"] == product_id), None)

    def _accepted(self, answer: dict[str, Any]) -> None:
        if answer["rejected"] or not answer["accepted"]:
            raise RuntimeError(f"not taken: {answer}")


def _now() -> str:
    return datetime.now(UTC).isoformat()
