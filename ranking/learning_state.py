"""How each shop's learning stands, for monitoring: cheap enough for every scrape."""

from __future__ import annotations

from dataclasses import dataclass

from eventlog.database import rows

MOST_WAITING = 10_000  # counted no further: a trainer that far behind is what matters


@dataclass(frozen=True, slots=True)
class LearningState:
    """Versions of a shop since ever, the seconds since the one that serves was promoted, click-throughs not yet learned from."""

    shop_id: int
    trained: int
    promoted: int
    refused: int
    serving_seconds: float | None
    waiting: int


_STATES = """
SELECT s.id, coalesce(v.trained, 0), coalesce(v.promoted, 0), coalesce(v.refused, 0),
       extract(epoch FROM now() - e.recorded_at)::double precision, w.waiting
  FROM eventlog_shop s
  LEFT JOIN (SELECT shop_id, count(*) FILTER (WHERE parent IS NOT NULL) AS trained,
                    count(*) FILTER (WHERE parent IS NOT NULL AND promoted_position IS NOT NULL) AS promoted,
                    count(*) FILTER (WHERE state = 'refused') AS refused,
                    max(promoted_position) FILTER (WHERE state = 'serving') AS since
               FROM ranking_modelversion GROUP BY shop_id) v ON v.shop_id = s.id
  LEFT JOIN eventlog_position p ON p.position = v.since
  LEFT JOIN eventlog_event e ON e.id = p.event_id
  LEFT JOIN eventlog_checkpoint k ON k.consumer = 'trainer/' || s.id
  CROSS JOIN LATERAL (SELECT count(*) AS waiting FROM (
      SELECT 1 FROM feedback_clickthrough c
       WHERE c.shop_id = s.id AND c.closed_position > coalesce(k.position, 0) AND c.outcomes <> '{}' LIMIT %s) counted) w
 ORDER BY s.id"""


def learning_states() -> list[LearningState]:
    """Every shop's."""
    return [LearningState(*row) for row in rows(_STATES, [MOST_WAITING])]
