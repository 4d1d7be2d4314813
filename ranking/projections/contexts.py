"""Near contexts: which contexts lend each other evidence, found once by each encoder: when a context gets its first
feedback, and when a major version with an encoder of its own is about to serve."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from eventlog.database import query
from eventlog.events import RecordedEvent
from eventlog.projection import Projection
from ranking.events import ContextRelated, MajorVersionRetired


def encoder_key(fingerprint: str) -> str:
    """What stands for an encoder in every row: enough of its fingerprint."""
    return fingerprint[:16]


class Contexts(Projection):
    name = "contexts"
    event_types = frozenset({ContextRelated.type, MajorVersionRetired.type})
    tables = ("ranking_contextneighbour", "ranking_relatedcontext")

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        for type_, run in groupby(events, key=lambda event: event.type):
            if type_ == ContextRelated.type:
                _related(list(run))
            else:
                for event in run:
                    _forget(event.shop_id, encoder_key(event.data["encoder"]))


contexts = Contexts()


def _related(events: Sequence[RecordedEvent]) -> None:
    pairs = [
        (event.shop_id, encoder_key(event.data["encoder"]), event.data["context_id"], neighbour_id, similarity)
        for event in events
        for neighbour_id, similarity in event.data["neighbours"]
    ]
    # nearness is mutual: the older context learns of the newer one too. Of two findings the nearer counts, in any
    # order: the one that was looked for first may have been compared by its spelling alone
    both: dict[tuple[int, str, int, int], float] = {}
    for shop, encoder, a, b, similarity in pairs:
        for key in ((shop, encoder, a, b), (shop, encoder, b, a)):
            both[key] = max(similarity, both.get(key, similarity))
    query(
        """INSERT INTO ranking_contextneighbour (shop_id, encoder, context_id, neighbour_id, similarity)
           SELECT * FROM unnest(%s::integer[], %s::text[], %s::bigint[], %s::bigint[], %s::double precision[])
           ON CONFLICT (context_id, encoder, neighbour_id) DO UPDATE
             SET similarity = greatest(ranking_contextneighbour.similarity, excluded.similarity)""",
        [*(list(column) for column in zip(*both, strict=True)), list(both.values())] if both else [[], [], [], [], []],
    )
    query(
        """INSERT INTO ranking_relatedcontext (context_id, shop_id, encoder)
           SELECT * FROM unnest(%s::bigint[], %s::integer[], %s::text[]) ON CONFLICT DO NOTHING""",
        [
            [event.data["context_id"] for event in events],
            [event.shop_id for event in events],
            [encoder_key(event.data["encoder"]) for event in events],
        ],
    )


def _forget(shop_id: int, encoder: str) -> None:
    for table in Contexts.tables:
        query(f"DELETE FROM {table} WHERE shop_id = %s AND encoder = %s", [shop_id, encoder])
