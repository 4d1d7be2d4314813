"""A shop's sums made anew under another table of signals, of all feedback up to the event that set it.

It runs in the transaction in which the projection passes that event: searches read the rows of before until it commits,
whoever dies meanwhile leaves them as they were, and what comes later is added to the new ones. The facts say nearly all
of it in one statement; what they have not seen yet is read from the log.
"""

from __future__ import annotations

from eventlog.consume import checkpoint_read, with_retries
from eventlog.database import query, rows
from eventlog.events import ParkedEventRetried, RecordedEvent
from eventlog.projection import Projection
from eventlog.selectors import read
from feedback.events import ImpressionRecorded, InteractionRecorded
from feedback.projections import facts
from ranking.curves import curve_at
from ranking.events import ExaminationEstimated
from ranking.projections.fact_sql import EXPOSURE, SHOWN
from ranking.projections.weight_merging import batch_merge, breadth_life
from ranking.projections.weight_sums import Batch
from ranking.weights.decay import MOST_HALF_LIVES
from ranking.weights.options import WeightOptions

STRETCH = 5000  # positions of the log that are read at once
FEEDBACK = frozenset({ImpressionRecorded.type, InteractionRecorded.type})
_TABLES = ("ranking_shopweight", "ranking_productweight", "ranking_context", "ranking_contextweight")
_TYPES = FEEDBACK | {ExaminationEstimated.type, ParkedEventRetried.type}


def refill(projection: Projection, *, shop_id: int, position: int, options: WeightOptions) -> None:
    """Replace a shop's rows by the sums of its feedback up to a position, counted by these options."""
    for table in _TABLES:
        query(f"DELETE FROM {table} WHERE shop_id = %s", [shop_id])
    parked = _parked(projection)
    # where an event was parked, facts and sums may know different ones: then the log says which this projection applied
    through = 0 if parked else min(checkpoint_read(facts.name), position)
    skip = {at for consumer, at in parked if consumer == projection.name}
    if through:
        query(
            "SELECT set_config('work_mem', '64MB', true)"
        )  # until the transaction ends: sorted in memory, not in files
        query(_FILL, sums_params(shop_id, through, options))
    _add_from_log(projection, skip, shop_id=shop_id, after=through, to=position, options=options)


def _parked(projection: Projection) -> list[tuple[str, int]]:
    """Whatever was parked by this projection or by that of the facts, tried again since or not."""
    found = rows(
        "SELECT consumer, position FROM eventlog_parked WHERE consumer = ANY(%s::text[])",
        [[projection.name, facts.name]],
    )
    return [(consumer, position) for consumer, position in found]


def _add_from_log(
    projection: Projection, skip: set[int], *, shop_id: int, after: int, to: int, options: WeightOptions
) -> None:
    """Merge the feedback at after < p <= to as the drain would, but for what is to be skipped."""
    curve = curve_at(shop_id=shop_id, position=after)
    for start in range(after, to, STRETCH):
        found = read(after=start, to=min(to, start + STRETCH), types=_TYPES, keep_unreadable=True)
        kept = [event for event in found if event.position not in skip]
        batch = Batch(options, {shop_id: curve} if curve else {})
        for event in with_retries(kept, projection):
            if event.shop_id == shop_id:
                curve = _add(batch, event, curve)
        batch_merge(batch)


def _add(batch: Batch, event: RecordedEvent, curve: list[float]) -> list[float]:
    """Add one event to a batch; the curve that is in force after it."""
    if event.type == ExaminationEstimated.type:
        batch.estimate(event)
        return list(event.data["curve"])
    if event.type in FEEDBACK:
        batch.add(event)
    return curve


def sums_params(shop_id: int, through: int, options: WeightOptions) -> dict[str, object]:
    return {
        "shop": shop_id,
        "position": through,
        "kinds": list(options.values),
        "values": list(options.values.values()),
        "rewarding": options.breadth_reward,
        "context": options.context_half_life_seconds,
        "recent": options.recent_half_life_seconds,
        "global": options.global_half_life_seconds,
        "breadth": options.breadth_half_life_seconds,
        "breadth_life": breadth_life(options),
    }


def _left(latest: str, at: str, half_life: str) -> str:
    """What is left of a value of one time at a later one."""
    return f"power(2.0, -least(({latest} - {at}) / %({half_life})s::double precision, {MOST_HALF_LIVES}))"


