"""Reading products and their history. Reads are never older than what the caller was told was accepted."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from catalog.decisions import DESCRIPTION_FIELDS, ProductHead, ProductNotFound
from catalog.events import OfferChanged, ProductRetired, description_stream, offer_stream
from catalog.models import DescriptionVersion, Product
from eventlog.database import rows, scalar
from eventlog.errors import FreshetError
from eventlog.events import RecordedEvent
from eventlog.selectors import heads, read_stream
from eventlog.services import sequence

SEQUENCED_WITHIN_SECONDS = 2.0


class NotSequencedYet(FreshetError):
    """What was accepted has no position in the log yet: try again in a moment."""

    code = "not_sequenced_yet"
    status = 503
    retry_after_seconds = 1


class DescriptionVersionNotFound(FreshetError):
    """This product has no such description version."""

    code = "description_version_not_found"
    status = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class DescriptionRecord:
    """One description version of a product."""

    version: int
    position: int
    recorded_at: datetime
    origin: str
    restored_from: int | None
    content: dict[str, Any]  # the fields of a description


def head_of(*, shop_id: int, product_id: str) -> ProductHead:
    """Read the heads of a product's streams, for deciding. Unknown products have versions 0."""
    if "\0" in product_id:  # PostgreSQL holds no such text, so nobody has this id
        return ProductHead(product_id)
    names = [description_stream(product_id), offer_stream(product_id)]
    return ProductHead.of(product_id, heads(shop_id=shop_id, streams=names))


def product_read(*, shop_id: int, product_id: str) -> dict[str, Any]:
    """Return a product as its streams say it is, also while the read model is behind. Raises ProductNotFound."""
    head = head_of(shop_id=shop_id, product_id=product_id)
    if not head.description_version:
        raise ProductNotFound(field="product_id")
    row = Product.objects.filter(shop_id=shop_id, product_id=product_id).values().first()
    if row and (row["description_version"], row["offer_version"]) == (head.description_version, head.offer_version):
        return {name: value for name, value in row.items() if name not in {"id", "shop_id"}}
    descriptions = stream_through(
        shop_id=shop_id, stream=description_stream(product_id), version=head.description_version
    )
    offers = stream_through(shop_id=shop_id, stream=offer_stream(product_id), version=head.offer_version)
    return product_fold(descriptions, offers)


def product_fold(descriptions: list[RecordedEvent], offers: list[RecordedEvent]) -> dict[str, Any]:
    """Make of a product's events what the projection makes of them (pure; at least one description)."""
    newest = descriptions[-1]
    changed = [event for event in offers if event.type == OfferChanged.type]
    offer = changed[-1].data if changed else {}
    retired = [event.recorded_at for event in offers if event.type == ProductRetired.type]
    return {
        "product_id": newest.data["product_id"],
        **{name: newest.data.get(name) for name in DESCRIPTION_FIELDS},
        "released_at": _as_moment(newest.data.get("released_at")),
        "price": offer.get("price"),
        "currency": offer.get("currency"),
        "in_stock": offer.get("in_stock", True),
        "retired_at": retired[-1] if retired else None,
        "description_version": newest.version,
        "offer_version": offers[-1].version if offers else 0,
        "created_at": descriptions[0].recorded_at,
        "updated_at": max(event.recorded_at for event in [newest, *changed[-1:], *offers[-1:]]),
    }


def _as_moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else datetime.fromisoformat(f"{text}T00:00:00+00:00")


def descriptions_read(*, shop_id: int, product_id: str) -> list[DescriptionRecord]:
    """Return every description version, newest first, from the log. Raises ProductNotFound, NotSequencedYet."""
    head = head_of(shop_id=shop_id, product_id=product_id)
    if not head.description_version:
        raise ProductNotFound(field="product_id")
    events = stream_through(shop_id=shop_id, stream=description_stream(product_id), version=head.description_version)
    return [_record(event) for event in reversed(events)]


def description_at(*, shop_id: int, product_id: str, version: int) -> DescriptionRecord:
    """Return one description version from the log. Raises DescriptionVersionNotFound, NotSequencedYet."""
    if version > head_of(shop_id=shop_id, product_id=product_id).description_version:
        raise DescriptionVersionNotFound(field="version")
    events = stream_through(shop_id=shop_id, stream=description_stream(product_id), version=version)
    for event in events:
        if event.version == version:
            return _record(event)
    raise DescriptionVersionNotFound(field="version")


def _record(event: RecordedEvent) -> DescriptionRecord:
    data = event.data
    return DescriptionRecord(
        version=event.version or 0,
        position=event.position,
        recorded_at=event.recorded_at,
        origin=data["origin"],
        restored_from=data.get("restored_from"),
        content={name: data.get(name) for name in DESCRIPTION_FIELDS},
    )


def stream_through(*, shop_id: int, stream: str, version: int) -> list[RecordedEvent]:
    """Read a stream up to and with a version that its head has, having it sequenced when it was not yet.

    Raises NotSequencedYet when that takes more than two seconds.
    """
    deadline = time.monotonic() + SEQUENCED_WITHIN_SECONDS
    while True:
        events = read_stream(shop_id=shop_id, stream=stream)
        if not version or (events and (events[-1].version or 0) >= version):
            return [event for event in events if (event.version or 0) <= version]
        if time.monotonic() > deadline:
            raise NotSequencedYet()
        if sequence() <= 0:  # another session is at it
            time.sleep(0.005)


_NEWEST_ROW = """
SELECT e.id FROM eventlog_stream s
  JOIN eventlog_event e ON e.shop_id = s.shop_id AND e.stream = s.stream AND e.version = s.version
  LEFT JOIN eventlog_position p ON p.event_id = e.id
 WHERE s.shop_id = %s AND s.stream = ANY(%s::text[])
 ORDER BY p.position DESC NULLS FIRST, e.id DESC LIMIT 1"""


def newest_row(*, shop_id: int, product_ids: list[str]) -> int:
    """The event row of these products that comes last in the log, for receipts; 0 when there is none."""
    streams = [stream for each in product_ids for stream in (description_stream(each), offer_stream(each))]
    return int(scalar(_NEWEST_ROW, [shop_id, streams]) or 0)


def history(*, shop_id: int, product_id: str, limit: int) -> list[DescriptionVersion]:
    """The newest projected description versions of a product, newest first (for showing; may lag)."""
    found = DescriptionVersion.objects.filter(shop_id=shop_id, product_id=product_id)
    return list(found.order_by("-version")[:limit])


_VALUES = {
    "brand": "SELECT brand AS value FROM catalog_product",
    "language": "SELECT language AS value FROM catalog_product",
    "category": "SELECT unnest(category) AS value FROM catalog_product",
}


def frequent_values(*, column: str, limit: int) -> list[tuple[str, int]]:
    """The values of brand, language or category that most products have, and how many have each."""
    sql = f"SELECT value, count(*) FROM ({_VALUES[column]}) v WHERE value <> '' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %s"
    return [(value, count) for value, count in rows(sql, [limit])]
