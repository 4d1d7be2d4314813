"""Policy: when the log says that ranks are looked at otherwise than the curve in force has it, a new one is recorded."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from eventlog.consume import checkpoint_read
from eventlog.database import rows
from eventlog.events import NewEvent
from eventlog.services import append
from ranking.curves import curves_in_force
from ranking.events import ExaminationEstimated
from ranking.learning.position_bias import DEFAULTS, BiasOptions, Looks, estimate
from ranking.weights.factors import examination
from ranking.weights.options import VALUES

WINDOW = 20_000  # newest click-throughs that a curve is made of: pages change, and it takes a second or two
MOVED = 0.1  # share by which a rank has to move: each event changes how all that follows counts


def examination_estimate(*, shop_id: int, now: datetime, options: BiasOptions = DEFAULTS) -> bool:
    """Estimate a shop's curve from its newest click-throughs, and record it if it moved; whether it did."""
    position = checkpoint_read("click_throughs")
    found = estimate(looks_read(shop_id=shop_id, to_position=position, ranks=options.ranks), options)
    if found is None or not _moved(found.curve, curves_in_force([shop_id]).get(shop_id, [])):
        return False
    event = ExaminationEstimated(
        curve=found.curve, method=found.method, clicks=found.clicks, to_position=position
    )  # fmt: skip
    append(shop_id=shop_id, events=[NewEvent(event=event, occurred_at=now)])
    return True


def _moved(after: list[float], before: list[float]) -> bool:
    ranks = np.arange(1, max(len(after), len(before)) + 1)
    return bool(np.abs(np.log(examination(ranks, after) / examination(ranks, before))).max() > MOVED)


# first pages only: whoever asks for a second one looks at it, so its ranks are another matter
_LOOKS = """
WITH newest AS (
  SELECT impression_position, context_key, items, outcomes FROM feedback_clickthrough
   WHERE shop_id = %(shop)s AND closed_position <= %(position)s AND NOT implied AND first_rank = 1 AND context_kind = 'query'
   ORDER BY closed_position DESC, impression_position DESC LIMIT %(window)s
), look AS (
  SELECT n.context_key, s.product_id, s.rank::integer AS rank, n.outcomes -> s.product_id ?| %(kinds)s::text[] AS clicked,
         first_value(s.rank::integer) OVER (PARTITION BY n.context_key, s.product_id ORDER BY n.impression_position) AS first
    FROM newest n CROSS JOIN LATERAL unnest(n.items) WITH ORDINALITY AS s (product_id, rank) WHERE s.rank <= %(ranks)s
)
SELECT dense_rank() OVER (ORDER BY context_key, product_id) - 1, rank, count(*), count(*) FILTER (WHERE clicked), min(first)
  FROM look GROUP BY context_key, product_id, rank ORDER BY 1, 2"""


def looks_read(*, shop_id: int, to_position: int, ranks: int) -> Looks:
    """How often each query showed a product at each of the first ranks, and how often it was clicked or more there."""
    kinds = [kind for kind, value in VALUES.items() if value > 0]
    found = rows(
        _LOOKS, {"shop": shop_id, "position": to_position, "window": WINDOW, "kinds": kinds, "ranks": ranks}
    )  # fmt: skip
    columns = np.array(found, dtype=np.int64).reshape(-1, 5).T
    pairs = columns[0]
    return Looks(
        pairs=pairs,
        ranks=columns[1],
        shown=columns[2].astype(np.float64),
        clicked=columns[3].astype(np.float64),
        first=columns[4][np.flatnonzero(np.diff(pairs, prepend=-1))],
    )
