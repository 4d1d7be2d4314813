"""What each shop asks of privacy, as an operator last set it."""

from __future__ import annotations

from collections.abc import Sequence

from eventlog.database import query
from eventlog.events import RecordedEvent
from eventlog.projection import Projection
from ranking.events import PrivacySet


class Privacy(Projection):
    name = "privacy"
    event_types = frozenset({PrivacySet.type})
    tables = ("ranking_privacy",)

    def apply(self, events: Sequence[RecordedEvent]) -> None:
        for event in events:  # one in a month
            query(
                """INSERT INTO ranking_privacy (shop_id, epsilon, delta, budget, position) VALUES (%s, %s, %s, %s, %s)
                   ON CONFLICT (shop_id) DO UPDATE SET epsilon = excluded.epsilon, delta = excluded.delta,
                          budget = excluded.budget, position = excluded.position""",
                [event.shop_id, event.data.get("epsilon"), event.data["delta"], event.data["budget"], event.position],
            )


privacy = Privacy()
