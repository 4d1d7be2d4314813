"""Which table of signals is in force: what a kind of interaction counts in a shop, for how long, against how much doubt.

The one place that says so, for what is served now and for what was served at a past position of the log. A table is kept
under the position of its event, in the projection `weights`, whose sums were made by it: so both are read in one snapshot.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from types import MappingProxyType

import orjson

from eventlog.database import rows
from ranking.weights.events import SIGNALS_STREAM
from ranking.weights.options import DEFAULTS, VALUES, WeightOptions

HALF_LIVES = (
    "context_half_life_seconds", "recent_half_life_seconds", "global_half_life_seconds", "breadth_half_life_seconds",
)  # fmt: skip
PSEUDO_COUNTS = ("pseudo_count", "recent_pseudo_count", "global_pseudo_count", "breadth_pseudo_count")
NAMES = (*VALUES, *HALF_LIVES, *PSEUDO_COUNTS)

# in a statement with the parameter shop: the newest table as text, NULL where none was ever set
IN_FORCE = (
    """(SELECT i.signals::text FROM ranking_signals i WHERE i.shop_id = %(shop)s ORDER BY i.position DESC LIMIT 1)"""
)


def signals_of(options: WeightOptions) -> dict[str, float]:
    """The table of some options: each value, half-life and pseudo-count by its name."""
    said = asdict(replace(options, values={}))
    return {**options.values, **{name: said[name] for name in (*HALF_LIVES, *PSEUDO_COUNTS)}}


def options_of(signals: Mapping[str, float]) -> WeightOptions:
    """Options by a table; what an old table does not name is as by default."""
    values = MappingProxyType({kind: float(signals.get(kind, value)) for kind, value in VALUES.items()})
    others = {name: float(signals[name]) for name in (*HALF_LIVES, *PSEUDO_COUNTS) if name in signals}
    return replace(DEFAULTS, values=values, **others)  # type: ignore[arg-type]  # each is a float


@lru_cache(maxsize=256)
def options_read(text: str | None) -> WeightOptions:
    """Options by a table as it is stored: the same object for the same text, so that a search parses none."""
    return DEFAULTS if text is None else options_of(orjson.loads(text))


def signals_in_force(shop_ids: Collection[int]) -> dict[int, WeightOptions]:
    """The options of each of these shops, by what the projection `weights` has seen."""
    found: dict[int, str] = dict(
        rows(
            """SELECT DISTINCT ON (shop_id) shop_id, signals::text FROM ranking_signals
                WHERE shop_id = ANY(%s::integer[]) ORDER BY shop_id, position DESC""",
            [list(shop_ids)],
        )
    )
    return {shop_id: options_read(found.get(shop_id)) for shop_id in shop_ids}


def values_logged(shop_ids: Collection[int], *, before: int) -> dict[int, Mapping[str, float]]:
    """What interactions count in each of these shops before a position, as the log itself has it.

    For projections that are not where `weights` is: what they make of an event does not depend on who is ahead.
    """
    found = rows(
        """SELECT DISTINCT ON (e.shop_id) e.shop_id, e.data ->> 'signals'
             FROM eventlog_event e JOIN eventlog_position p ON p.event_id = e.id
            WHERE e.shop_id = ANY(%s::integer[]) AND e.stream = %s AND p.position < %s
            ORDER BY e.shop_id, e.version DESC""",
        [list(shop_ids), SIGNALS_STREAM, before],
    )
    tables: dict[int, str] = dict(found)
    return {shop_id: options_read(tables.get(shop_id)).values for shop_id in shop_ids}


def signals_now(*, shop_id: int) -> WeightOptions:
    """The options in force in a shop."""
    return signals_in_force([shop_id])[shop_id]


def signals_at(*, shop_id: int, position: int) -> WeightOptions:
    """The options that were in force at a position of the log."""
    found = rows(
        "SELECT signals::text FROM ranking_signals WHERE shop_id = %s AND position <= %s ORDER BY position DESC LIMIT 1",
        [shop_id, position],
    )
    return options_read(found[0][0] if found else None)
