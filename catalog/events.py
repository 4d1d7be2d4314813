"""What can happen to a product. Two streams each: an editor and a price feed never collide.

`description/<product_id>`: its version *is* the description version. `offer/<product_id>`: price, stock, retirement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from eventlog.events import Event

Origin = Literal["api", "import", "admin", "restore"]


def description_stream(product_id: str) -> str:
    return f"description/{product_id}"


def offer_stream(product_id: str) -> str:
    return f"offer/{product_id}"


@dataclass(frozen=True, kw_only=True)
class ProductDescribed(Event):
    """A product got a new description version: the whole of what describes it, not a difference."""

    type = "catalog.ProductDescribed"
    product_id: str
    title: str
    description: str = ""
    language: str | None = None
    brand: str | None = None
    category: Sequence[str] = ()  # from the widest to the narrowest
    attributes: Mapping[str, Any] = field(default_factory=dict)
    image_url: str | None = None
    released_at: str | None = None  # ISO 8601: a date, or a moment in UTC
    relations: Sequence[Mapping[str, str]] = ()  # {"kind": "accessory_of", "product_id": "77"}
    origin: Origin = "api"
    restored_from: int | None = None  # the version that was made current again


@dataclass(frozen=True, kw_only=True)
class OfferChanged(Event):
    """Price, currency or stock of a product changed: the whole offer, not a difference."""

    type = "catalog.OfferChanged"
    product_id: str
    price: float | None = None
    currency: str | None = None
    in_stock: bool = True


@dataclass(frozen=True, kw_only=True)
class ProductRetired(Event):
    """A product left the shop: it is never shown again, its history stays."""

    type = "catalog.ProductRetired"
    product_id: str
