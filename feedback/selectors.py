"""Reading feedback: closed click-throughs, and how fresh the answers were that shoppers saw."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings

from eventlog.database import rows
from feedback.joining import ClickThrough

_COLUMNS = """impression_position, closed_position, context_kind, context_key, context_text, items, first_rank, ranking_ref,
       outcomes, shown_at, implied, late"""
_CLOSED = f"""
SELECT {_COLUMNS}
  FROM feedback_clickthrough
 WHERE shop_id = %s AND closed_position > %s AND closed_position <= %s
 ORDER BY closed_position, impression_position LIMIT %s"""


def closed_click_throughs(
    *, shop_id: int, after_position: int, to_position: int, limit: int | None = None
) -> list[ClickThrough]:
    """Return the click-throughs that closed at after_position < p <= to_position, in the order in which they closed.

    What lies beyond the checkpoint of `click_throughs` is not known yet: ask up to there. A `limit` may part those that
    closed at one position; move on to a position only when all of it was taken.
    """
    return [_click_through(row) for row in rows(_CLOSED, [shop_id, after_position, to_position, limit])]


# those that a person's impressions and interactions are in; under an impression of nobody known, interactions by product
_OF_PERSONS = """
WITH shown AS MATERIALIZED (SELECT position FROM feedback_impression WHERE shop_id = %(shop)s AND {whose}),
acted AS MATERIALIZED (
  SELECT position, ranking_ref, product_id FROM feedback_interaction WHERE shop_id = %(shop)s AND {whose}
)
SELECT c.impression_position, c.closed_position
  FROM (SELECT position FROM shown UNION ALL SELECT position FROM acted) own
  JOIN feedback_clickthrough c ON c.impression_position = own.position
UNION
SELECT c.impression_position, c.closed_position
  FROM acted a
  JOIN feedback_clickthrough c ON c.shop_id = %(shop)s AND c.ranking_ref = a.ranking_ref AND NOT c.implied
                              AND c.outcomes ? a.product_id
  JOIN feedback_impression m ON m.position = c.impression_position AND m.subject_id IS NULL AND NOT m.erased"""


def closed_positions_of(*, shop_id: int, subjects: Collection[UUID]) -> list[int]:
    """Where the click-throughs closed that these subjects were part of, in order, one entry each."""
    sql = _OF_PERSONS.format(whose="subject_id IN (SELECT unnest(%(subjects)s::uuid[]))")
    return sorted(closed for _, closed in rows(sql, {"shop": shop_id, "subjects": list(subjects)}))


def closed_positions_of_erased(*, shop_id: int) -> list[int]:
    """Where the click-throughs closed that somebody was part of who is erased by now, in order, one entry each."""
    return sorted(closed for _, closed in rows(_OF_PERSONS.format(whose="erased"), {"shop": shop_id}))


_WHOSE = """
SELECT position, subject_id FROM feedback_impression
 WHERE shop_id = %(shop)s AND position = ANY(%(positions)s::bigint[]) AND subject_id IS NOT NULL
