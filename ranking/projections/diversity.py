"""How varied the lists of each surface of a shop are, as an operator last set it."""

from __future__ import annotations

from collections.abc import Sequence

from eventlog.database import query
from eventlog.events import RecordedEvent
from eventlog.projection import Projection
from ranking.weights.events import DiversitySet


class Diversity(Projection):
    name = "diversity"
    event_types = frozenset({DiversitySet.type})
    tables = ("ranking_diversity",)

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        newest = {(event.shop_id, event.data["surface"]): event for event in events}.values()
        if not newest:
            return
        query(
            """INSERT INTO ranking_diversity (shop_id, surface, position, strength, group_by, most_per_group)
               SELECT * FROM unnest(%s::integer[], %s::text[], %s::bigint[], %s::double precision[], %s::text[],
                                    %s::double precision[])
               ON CONFLICT (shop_id, surface) DO UPDATE SET position = excluded.position, strength = excluded.strength,
                      group_by = excluded.group_by, most_per_group = excluded.most_per_group""",
            [
                [event.shop_id for event in newest],
                [event.data["surface"] for event in newest],
                [event.position for event in newest],
                [event.data["strength"] for event in newest],
                [event.data["group_by"] for event in newest],
                [event.data.get("most_per_group") for event in newest],
            ],
        )


diversity = Diversity()
