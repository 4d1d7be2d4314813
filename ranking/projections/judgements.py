"""The judgement list: every rating that was given, at its position."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from eventlog.database import query
from eventlog.events import RecordedEvent
from eventlog.projection import Projection
from ranking.events import JudgementGiven


class Judgements(Projection):
    name = "judgements"
    event_types = frozenset({JudgementGiven.type})
    tables = ("ranking_judgement",)

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        query(
            """INSERT INTO ranking_judgement (position, shop_id, context_key, query, product_id, rating, judged_at)
               SELECT g.position, g.shop_id, g.c::jsonb->>'context_key', g.c::jsonb->>'query', g.c::jsonb->>'product_id',
                      (g.c::jsonb->>'rating')::double precision, g.at
                 FROM unnest(%s::bigint[], %s::integer[], %b::text[], %s::timestamptz[]) AS g (position, shop_id, c, at)
               ON CONFLICT DO NOTHING""",
            [
                [event.position for event in events],
                [event.shop_id for event in events],
                [orjson.dumps(event.data).decode() for event in events],
                [event.effective_at for event in events],
            ],
        )


judgements = Judgements()
