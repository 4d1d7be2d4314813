"""Which mixes are in force: the one learned last for a surface, if it was better, before those that ship."""

from __future__ import annotations

import orjson
from cachetools import TTLCache
from django.conf import settings

from eventlog.database import rows
from ranking.strategies.mixes import MIXES, Surface
from ranking.strategies.mixing import Mix

LEARNED = "learned"
_NEWEST = """
SELECT DISTINCT ON (surface) surface, coefficients, intercept FROM ranking_mix
 WHERE shop_id = %s AND accepted ORDER BY surface, position DESC"""


def mixes_read(shop_id: int) -> dict[str, Mix]:
    """The mix learned last for each surface that has one."""
    return {
        surface: Mix(name=LEARNED, coefficients=orjson.loads(coefficients), intercept=intercept)
        for surface, coefficients, intercept in rows(_NEWEST, [shop_id])
    }


_kept: TTLCache[int, dict[str, Mix]] = TTLCache(maxsize=1000, ttl=1.0)  # seconds: a new mix serves within one


def arms(shop_id: int, surface: Surface) -> tuple[Mix, ...]:
    """The mixes that may be shown on a surface: the first is what is shown unless something else decides."""
    if settings.FRESHET_MODEL_REFRESH_SECONDS == 0:
        _kept.clear()  # nothing is kept, as with models
    found = _kept.get(shop_id)
    if found is None:
        _kept[shop_id] = found = mixes_read(shop_id)
    learned = found.get(surface)
    return MIXES[surface] if learned is None else (learned, *MIXES[surface])
