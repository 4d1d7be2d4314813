"""Mixes of strategies that were learned, by surface."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from eventlog.database import query
from eventlog.events import RecordedEvent
from eventlog.projection import Projection
from ranking.events import MixLearned


class Mixes(Projection):
    name = "mixes"
    event_types = frozenset({MixLearned.type})
    tables = ("ranking_mix",)

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        query(
            """INSERT INTO ranking_mix (shop_id, position, surface, coefficients, intercept, accepted, figures, learned_at)
               SELECT g.shop_id, g.position, g.c::jsonb->>'surface', g.c::jsonb->'coefficients',
                      (g.c::jsonb->>'intercept')::double precision, (g.c::jsonb->>'accepted')::boolean,
                      g.c::jsonb->'figures', g.at
                 FROM unnest(%s::integer[], %s::bigint[], %b::text[], %s::timestamptz[]) AS g (shop_id, position, c, at)
               ON CONFLICT DO NOTHING""",
            [
                [event.shop_id for event in events],
                [event.position for event in events],
                [orjson.dumps(event.data).decode() for event in events],
                [event.effective_at for event in events],
            ],
        )


mixes = Mixes()