UNION ALL
SELECT position, subject_id FROM feedback_interaction
 WHERE shop_id = %(shop)s AND position = ANY(%(positions)s::bigint[]) AND subject_id IS NOT NULL"""


def subjects_at(*, shop_id: int, positions: Collection[int]) -> dict[int, UUID]:
    """Whose impression or interaction is at each of these positions, where somebody is known."""
    return dict(rows(_WHOSE, {"shop": shop_id, "positions": list(positions)}))


# under an impression of nobody known, it is of whoever acted; what several persons were part of, or an erased one, is nobody's
_PERSONS = """
WITH asked AS MATERIALIZED (
  SELECT c.impression_position AS position, c.ranking_ref, c.outcomes, m.position IS NOT NULL AS shown,
         coalesce(m.subject_id, a.subject_id) AS subject, coalesce(m.erased, a.erased) AS erased
    FROM feedback_clickthrough c
    LEFT JOIN feedback_impression m ON m.position = c.impression_position
    LEFT JOIN feedback_interaction a ON a.position = c.impression_position
   WHERE c.shop_id = %(shop)s AND c.impression_position = ANY(%(positions)s::bigint[])
), acted AS (
  SELECT k.position, bool_or(i.erased) AS erased,
         array_agg(DISTINCT i.subject_id) FILTER (WHERE i.subject_id IS NOT NULL) AS subjects
    FROM asked k
    JOIN feedback_interaction i ON i.shop_id = %(shop)s AND i.ranking_ref = k.ranking_ref AND k.outcomes ? i.product_id
   WHERE k.shown AND k.subject IS NULL GROUP BY k.position
)
SELECT k.position, coalesce(k.subject, o.subjects[1])
  FROM asked k LEFT JOIN acted o USING (position)
 WHERE NOT (k.erased OR coalesce(o.erased, false)) AND coalesce(cardinality(o.subjects), 0) <= 1"""


def persons_of(*, shop_id: int, positions: Collection[int]) -> dict[int, str]:
    """Whose the click-throughs of these impression positions are: a subject, or the position itself of nobody known.

    Those that several persons were part of are left out, and those of somebody who is erased.
    """
    found = rows(_PERSONS, {"shop": shop_id, "positions": list(positions)})
    return {position: str(subject or position) for position, subject in found}


def click_throughs_of_erased(*, shop_id: int) -> dict[int, int]:
    """Closing position by impression position of the click-throughs that somebody was part of who is erased by now."""
    found: dict[int, int] = dict(rows(_OF_PERSONS.format(whose="erased"), {"shop": shop_id}))
    return found


_NEWEST = f"""
SELECT * FROM (
  SELECT {_COLUMNS} FROM feedback_clickthrough
   WHERE shop_id = %s AND closed_position <= %s AND outcomes <> '{{}}'
   ORDER BY closed_position DESC, impression_position DESC LIMIT %s) newest
 ORDER BY closed_position, impression_position"""


def newest_click_throughs(*, shop_id: int, to_position: int, count: int) -> list[ClickThrough]:
    """Return the last `count` click-throughs with an outcome that had closed at a position, in closing order."""
    return [_click_through(row) for row in rows(_NEWEST, [shop_id, to_position, count])]


# by a hash of their position, so that every one is as likely and the same seed finds the same ones
_OLDER = f"""
SELECT * FROM (
  SELECT {_COLUMNS} FROM feedback_clickthrough
   WHERE shop_id = %s AND closed_position < %s AND outcomes <> '{{}}'
   ORDER BY hashint8extended(impression_position, %s), impression_position LIMIT %s) sampled
 ORDER BY closed_position, impression_position"""


def older_click_throughs(*, shop_id: int, before_position: int, count: int, seed: int) -> list[ClickThrough]:
    """Return a seeded sample of the click-throughs with an outcome that closed before a position, in closing order."""
    return [_click_through(row) for row in rows(_OLDER, [shop_id, before_position, seed, count])] if count else []


_SAMPLE, _AHEAD = 500, 200
_FRESH = f"""
WITH shown AS (
  SELECT as_of_position, ranked_at FROM feedback_impression
   WHERE shop_id = %(shop)s AND at >= %(since)s AND as_of_position IS NOT NULL ORDER BY position DESC LIMIT {_SAMPLE}
), missed AS (
  SELECT s.as_of_position, min(next.recorded_at) AS recorded_at
    FROM (SELECT DISTINCT as_of_position FROM shown) s
    CROSS JOIN LATERAL (
      SELECT e.recorded_at FROM eventlog_position p JOIN eventlog_event e ON e.id = p.event_id
       WHERE p.position > s.as_of_position AND p.position <= s.as_of_position + {_AHEAD} AND e.shop_id = %(shop)s) next
   GROUP BY s.as_of_position
)
SELECT avg((m.recorded_at IS NULL OR m.recorded_at > s.ranked_at - %(target)s)::integer)::double precision
  FROM shown s LEFT JOIN missed m USING (as_of_position)"""


def fresh_share(*, shop_id: int, since: datetime, target_seconds: float | None = None) -> float | None:
    """Share of answers that held every event of the shop recorded more than the target before they were made.

    Of the newest 500 impressions with a token since then; None when there is none. The oldest event that an answer
    lacks is looked for among the 200 positions after it: positions follow the order of recording but for a few.
    """
    target = settings.FRESH_TARGET_SECONDS if target_seconds is None else target_seconds
    share = rows(_FRESH, {"shop": shop_id, "since": since, "target": timedelta(seconds=target)})[0][0]
    return None if share is None else float(share)


def product_numbers(shop_id: int, product_ids: Collection[str]) -> dict[str, int]:
    """Return the internal ids of those products that the catalogue knows."""
    if not product_ids:
        return {}
    sql = "SELECT product_id, id FROM catalog_product WHERE shop_id = %s AND product_id = ANY(%s::text[])"
    return dict(rows(sql, [shop_id, list(product_ids)]))


def _click_through(row: Sequence[Any]) -> ClickThrough:
    (position, closed, kind, key, text, items, first_rank, ref, outcomes, shown_at, implied, late) = row
    return ClickThrough(
        position, closed, kind, key, text, items, first_rank, ref, orjson.loads(outcomes), shown_at, implied, late
    )