# a row decays to the time of its own newest fact, as it would have, had its facts come one by one
SUMS = f"""
WITH fact AS MATERIALIZED (
  SELECT i.position, i.context_kind AS kind, i.context_key AS key, i.product_id,
         v.value AS reward, 0::double precision AS exposure, extract(epoch FROM i.at)::double precision AS at,
         v.value >= %(rewarding)s::double precision AS rewarding
    FROM feedback_interaction i
    JOIN unnest(%(kinds)s::text[], %(values)s::double precision[]) AS v (kind, value) ON v.kind = i.kind
   WHERE i.shop_id = %(shop)s AND i.position <= %(position)s
  UNION ALL
  SELECT m.position, m.context_kind, m.context_key, s.product_id, 0, {EXPOSURE},
         extract(epoch FROM m.at)::double precision, false
    FROM {SHOWN}
   WHERE m.shop_id = %(shop)s AND m.position <= %(position)s
), context AS MATERIALIZED (
  SELECT kind, key, min(position) AS id FROM fact WHERE kind IS NOT NULL GROUP BY kind, key
), pair AS MATERIALIZED (
  SELECT c.id, f.product_id, max(f.at) AS at, max(f.at) FILTER (WHERE f.rewarding) AS rewarded_at,
         sum(f.reward * {_left("f.latest", "f.at", "context")}) AS reward,
         sum(f.exposure * {_left("f.latest", "f.at", "context")}) AS exposure,
         sum(f.reward * {_left("f.latest", "f.at", "recent")}) AS recent_reward,
         sum(f.exposure * {_left("f.latest", "f.at", "recent")}) AS recent_exposure
    FROM (SELECT *, max(at) OVER (PARTITION BY kind, key, product_id) AS latest FROM fact WHERE kind IS NOT NULL) f
    JOIN context c USING (kind, key)
   GROUP BY c.id, f.product_id
), product AS MATERIALIZED (
  SELECT product_id, max(at) AS at, sum(reward * {_left("latest", "at", "global")}) AS reward,
         sum(exposure * {_left("latest", "at", "global")}) AS exposure
    FROM (SELECT *, max(at) OVER (PARTITION BY product_id) AS latest FROM fact) f GROUP BY product_id
), broad AS MATERIALIZED (
  SELECT product_id, max(rewarded_at) AS at, sum({_left("latest", "rewarded_at", "breadth")}) AS breadth
    FROM (SELECT *, max(rewarded_at) OVER (PARTITION BY product_id) AS latest FROM pair WHERE rewarded_at IS NOT NULL) p
   GROUP BY product_id
)"""
_FILL = f"""{SUMS}, contexts AS (
  INSERT INTO ranking_context (id, shop_id, kind, key, at, reward, exposure, recent_reward, recent_exposure)
  SELECT c.id, %(shop)s, c.kind, c.key, max(p.at),
         sum(p.reward * {_left("p.latest", "p.at", "context")}), sum(p.exposure * {_left("p.latest", "p.at", "context")}),
         sum(p.recent_reward * {_left("p.latest", "p.at", "recent")}),
         sum(p.recent_exposure * {_left("p.latest", "p.at", "recent")})
    FROM (SELECT *, max(at) OVER (PARTITION BY id) AS latest FROM pair) p JOIN context c ON c.id = p.id
   GROUP BY c.id, c.kind, c.key
), pairs AS (
  INSERT INTO ranking_contextweight
    (shop_id, context_id, product_id, reward, exposure, recent_reward, recent_exposure, at, rewarded_at)
  SELECT %(shop)s, id, product_id, reward, exposure, recent_reward, recent_exposure, at, rewarded_at FROM pair
), products AS (
  INSERT INTO ranking_productweight (shop_id, product_id, reward, exposure, at, breadth, breadth_at, breadth_life)
  SELECT %(shop)s, p.product_id, p.reward, p.exposure, p.at, coalesce(b.breadth, 0), coalesce(b.at, 0), %(breadth_life)s
    FROM product p LEFT JOIN broad b ON b.product_id = p.product_id
)
INSERT INTO ranking_shopweight (shop_id, reward, exposure, at, breadth, breadth_at)
SELECT %(shop)s, p.reward, p.exposure, p.at, coalesce(b.breadth, 0), coalesce(b.at, 0)
  FROM (SELECT sum(reward * {_left("latest", "at", "global")}) AS reward, max(at) AS at,
               sum(exposure * {_left("latest", "at", "global")}) AS exposure
          FROM (SELECT *, max(at) OVER () AS latest FROM product) p) p
 CROSS JOIN (SELECT max(at) AS at, sum(breadth * {_left("latest", "at", "breadth")}) AS breadth
               FROM (SELECT *, max(at) OVER () AS latest FROM broad) b) b
 WHERE p.at IS NOT NULL"""
