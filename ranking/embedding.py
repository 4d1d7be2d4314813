"""Embedding: description versions to vectors, batched by length, in bf16, on whatever device torch finds.

The work list is the index itself: live products whose current description version has no vector under the major version.
Nothing is lost when a worker dies, and nothing is embedded twice but what it was just at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from itertools import count
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import orjson
from django.db import transaction
from numpy.typing import NDArray

from eventlog.database import claimed, copy_rows, query, rows
from eventlog.events import NewEvent
from eventlog.services import append
from ranking.draining import drain_through
from ranking.encoders import Encoder, product_text
from ranking.events import DescriptionEmbedded
from ranking.major_towers import encoder_named
from ranking.projections.vectors import embedding_table, vectors
from ranking.registry import ModelVersion
from ranking.vector_formats import vector_text
from ranking.vector_state import is_indexed

BATCH = 512
_IDENTITY = UUID("0f0a7c2e-5d0b-5b53-9a8e-6a1f4c1f2d10")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A description version that has no vector yet."""

    document_id: int
    product_id: str
    version: int
    content: dict[str, Any]


@lru_cache(maxsize=3)  # of the major version that serves, of the one before and of the one after
def product_encoder(name: str | None) -> Encoder:
    """The product tower in bf16, loaded once a process."""
    return encoder_named(name, side="product", precision="bf16")


# revised descriptions first: a shopper may be looking at the old one; then products in the order they came
_WAITING = """
SELECT d.id, d.product_id, d.description_version, c.content
  FROM ranking_document d
  JOIN catalog_descriptionversion c
    ON c.shop_id = d.shop_id AND c.product_id = d.product_id AND c.version = d.description_version
  LEFT JOIN ranking_descriptionvector v
    ON v.shop_id = d.shop_id AND v.product_id = d.product_id AND v.description_version = d.description_version AND v.major = %s
 WHERE d.shop_id = %s AND NOT d.retired AND v.hash IS NULL AND (hashint8(d.id) & %s) = %s
 ORDER BY (d.description_version = 1), d.id LIMIT %s"""


def waiting_read(*, model: ModelVersion, limit: int, part: int = 0, parts: int = 1) -> list[Waiting]:
    """Descriptions without a vector under a model's major version, of one of several disjoint parts (a power of 2)."""
    found = rows(_WAITING, [model.major, model.shop_id, parts - 1, part, limit])
    return [Waiting(row[0], row[1], row[2], orjson.loads(row[3])) for row in found]


def embed_waiting(
    *,
    model: ModelVersion,
    now: datetime,
    batch: int = BATCH,
    most_batches: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> int:
    """Embed what waits under a model's major version, a batch a transaction; return how many description versions."""
    done = 0
    for _ in count() if most_batches is None else range(most_batches):
        waiting = waiting_read(model=model, limit=batch)
        if not waiting:
            break
        new = embed_batch(model, waiting, now=now)
        if not new:
            break  # recorded already, and not applied: parked, or behind a projection that lags. Looking again is no use
        done += new
        progress(new)
    return done


def embed_batch(model: ModelVersion, waiting: Sequence[Waiting], *, now: datetime) -> int:
    """Encode descriptions, store their vectors and record them; return how many were not recorded before."""
    encoder = product_encoder(model.config.get("encoder_name"))
    texts = [product_text(each.content) for each in waiting]
    hashes = [blake2b(f"{model.encoder}\0{text}".encode(), digest_size=16).digest() for text in texts]
    known = {
        bytes(hash_) for (hash_,) in rows("SELECT hash FROM ranking_vector WHERE hash = ANY(%s::bytea[])", [hashes])
    }
    fresh = {hash_: text for hash_, text in zip(hashes, texts, strict=True) if hash_ not in known}
    encoded = encoder.encode_products(list(fresh.values()))  # (N, D): slow, so before the transaction
    events = [_event(model, each, hash_, now) for each, hash_ in zip(waiting, hashes, strict=True)]
    with transaction.atomic():
        _store(dict(zip(fresh, encoded, strict=True)))
        appended = append(shop_id=model.shop_id, events=events)
    new = [each.id for each in appended if each.id is not None]
    if new:
        drain_through(vectors, row_id=max(new))  # so that the next look at the work list knows these are done
    return len(new)


def _event(model: ModelVersion, each: Waiting, hash_: bytes, now: datetime) -> NewEvent:
    event = DescriptionEmbedded(
        product_id=each.product_id,
        document_id=each.document_id,
        description_version=each.version,
        major=model.major,
        vector_hash=hash_.hex(),
    )
    identity = uuid5(_IDENTITY, f"{model.shop_id}/{model.major}/{each.version}/{each.product_id}")
    return NewEvent(event=event, event_id=identity, occurred_at=now)


def _store(vectors_: dict[bytes, NDArray[np.float32]]) -> None:
    query("CREATE TEMPORARY TABLE IF NOT EXISTS fresh_vector (hash bytea, vector vector) ON COMMIT DELETE ROWS")
    copy_rows("fresh_vector", ["hash", "vector"], ((hash_, vector_text(vector)) for hash_, vector in vectors_.items()))
    query("INSERT INTO ranking_vector SELECT * FROM fresh_vector ORDER BY hash ON CONFLICT DO NOTHING")


def index_vectors(*, shop_id: int, major: int) -> bool:
    """Build the HNSW index once the table is too large to be scanned. Searches and embedding go on meanwhile."""
    table = embedding_table(shop_id, major)
    if is_indexed(shop_id=shop_id, major=major):
        return False
    with claimed(f"index/{table}") as mine:
        if not mine or is_indexed(shop_id=shop_id, major=major):
            return False  # another process is at it
        query(f"DROP INDEX IF EXISTS {table}_hnsw")  # left invalid by a build that was cut off
        query(
            "SET lock_timeout = 0"
        )  # it waits for all who read, a backup for as long as that takes; nobody waits for it
        try:
            query(f"CREATE INDEX CONCURRENTLY {table}_hnsw ON {table} USING hnsw (vector vector_ip_ops)")
        finally:
            query("RESET lock_timeout")
        query(f"ANALYZE {table}")
    return True
