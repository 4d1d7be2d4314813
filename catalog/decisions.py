"""What a request changes, decided in pure functions on the heads of a product's two streams, never on a read model.

The head of `description/<id>` holds {"hash"}, that of `offer/<id>` holds {"hash", "retired"}.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from hashlib import blake2b
from typing import Any

import orjson

from catalog.events import OfferChanged, Origin, ProductDescribed, ProductRetired, description_stream, offer_stream
from catalog.inputs import DescriptionIn, ProductIn
from eventlog.errors import FreshetError
from eventlog.events import Event, NewEvent
from eventlog.selectors import Head

DESCRIPTION_FIELDS = tuple(DescriptionIn.model_fields)
_NOT_CONTENT = frozenset({"origin", "restored_from"})


class ProductNotFound(FreshetError):
    """There is no product of this id."""

    code = "product_not_found"
    status = 404


class ProductIsRetired(FreshetError):
    """This product was retired: it is never shown again and cannot be changed."""

    code = "product_retired"
    status = 409


@dataclass(frozen=True, slots=True)
class ProductHead:
    """What is known of a product at the heads of its streams; versions 0 when there is none."""

    product_id: str
    description_version: int = 0
    description_hash: str | None = None
    offer_version: int = 0
    offer_hash: str | None = None
    retired: bool = False

    @classmethod
    def of(cls, product_id: str, heads: Mapping[str, Head]) -> ProductHead:
        """Fold the heads of both streams into one."""
        description, offer = heads[description_stream(product_id)], heads[offer_stream(product_id)]
        described, offered = description.state or {}, offer.state or {}
        return cls(
            product_id=product_id,
            description_version=description.version,
            description_hash=described.get("hash"),
            offer_version=offer.version,
            offer_hash=offered.get("hash"),
            retired=bool(offered.get("retired")),
        )

    def check(self) -> None:
        """Raises ProductNotFound, ProductIsRetired."""
        if not self.description_version:
            raise ProductNotFound(field="product_id")
        if self.retired:
            raise ProductIsRetired(field="product_id")


def described(product: ProductIn, *, origin: Origin) -> ProductDescribed:
    """The description part of a whole product; what is absent is empty."""
    given = {
        name: value
        for name in DESCRIPTION_FIELDS
        if (value := getattr(product, name)) is not None and name != "relations"
    }
    relations = [relation.model_dump() for relation in product.relations or ()]
    return ProductDescribed(product_id=product.product_id, relations=relations, origin=origin, **given)


def offered(product: ProductIn) -> OfferChanged:
    """The offer part of a whole product; a product is in stock unless it says otherwise."""
    return OfferChanged(
        product_id=product.product_id,
        price=product.price,
        currency=product.currency,
        in_stock=product.in_stock is not False,
    )


def decide_upsert(
    head: ProductHead, *, description: ProductDescribed, offer: OfferChanged, now: datetime
) -> list[NewEvent]:
    """Return what a whole product changes: a new description version, a new offer, both or nothing.

    Raises ProductIsRetired.
    """
    if head.retired:
        raise ProductIsRetired(field="product_id")
    return decide_description(head, description=description, now=now) + decide_offer(head, offer=offer, now=now)


def decide_description(head: ProductHead, *, description: ProductDescribed, now: datetime) -> list[NewEvent]:
    """Return a new description version, nothing when the current one says the same."""
    digest = content_hash(description)
    if digest == head.description_hash:
        return []
    return [
        NewEvent(
            event=description,
            occurred_at=now,
            stream=description_stream(head.product_id),
            expected_version=head.description_version,
            state={"hash": digest},
        )
    ]


def decide_offer(head: ProductHead, *, offer: OfferChanged, now: datetime) -> list[NewEvent]:
    """Return a new offer, nothing when the current one says the same."""
    digest = content_hash(offer)
    if digest == head.offer_hash:
        return []
    return [_on_offer(head, offer, state={"hash": digest, "retired": False}, now=now)]


def decide_retire(head: ProductHead, *, now: datetime) -> list[NewEvent]:
    """Return the retirement, nothing when it is retired already. Raises ProductNotFound."""
    if not head.description_version:
        raise ProductNotFound(field="product_id")
    if head.retired:
        return []
    retired = ProductRetired(product_id=head.product_id)
    return [_on_offer(head, retired, state={"hash": head.offer_hash, "retired": True}, now=now)]


def _on_offer(head: ProductHead, event: Event, *, state: dict[str, Any], now: datetime) -> NewEvent:
    return NewEvent(
        event=event,
        occurred_at=now,
        stream=offer_stream(head.product_id),
        expected_version=head.offer_version,
        state=state,
    )


def content_hash(event: ProductDescribed | OfferChanged) -> str:
    """Identify what an event says, whoever said it. 10 and 10.0 are the same number; attributes have no order."""
    content = {f.name: getattr(event, f.name) for f in fields(event) if f.name not in _NOT_CONTENT}
    if attributes := content.get("attributes"):
        content["attributes"] = {name: _number_as_float(value) for name, value in attributes.items()}
    return blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()


def _number_as_float(value: Any) -> Any:
    if isinstance(value, list):
        return [_number_as_float(each) for each in value]
    return value + 0.0 if isinstance(value, int | float) and not isinstance(value, bool) else value
