"""How varied a surface's lists are, kept by each process for a second."""

from __future__ import annotations

from cachetools import TTLCache
from django.conf import settings

from ranking.diversity_setting import DiversityOptions, Surface, diversities

_kept: TTLCache[int, dict[Surface, DiversityOptions]] = TTLCache(maxsize=1000, ttl=1.0)


def diversity_kept(shop_id: int, surface: Surface) -> DiversityOptions:
    """What holds on a surface of a shop; a change is seen within a second."""
    if settings.FRESHET_MODEL_REFRESH_SECONDS == 0:
        _kept.clear()  # nothing is kept, as with models
    found = _kept.get(shop_id)
    if found is None:
        _kept[shop_id] = found = diversities(shop_id=shop_id)
    return found[surface]
