"""The products of an old answer, as they were described when it was made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from eventlog.database import rows
from eventlog.errors import FreshetError
from feedback.ranking_token import RankingToken
from ranking.rules.rule import Shown


class AnswerNotReady(FreshetError):
    """What this answer was made from is not all in the history yet: ask again in a moment."""

    code = "not_ready"
    status = 503


@dataclass(frozen=True, slots=True)
class OldItem:
    """A served product as it was described then."""

    id: int
    product_id: str
    version: int
    vector_version: int
    content: dict[str, Any]
    ruled: Shown  # what the rules of then saw of it


def items_then(read: RankingToken) -> list[OldItem]:
    """The items of a token in its order. Raises AnswerNotReady."""
    found = {
        id_: (
            product_id,
            version,
            orjson.loads(content),
            Shown(product_id=product_id, brand=brand, category=tuple(path)),
        )
        for id_, product_id, version, content, brand, path in rows(
            """SELECT g.id, d.product_id, c.version, c.content, r.content->>'brand',
                      ARRAY(SELECT jsonb_array_elements_text(r.content->'category'))
                 FROM unnest(%s::bigint[], %s::integer[], %s::integer[]) AS g (id, version, ruled_version)
                 JOIN ranking_document d ON d.id = g.id AND d.shop_id = %s
                 JOIN catalog_descriptionversion c
                   ON c.shop_id = d.shop_id AND c.product_id = d.product_id AND c.version = g.version
                 JOIN catalog_descriptionversion r
                   ON r.shop_id = d.shop_id AND r.product_id = d.product_id AND r.version = g.ruled_version""",
            [
                [id_ for id_, _ in read.items],
                [version for _, version in read.items],
                [int(read.scalars.get(f"c{id_}", version)) for id_, version in read.items],
                read.shop_id,
            ],
        )
    }
    if len(found) < len(dict(read.items)):
        raise AnswerNotReady  # a description version that was indexed before the catalogue had it
    return [
        OldItem(id_, found[id_][0], version, int(read.scalars.get(f"v{id_}", version)), *found[id_][2:])
        for id_, version in read.items
    ]
