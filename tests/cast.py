"""Who appears in the tests: a clock that stands still, a small shop, its shoppers, and callers of the API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import orjson
from django.test import Client

from catalog.services import description_revise, product_retire, products_upsert
from eventlog.consume import sequence_and_drain
from feedback.services import RecordResult, events_record

TEN_O_CLOCK = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
SHOP_ID = 1

# twelve products; "mug", "beaker" and the tea things share words, so that rankings have something to decide
PRODUCTS: list[dict[str, Any]] = [
    {"product_id": "mug", "title": "Stoneware mug", "description": "A hand-thrown mug for coffee or tea, 300 ml.",
     "language": "en", "brand": "Tonwerk", "category": ["Kitchen", "Cups"], "price": 14.5, "currency": "EUR",
     "attributes": {"colour": "Blue", "volume_ml": 300}},
    {"product_id": "beaker", "title": "Enamel beaker", "description": "Camping beaker that a fire does not hurt.",
     "language": "en", "brand": "Emalia", "category": ["Outdoor", "Cups"], "price": 9.9, "currency": "EUR",
     "attributes": {"colour": "White"}},
    {"product_id": "teapot", "title": "Cast iron teapot", "description": "Keeps tea hot for an hour. With a sieve.",
     "language": "en", "brand": "Tonwerk", "category": ["Kitchen", "Tea"], "price": 49.0, "currency": "EUR",
     "relations": [{"kind": "accessory_of", "product_id": "mug"}]},
    {"product_id": "kettle", "title": "Electric kettle 1.7 l", "description": "Boils water in three minutes.",
     "language": "en", "brand": "Voltana", "category": ["Kitchen", "Appliances"], "price": 34.99, "currency": "EUR"},
    {"product_id": "speaker", "title": "Portable Bluetooth speaker", "description": "Small, loud, splash-proof.",
     "language": "en", "brand": "Trevi", "category": ["Audio", "Speakers"], "price": 39.95, "currency": "EUR",
     "attributes": {"colour": "Black", "power_w": 10}, "released_at": "2019-03-01"},
    {"product_id": "headphones", "title": "Wireless headphones", "description": "Over-ear, thirty hours of music.",
     "language": "en", "brand": "Trevi", "category": ["Audio", "Headphones"], "price": 89.0, "currency": "EUR"},
    {"product_id": "sneakers", "title": "Red canvas sneakers", "description": "Light shoes for the summer.",
     "language": "en", "brand": "Laufgut", "category": ["Clothing", "Shoes"], "price": 59.0, "currency": "EUR",
     "attributes": {"colour": "Red"}},
    {"product_id": "trainers", "title": "Running trainers", "description": "Cushioned shoes for long runs.",
     "language": "en", "brand": "Laufgut", "category": ["Clothing", "Shoes"], "price": 119.0, "currency": "EUR"},
    {"product_id": "raincoat", "title": "Yellow raincoat", "description": "Waterproof coat with a hood.",
     "language": "en", "brand": "Wetterfest", "category": ["Clothing", "Coats"], "price": 75.0, "currency": "EUR"},
    {"product_id": "novel", "title": "The Lighthouse Keeper", "description": "A novel about winter and a promise.",
     "language": "en", "category": ["Books"], "price": 12.0, "currency": "EUR", "in_stock": False},
    {"product_id": "茶杯", "title": "青花瓷茶杯", "description": "景德镇手工青花瓷茶杯，适合绿茶。", "language": "zh",
     "brand": "青瓷坊", "category": ["厨房", "茶具"], "price": 68.0, "currency": "CNY"},
    {"product_id": "耳机", "title": "无线蓝牙耳机", "description": "降噪耳机，续航三十小时。", "language": "zh",
     "brand": "声境", "category": ["音响", "耳机"], "price": 299.0, "currency": "CNY"},
]  # fmt: skip


@dataclass
class Clock:
    """A clock that moves only when told to."""

    now: datetime = TEN_O_CLOCK

    def tick(self, *, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now


def drain() -> int:
    """Do what the worker does: sequence and apply everything."""
    return sequence_and_drain()


@dataclass
class SmallShop:
    """A shop whose state is built by appending events; every method drains, so that what it did can be seen."""

    clock: Clock
    shop_id: int = SHOP_ID

    def offer(self, *products: dict[str, Any]) -> None:
        """Put products into the catalogue as they stand."""
        done = products_upsert(shop_id=self.shop_id, items=products, origin="api", now=self.clock.now)
        assert not done.rejected, done.rejected
        drain()

    def revise_description(self, product_id: str, text: str, *, expected_version: int = 1) -> None:
        """Write a new description version."""
        description_revise(
            shop_id=self.shop_id,
            product_id=product_id,
            fields={"description": text},
            expected_version=expected_version,
            now=self.clock.now,
        )
        drain()

    def retire(self, product_id: str) -> None:
        product_retire(shop_id=self.shop_id, product_id=product_id, now=self.clock.now)
        drain()

    def record(self, *events: dict[str, Any]) -> RecordResult:
        """Send events as a shop does, straight into the log."""
        result = events_record(shop_id=self.shop_id, items=events, now=self.clock.now)
        drain()
        return result


@dataclass
class Shopper:
    """Somebody who sees and does things; makes events as `POST /v1/events` takes them, with ids that count up."""

    name: str
    clock: Clock
    _numbers: count[int] = field(default_factory=lambda: count(1))

    def sees(self, items: Sequence[str], **more: Any) -> dict[str, Any]:
        return self._event("impression", items=list(items), **more)

    def views(self, product_id: str, **more: Any) -> dict[str, Any]:
        return self._event("view", product_id=product_id, **more)

    def clicks(self, product_id: str, **more: Any) -> dict[str, Any]:
        return self._event("click", product_id=product_id, **more)

    def buys(self, product_id: str, **more: Any) -> dict[str, Any]:
        return self._event("purchase", product_id=product_id, **more)

    def _event(self, kind: str, **members: Any) -> dict[str, Any]:
        return {
            "event_id": f"{self.name}-{next(self._numbers)}",
            "kind": kind,
            "occurred_at": self.clock.now.isoformat(),
            "shopper_id": self.name,
            **members,
        }


class Api:
    """A caller of the API with one key; without a key, an uninvited one. Answers are Django's test responses."""

    def __init__(self, key: str | None = None) -> None:
        self._client = Client(raise_request_exception=False)
        self._headers = {"authorization": f"Api-Key {key}"} if key else {}

    def get(self, path: str, *, headers: dict[str, str] | None = None, **params: Any) -> Any:
        return self._client.get(path, params, headers=self._headers | (headers or {}))

    def post(self, path: str, body: Any = None, *, headers: dict[str, str] | None = None) -> Any:
        return self.send("POST", path, body, headers=headers)

    def put(self, path: str, body: Any = None, *, headers: dict[str, str] | None = None) -> Any:
        return self.send("PUT", path, body, headers=headers)

    def delete(self, path: str) -> Any:
        return self.send("DELETE", path)

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> Any:
        """Send a body: bytes and text as they are, anything else as JSON."""
        content = body if isinstance(body, bytes | str) else b"" if body is None else orjson.dumps(body)
        return self._client.generic(
            method, path, content, content_type=content_type, headers=self._headers | (headers or {})
        )
