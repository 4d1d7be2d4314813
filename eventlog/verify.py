"""Checking the log's promises against its tables."""

from __future__ import annotations

from dataclasses import dataclass

from eventlog.archives import LIVE, Sources
from eventlog.database import scalar

_CHECKS = {
    "positions run from 1 to the sequencer's last without a hole": """
        SELECT abs((SELECT last FROM eventlog_sequencer) - count(*)) + abs(count(*) - coalesce(max(position), 0))
          FROM eventlog_position""",
    "every position names an event": """
        SELECT count(*) FROM eventlog_position p LEFT JOIN eventlog_event e ON e.id = p.event_id WHERE e.id IS NULL""",
    "no event has two positions": """
        SELECT count(*) FROM (SELECT 1 FROM eventlog_position GROUP BY event_id HAVING count(*) > 1) twice""",
    "every event has a position or waits for one": """
        SELECT count(*) FROM (SELECT id FROM eventlog_event EXCEPT SELECT event_id FROM eventlog_position
                              EXCEPT SELECT unnest(event_ids) FROM eventlog_pending) lost""",
    "no event has a position and still waits": """
        SELECT count(*) FROM (SELECT unnest(event_ids) FROM eventlog_pending INTERSECT
                              SELECT event_id FROM eventlog_position) twice""",
    "what waits is an event, and waits once": """
        SELECT count(*) - count(DISTINCT e.id)
          FROM (SELECT unnest(event_ids) AS id FROM eventlog_pending) q LEFT JOIN eventlog_event e USING (id)""",
    "the versions of each stream run from 1 without a hole, in log order": """
        SELECT count(*) FROM (
          SELECT e.version, row_number() OVER (PARTITION BY e.shop_id, e.stream ORDER BY p.position, e.id) AS expected
            FROM eventlog_event e LEFT JOIN eventlog_position p ON p.event_id = e.id  -- NULL, what waits, comes last
           WHERE e.stream IS NOT NULL) v WHERE version <> expected""",
    "every stream head is at its newest version": """
        SELECT count(*) FROM eventlog_stream s
         WHERE s.version <> (SELECT coalesce(max(e.version), 0) FROM eventlog_event e
                              WHERE e.shop_id = s.shop_id AND e.stream = s.stream)""",
    "every stream has a head": """
        SELECT count(*) FROM (SELECT shop_id, stream FROM eventlog_event WHERE stream IS NOT NULL
                              EXCEPT SELECT shop_id, stream FROM eventlog_stream) headless""",
    "no consumer is ahead of the log": """
        SELECT count(*) FROM eventlog_checkpoint c, eventlog_sequencer s WHERE c.position > s.last""",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise of the log and how often it is broken."""

    promise: str
    broken: int


def verify(sources: Sources = LIVE) -> list[Finding]:
    """Check every promise of the log in one snapshot a promise; 0 broken means it holds.

    A log of which something was archived keeps its promises with `everything_attached` only.
    """
    return [Finding(promise, int(scalar(sources.sql(sql)))) for promise, sql in _CHECKS.items()]
