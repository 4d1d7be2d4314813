"""Near contexts: which contexts lend each other evidence, found once, when a context gets its first feedback."""

from __future__ import annotations

from collections.abc import Sequence

from eventlog.database import query
from eventlog.events import RecordedEvent
from eventlog.projection import Projection
from ranking.events import ContextRelated


class Contexts(Projection):
    name = "contexts"
    event_types = frozenset({ContextRelated.type})
    tables = ("ranking_contextneighbour", "ranking_relatedcontext")

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        pairs = [
            (event.shop_id, event.data["context_id"], neighbour_id, similarity)
            for event in events
            for neighbour_id, similarity in event.data["neighbours"]
        ]
        # nearness is mutual: the older context learns of the newer one too. Of two findings the nearer counts, in any
        # order: the one that was looked for first may have been compared by its spelling alone
        both: dict[tuple[int, int, int], float] = {}
        for shop, a, b, similarity in pairs:
            for key in ((shop, a, b), (shop, b, a)):
                both[key] = max(similarity, both.get(key, similarity))
        query(
            """INSERT INTO ranking_contextneighbour (shop_id, context_id, neighbour_id, similarity)
               SELECT * FROM unnest(%s::integer[], %s::bigint[], %s::bigint[], %s::double precision[])
               ON CONFLICT (context_id, neighbour_id) DO UPDATE
                 SET similarity = greatest(ranking_contextneighbour.similarity, excluded.similarity)""",
            [*(list(column) for column in zip(*both, strict=True)), list(both.values())] if both else [[], [], [], []],
        )
        query(
            """INSERT INTO ranking_relatedcontext (context_id, shop_id)
               SELECT * FROM unnest(%s::bigint[], %s::integer[]) ON CONFLICT DO NOTHING""",
            [[event.data["context_id"] for event in events], [event.shop_id for event in events]],
        )


contexts = Contexts()
