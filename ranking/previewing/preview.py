"""What a change of signals would do: a past range answered again under two tables, the one in force and a proposed one.

Click-throughs are walked in the order of the log. Each is asked with the evidence of what lies strictly before it, under both
tables alike, by the model that serves now and over the catalogue as it is now; what operators set is left out. Read-only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from eventlog.database import snapshot
from ranking.counterfactual import Compared, Logged, compared
from ranking.learning.evaluate import Doubles
from ranking.model_diff import Moved
from ranking.previewing.reading import Asked, asked_read, near_read
from ranking.previewing.walk import Walk
from ranking.signals import options_of
from ranking.towers import serving

CLICK_THROUGHS = 1000  # newest of the range that are asked: two rankings of the whole catalogue each
SHOWN = 5  # of the queries that move most, kept with the estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What changes from the table in force to the proposed one. `mrr` and `map_at_5` are compared on the click-throughs
    that were asked, with 95 % intervals of the difference; `moved` are queries at the end of the range, most moved first."""

    from_at: datetime
    to_at: datetime
    from_position: int
    to_position: int
    click_throughs: int
    mrr: Compared
    map_at_5: Compared
    moved: Sequence[Moved]

    @property
    def overlap(self) -> float:
        """Of first pages, mean over the queries: 1 the same."""
        return sum(each.overlap for each in self.moved) / len(self.moved)

    def estimate(self) -> dict[str, Any]:
        """What is recorded with a table that is set."""
        return {
            "from": self.from_at.isoformat(),
            "to": self.to_at.isoformat(),
            "from_position": self.from_position,
            "to_position": self.to_position,
            "click_throughs": self.click_throughs,
            "mrr": figures(self.mrr),
            "map_at_5": figures(self.map_at_5),
            "queries": len(self.moved),
            "overlap": self.overlap,
            "moved": [{"query": each.query, "overlap": each.overlap} for each in self.moved[:SHOWN]],
        }


def figures(of: Compared) -> dict[str, float]:
    """Before, after, and the difference with its interval."""
    said = asdict(of)
    return {"before": said["serving"], "after": said["candidate"]} | {n: said[n] for n in ("difference", "low", "high")}


def preview(
    *,
    shop_id: int,
    before: Mapping[str, float],
    after: Mapping[str, float],
    from_at: datetime,
    to_at: datetime,
    click_throughs: int = CLICK_THROUGHS,
    progress: Callable[[Sequence[Asked]], Iterable[Asked]] = iter,
) -> Preview:
    """Answer the newest click-throughs of [from_at, to_at) under both tables. Raises NothingToPreview."""
    model = serving.model(shop_id)
    with snapshot():
        asked = asked_read(shop_id=shop_id, from_at=from_at, to_at=to_at, limit=click_throughs)
        near = near_read(shop_id, {each.key for each in asked}, model)
        walk = Walk(shop_id, model, asked, near, [options_of(table) for table in (before, after)])
    # outside: the log does not change, and no transaction is to stay open while queries are encoded
    found = [walk.ask(each) for each in progress(asked)]
    moved = walk.moved(max(each.at for each in asked))
    mrr, precision = (np.array([[side[n] for side in each] for each in found], dtype=np.float64).T for n in (0, 1))
    return Preview(
        from_at=datetime.fromtimestamp(min(each.at for each in asked), UTC),
        to_at=datetime.fromtimestamp(max(each.at for each in asked), UTC),
        from_position=asked[0].position,
        to_position=asked[-1].position,
        click_throughs=len(asked),
        mrr=_compared(*mrr),
        map_at_5=_compared(*precision),
        moved=moved,
    )


def _compared(before: Doubles, after: Doubles) -> Compared:
    """Means of what each click-through came to, (N,), and the interval of their difference."""
    ones, nothing = np.ones(len(before)), np.zeros(len(before))
    sides = [Logged(each, ones, ones, nothing, nothing) for each in (before, after)]
    return compared(*sides, seed=0)["ips"]
