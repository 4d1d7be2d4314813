"""What a major version learns from and is judged by: the newest click-throughs in log order, and the judgement list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from feedback.joining import ClickThrough
from ranking.judgements import JudgedQuery
from ranking.learning.judged import is_kept, judged_products
from ranking.learning.major_options import MajorOptions
from ranking.learning.ranges import whole
from ranking.learning.unasked import teaching

CALIBRATE = 0.4  # of what is kept, the older part; the newest judges, as with minor versions (0.2 and 0.3)
ENOUGH = (
    150  # click-throughs that nothing was trained on judge alone when they are so many: as for a minor version of 500
)


@dataclass(frozen=True, slots=True)
class MajorLesson:
    """Everything as of `position`. The part that teaches closed in (from_position, trained_to]."""

    position: int
    from_position: int
    trained_to: int
    train: Sequence[ClickThrough]
    calibrate: Sequence[ClickThrough]
    gate: Sequence[ClickThrough]
    teach: Sequence[JudgedQuery]
    kept: Sequence[JudgedQuery]

    def products(self) -> set[str]:
        """All products that it names."""
        seen = {product for each in (*self.train, *self.calibrate, *self.gate) for product in each.items}
        return seen | judged_products([*self.teach, *self.kept])


def lesson_make(
    closed: Sequence[ClickThrough],
    judged: Sequence[JudgedQuery],
    *,
    position: int,
    seen_to: int,
    shop_id: int,
    options: MajorOptions,
) -> MajorLesson:
    """Part click-throughs (in closing order, each with an outcome) and the judgement list.

    `seen_to` is where the serving version stopped learning: what closed later judges both alike, so that part judges alone
    when it is long enough; else the serving version has the advantage of having seen some of it.
    """
    queries = [query for query in judged if max(query.ratings.values()) > 0]
    count = round((1 - options.kept) * len(closed))
    end = whole(closed, count) if count else 0
    rest = closed[count:]
    unseen = next((n for n, each in enumerate(rest) if each.closed_position > seen_to), len(rest))
    cut = max(round(CALIBRATE * len(rest)), min(unseen, len(rest) - ENOUGH))
    start = closed[0].closed_position - 1 if end else position
    return MajorLesson(
        position=position,
        from_position=start,
        trained_to=closed[end - 1].closed_position if end else position,
        train=teaching(closed[: min(count, end)], shop_id=shop_id),
        calibrate=rest[:cut][-options.most_judges :],
        gate=rest[cut:][-options.most_judges :],
        teach=[query for query in queries if not is_kept(shop_id, query.key)],
        kept=[query for query in queries if is_kept(shop_id, query.key)],
    )
