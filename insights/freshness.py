"""Freshness, the key metric, three ways, all from the log and the drains: time to visible, age, fresh share."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from catalog.events import OfferChanged, ProductDescribed
from eventlog.database import query, rows, scalar
from eventlog.selectors import lags, last_position, pending_count
from feedback.events import ImpressionRecorded, InteractionRecorded
from feedback.selectors import fresh_share
from ranking.events import DescriptionEmbedded, ModelVersionPromoted, WeightSet
from ranking.rules.events import ArrangementSet, RuleEnded, RuleSet
from ranking.weights.events import SignalsSet

WINDOW_SECONDS = 900
MOST_EVENTS = 5000  # percentiles are of the newest so many events of the window

# kind of change, the events that make it, the projection that makes it visible
KINDS = (
    ("offer", OfferChanged.type, "products"),
    ("description", ProductDescribed.type, "postings"),
    ("vector", DescriptionEmbedded.type, "vectors"),
    ("weight", ImpressionRecorded.type, "weights"),
    ("weight", InteractionRecorded.type, "weights"),
    ("weight", WeightSet.type, "weights"),
    ("weight", SignalsSet.type, "weights"),
    ("rule", RuleSet.type, "rules"),
    ("rule", RuleEnded.type, "rules"),
    ("rule", ArrangementSet.type, "rules"),
    ("model", ModelVersionPromoted.type, "models"),
)

# a vector is asked from when its description was recorded, not from when the embedder said so
_TIME_TO_VISIBLE = """
SELECT kind, percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY seconds), count(*)
  FROM (SELECT k.kind, extract(epoch FROM d.committed_at - coalesce(c.recorded_at, e.recorded_at))::double precision AS seconds
          FROM eventlog_position p
          JOIN eventlog_event e ON e.id = p.event_id AND e.shop_id = %(shop)s
          JOIN unnest(%(kinds)s::text[], %(types)s::text[], %(consumers)s::text[]) AS k (kind, type, consumer) ON k.type = e.type
          LEFT JOIN catalog_descriptionversion c
            ON k.kind = 'vector' AND c.shop_id = e.shop_id AND c.product_id = e.data ->> 'product_id'
           AND c.version = (e.data ->> 'description_version')::integer
          JOIN LATERAL (SELECT committed_at FROM eventlog_drain d
                         WHERE d.consumer = k.consumer AND d.to_position >= p.position ORDER BY d.to_position LIMIT 1) d ON true
         WHERE p.position > %(after)s AND e.recorded_at > %(since)s) seen
 GROUP BY kind"""


def freshness(*, shop_id: int, now: datetime) -> dict[str, Any]:
    """What `GET /v1/freshness` answers: positions, lag of each consumer, and the three measures."""
    since = now - timedelta(seconds=WINDOW_SECONDS)
    position = last_position()
    return {
        "position": position,
        "pending": pending_count(),
        "lag": {lag.consumer: {"events": lag.events, "seconds": round(max(lag.seconds, 0.0), 3)} for lag in lags()},
        "time_to_visible": time_to_visible(shop_id=shop_id, after=position - MOST_EVENTS, since=since),
        "fresh_share": fresh_share(shop_id=shop_id, since=since, target_seconds=settings.FRESH_TARGET_SECONDS),
        "vectors_current": vectors_current(shop_id=shop_id),
    }


def time_to_visible(*, shop_id: int, after: int, since: datetime) -> dict[str, dict[str, float]]:
    """Seconds from an event's acceptance to the commit that showed it to searches, by kind of change."""
    params = {
        "shop": shop_id,
        "after": after,
        "since": since,
        "kinds": [kind for kind, _, _ in KINDS],
        "types": [type_ for _, type_, _ in KINDS],
        "consumers": [consumer for _, _, consumer in KINDS],
    }
    return {
        kind: {"p50": p[0], "p95": p[1], "p99": p[2], "count": count}
        for kind, p, count in query(_TIME_TO_VISIBLE, params).fetchall()
    }


def vectors_current(*, shop_id: int) -> float | None:
    """Share of live products whose vector is of their current description; None for a shop without products."""
    major = scalar("SELECT major FROM ranking_modelversion WHERE shop_id = %s AND state = 'serving'", [shop_id])
    found = rows(
        """SELECT count(v.hash), count(*) FROM ranking_document d
             LEFT JOIN ranking_descriptionvector v ON v.shop_id = d.shop_id AND v.product_id = d.product_id
                  AND v.description_version = d.description_version AND v.major = %s
            WHERE d.shop_id = %s AND NOT d.retired""",
        [major, shop_id],
    )
    with_vector, products = found[0]
    return with_vector / products if products else None
