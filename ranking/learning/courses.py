"""What shoppers did, as of a position of the log: courses to train the shopper tower on, histories to judge it by."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from eventlog.database import rows
from feedback.joining import ClickThrough
from ranking.history import LENGTH, Floats, History, Step, merged
from ranking.learning.shopper_options import SHOPPER
from ranking.vector_formats import vectors_matrix


@dataclass(frozen=True, slots=True)
class Course:
    """A shopper's steps in log order with the rows of their products, (T,); those from `taught` on are to be foreseen."""

    steps: Sequence[Step]
    rows: NDArray[np.int64]
    taught: int = 1


_NEWEST = """
SELECT subject_id, position, product_id, kind, extract(epoch FROM at)::double precision FROM feedback_interaction
 WHERE shop_id = %s AND subject_id IS NOT NULL AND position <= %s ORDER BY position DESC LIMIT %s"""


def steps_read(*, shop_id: int, position: int, interactions: int) -> list[list[Step]]:
    """The newest interactions of known shoppers by a position, of each the newest LENGTH + 1 as merged steps.

    In the order in which the shoppers come first in the log, so that it does not depend on their random subjects. One shopper who
    does a lot (a robot) thus weighs no more than others who do much.
    """
    found: dict[Any, list[Step]] = {}
    for subject, at_position, product_id, kind, at in reversed(rows(_NEWEST, [shop_id, position, interactions])):
        found.setdefault(subject, []).append(Step(product_id, kind, at, at_position))
    return [merged(steps)[-LENGTH - 1 :] for steps in found.values()]


def products_acted_on(*, shop_id: int, position: int) -> set[str]:
    """What the steps that are read as of a position were taken with."""
    return {product_id for _, _, product_id, _, _ in rows(_NEWEST, [shop_id, position, SHOPPER.interactions])}


def courses_of(
    steps: Sequence[Sequence[Step]], *, row_of: Mapping[str, int], after: int, replay: float, seed: int
) -> list[Course]:
    """Courses that foresee what was done after a position, and a seeded sample of the others that foresee it all.

    The sample has `replay` times as many as the new ones. Products without a row are left out.
    """
    new, old = [], []
    for each in steps:
        known = [step for step in each if step.product_id in row_of]
        at = np.array([row_of[step.product_id] for step in known], dtype=np.int64)
        taught = max(1, next((n for n, step in enumerate(known) if step.position > after), len(known)))
        if taught < len(known):
            new.append(Course(known, at, taught))
        elif len(known) > 1:
            old.append(Course(known, at))
    count = min(len(old), round(replay * len(new)))
    chosen = np.random.default_rng(seed).choice(len(old), size=count, replace=False) if count else np.zeros(0, np.int64)
    return [*(old[n] for n in sorted(chosen.tolist())), *new]


_VECTORS = """
SELECT g.product_id, w.vector
  FROM unnest(%(products)s::text[]) AS g (product_id)
  JOIN LATERAL (
    SELECT max(version) AS version FROM catalog_descriptionversion t
     WHERE t.shop_id = %(shop)s AND t.product_id = g.product_id AND t.position <= %(position)s) d ON true
  JOIN ranking_descriptionvector v ON v.shop_id = %(shop)s AND v.product_id = g.product_id
   AND v.description_version = d.version AND v.major = %(major)s
  JOIN ranking_vector w ON w.hash = v.hash
 ORDER BY g.product_id COLLATE "C" """


def vectors_at(*, shop_id: int, position: int, major: int, products: Collection[str]) -> tuple[dict[str, int], Floats]:
    """Rows and vectors (N, D) of these products as described at a position; those without a vector are left out."""
    asked = {"products": sorted(products), "shop": shop_id, "position": position, "major": major}
    found = rows(_VECTORS, asked, binary=True)
    row_of = {product_id: row for row, (product_id, _) in enumerate(found)}
    return row_of, vectors_matrix([bytes(vector) for _, vector in found])


# what the shopper of a click-through had done before, by time: a batch has no order in the log; of its own ranking
# nothing, whatever the clocks say
_BEFORE = """
SELECT g.n, w.subject_id, h.product_id, h.kind, extract(epoch FROM h.at)::double precision, h.position
  FROM unnest(%s::bigint[], %s::timestamptz[]) WITH ORDINALITY AS g (position, before, n)
  JOIN LATERAL (
    SELECT subject_id, ranking_ref FROM feedback_impression m WHERE m.position = g.position
    UNION ALL
    SELECT subject_id, ranking_ref FROM feedback_interaction m WHERE m.position = g.position) w
    ON w.subject_id IS NOT NULL
  JOIN LATERAL (
    SELECT product_id, kind, at, position FROM feedback_interaction i
     WHERE i.subject_id = w.subject_id AND i.position <= %s AND i.at < g.before
       AND (w.ranking_ref IS NULL OR i.ranking_ref IS DISTINCT FROM w.ranking_ref)
     ORDER BY i.at DESC, i.position DESC LIMIT %s) h ON true"""


def histories_before(closed: Sequence[ClickThrough], *, position: int) -> list[tuple[Any, list[Step]]]:
    """Whose each click-through is and what that shopper had done before the search, by a position of the log; nobody and
    nothing where that is not known.

    Of an implied one only the click is known, not when the search was: nothing of the half hour before it counts, or a
    basket would be foretold from the click of the same search.
    """
    window = timedelta(seconds=settings.FRESHET_CLICK_THROUGH_SECONDS)
    before = [each.shown_at - window if each.implied else each.shown_at for each in closed]
    found: list[tuple[Any, list[Step]]] = [(None, []) for _ in closed]
    asked = [[each.impression_position for each in closed], before, position, LENGTH]
    for n, subject, product_id, kind, at, at_position in rows(_BEFORE, asked):
        found[n - 1] = (subject, [*found[n - 1][1], Step(product_id, kind, at, at_position)])
    return [(subject, merged(steps)) for subject, steps in found]


def history_of(steps: Sequence[Step], row_of: Mapping[str, int], vectors: Floats) -> History:
    """Steps with the vectors of their products, by row; those without are left out."""
    known = [step for step in steps if step.product_id in row_of]
    return History(known, vectors[[row_of[step.product_id] for step in known]], {})
