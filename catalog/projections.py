"""Events -> the product table and the history of descriptions: a few statements a batch, whatever its size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from catalog.events import OfferChanged, ProductDescribed, ProductRetired
from catalog.relations import relations_apply
from eventlog.database import query
from eventlog.events import RecordedEvent
from eventlog.projection import Projection

Key = tuple[int, str]


class Products(Projection):
    """Keeps `catalog_product` (now), `catalog_descriptionversion` (every version ever), and how products are related."""

    name = "products"
    event_types = frozenset({ProductDescribed.type, OfferChanged.type, ProductRetired.type})
    tables = ("catalog_product", "catalog_descriptionversion", "catalog_relation", "catalog_variant")

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        described = [event for event in events if event.type == ProductDescribed.type]
        offers = _newest(event for event in events if event.type == OfferChanged.type)
        retired = [event for event in events if event.type == ProductRetired.type]
        if described:
            _insert_versions(described)
            _upsert_products(described, offers)
            relations_apply({_key(event) for event in described})
        if offers:
            _update_offers(list(offers.values()))
        if retired:
            _update_retired(retired)


def _key(event: RecordedEvent) -> Key:
    return event.shop_id, event.data["product_id"]


def _newest(events: Iterable[RecordedEvent]) -> dict[Key, RecordedEvent]:
    """The event of the largest stream version for each product (a parked event may come after a younger one)."""
    newest: dict[Key, RecordedEvent] = {}
    for event in events:
        known = newest.get(_key(event))
        if known is None or (event.version or 0) > (known.version or 0):
            newest[_key(event)] = event
    return newest


# JSON goes in as binary text[] (%b): as text psycopg would escape each quotation mark. MATERIALIZED: cast each event
# once, not once a column.
_INSERT_VERSIONS = """
WITH given AS MATERIALIZED (
  SELECT g.position, g.shop_id, g.version, g.recorded_at, g.content::jsonb AS content
    FROM unnest(%s::bigint[], %s::integer[], %s::integer[], %s::timestamptz[], %b::text[])
      AS g (position, shop_id, version, recorded_at, content)
)
INSERT INTO catalog_descriptionversion (
  position, shop_id, product_id, version, recorded_at, origin, restored_from, content)
SELECT g.position, g.shop_id, g.content->>'product_id', g.version, g.recorded_at, g.content->>'origin',
       (g.content->>'restored_from')::integer, g.content
  FROM given g
ON CONFLICT DO NOTHING"""


def _insert_versions(described: list[RecordedEvent]) -> None:
    query(_INSERT_VERSIONS, [[e.position for e in described], *_columns(described)])


# The first event of a product gives its row the id and created_at; the newest version gives the content. The offer of
# the same batch goes in with a new row, so that an import writes each row once; `_UPDATE_OFFERS` then skips it.
_UPSERT_PRODUCTS = """
WITH given AS MATERIALIZED (
  SELECT g.shop_id, g.version, g.recorded_at, g.c::jsonb AS c, g.id, g.created_at, g.offer_version, g.offered_at,
         g.o::jsonb AS o
    FROM unnest(%s::integer[], %s::integer[], %s::timestamptz[], %b::text[], %s::bigint[], %s::timestamptz[],
                %s::integer[], %s::timestamptz[], %b::text[])
      AS g (shop_id, version, recorded_at, c, id, created_at, offer_version, offered_at, o)
)
INSERT INTO catalog_product AS p (
  id, shop_id, product_id, title, description, language, brand, category, attributes, image_url, released_at, relations,
  price, currency, in_stock, retired_at, description_version, offer_version, created_at, updated_at)
SELECT g.id, g.shop_id, c->>'product_id', c->>'title', c->>'description', c->>'language', c->>'brand',
       ARRAY(SELECT jsonb_array_elements_text(c->'category')), c->'attributes', c->>'image_url',
       (c->>'released_at')::timestamptz, c->'relations',
       (o->>'price')::double precision, o->>'currency', coalesce((o->>'in_stock')::boolean, true), NULL,
       g.version, g.offer_version, g.created_at, greatest(g.recorded_at, g.offered_at)
  FROM given g
ON CONFLICT (shop_id, product_id) DO UPDATE SET
  title = excluded.title, description = excluded.description, language = excluded.language, brand = excluded.brand,
  category = excluded.category, attributes = excluded.attributes, image_url = excluded.image_url,
  released_at = excluded.released_at, relations = excluded.relations,
  description_version = excluded.description_version, updated_at = greatest(p.updated_at, excluded.updated_at)
WHERE p.description_version < excluded.description_version"""


def _upsert_products(described: list[RecordedEvent], offers: dict[Key, RecordedEvent]) -> None:
    first: dict[Key, RecordedEvent] = {}
    for event in described:
        first.setdefault(_key(event), event)
    newest = _newest(described)
    with_offer = [offers.get(key) for key in newest]
    query(
        _UPSERT_PRODUCTS,
        [
            *_columns(list(newest.values())),
            [first[key].position for key in newest],
            [first[key].recorded_at for key in newest],
            [0 if offer is None else offer.version for offer in with_offer],
            [None if offer is None else offer.recorded_at for offer in with_offer],
            [None if offer is None else _json(offer) for offer in with_offer],
        ],
    )


_UPDATE_OFFERS = """
WITH given AS MATERIALIZED (
  SELECT g.shop_id, g.version, g.recorded_at, g.o::jsonb AS o
    FROM unnest(%s::integer[], %s::integer[], %s::timestamptz[], %b::text[]) AS g (shop_id, version, recorded_at, o)
)
UPDATE catalog_product AS p
   SET price = (g.o->>'price')::double precision, currency = g.o->>'currency', in_stock = (g.o->>'in_stock')::boolean,
       offer_version = g.version, updated_at = greatest(p.updated_at, g.recorded_at)
  FROM given g
 WHERE p.shop_id = g.shop_id AND p.product_id = g.o->>'product_id' AND p.offer_version < g.version"""


def _update_offers(offers: list[RecordedEvent]) -> None:
    query(_UPDATE_OFFERS, _columns(offers))


_UPDATE_RETIRED = """
WITH given AS MATERIALIZED (
  SELECT g.shop_id, g.version, g.recorded_at, g.c::jsonb AS c
    FROM unnest(%s::integer[], %s::integer[], %s::timestamptz[], %b::text[]) AS g (shop_id, version, recorded_at, c)
)
UPDATE catalog_product AS p
   SET retired_at = g.recorded_at, offer_version = greatest(p.offer_version, g.version),
       updated_at = greatest(p.updated_at, g.recorded_at)
  FROM given g
 WHERE p.shop_id = g.shop_id AND p.product_id = g.c->>'product_id'"""


def _update_retired(retired: list[RecordedEvent]) -> None:
    query(_UPDATE_RETIRED, _columns(retired))


def _columns(events: list[RecordedEvent]) -> list[list[Any]]:
    """Shop, stream version, time and data of each event, a list a column."""
    return [
        [e.shop_id for e in events],
        [e.version for e in events],
        [e.recorded_at for e in events],
        [_json(e) for e in events],
    ]


def _json(event: RecordedEvent) -> str:
    return orjson.dumps(event.data).decode()


products = Products()
