"""Learning a mix: walk the newest visits, fit on the earlier ones, judge on the later ones, record what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from eventlog.database import rows
from eventlog.events import NewEvent
from eventlog.services import append
from ranking.events import MixLearned
from ranking.learning.evaluate import mrr_at_k
from ranking.mix_state import arms
from ranking.projections.vectors import embedding_table
from ranking.registry import model_serving
from ranking.signals import signals_now
from ranking.strategies.fitting import Case, mix_fit
from ranking.strategies.mixes import Surface
from ranking.strategies.mixing import Mix, relevance_of
from ranking.strategies.walking import Shop, Taken, cases_walk
from ranking.towers import serving
from ranking.vector_formats import vectors_matrix
from ranking.visits.asked import Floats
from ranking.visits.memory import Memory
from ranking.visits.sizes import ITEMS_OF

VISITS = 200_000  # newest ones that are walked
CASES = 4_000  # of them: beyond, a dozen coefficients move no more
JUDGED = 0.3  # share of the cases, the newest, that judge
LEAST_CASES = 200
SURE = 2.0  # standard errors by which it must be better: a page that changes for nothing helps nobody


@dataclass(frozen=True, slots=True)
class Learned:
    """A mix that was learned, whether it is in force from here on, and its figures; `row_id` of its event."""

    mix: Mix
    accepted: bool
    figures: dict[str, Any]
    row_id: int


def mix_learn(
    *, shop_id: int, surface: Surface, now: datetime, seed: int = 0, progress: Callable[[int], None] = lambda done: None
) -> Learned | None:
    """Learn a mix for a surface from the shop's newest visits; None when they make too few cases."""
    visits = visits_read(shop_id)
    if not visits:
        return None
    shop, row_of = shop_read(shop_id)
    taken = [Taken(who, row_of[product_id], kind, at) for who, product_id, kind, at in visits if product_id in row_of]
    memory = Memory(shop.arrived_at, values=signals_now(shop_id=shop_id).values)
    cases = cases_walk(
        _counted(taken, progress),
        memory=memory,
        shop=shop,
        after=-np.inf,
        share=min(1.0, CASES / max(len(taken), 1)),
        seed=seed,
        items=ITEMS_OF[surface],
        within=surface == "home",
    )
    if len(cases) < LEAST_CASES:
        return None
    parted = int((1 - JUDGED) * len(cases))
    before = arms(shop_id, surface)[0]
    try:
        mix = mix_fit(cases[:parted], start=before)
    except ValueError:
        return None
    figures = compared(cases[parted:], before, mix) | {"cases": len(cases), "visits": len(taken), "seed": seed}
    accepted = figures["gain"] > SURE * figures["error"]
    event = MixLearned(
        surface=surface,
        coefficients=dict(mix.coefficients),
        intercept=mix.intercept,
        accepted=accepted,
        figures=figures,
    )
    (appended,) = append(shop_id=shop_id, events=[NewEvent(event=event, occurred_at=now)])
    return Learned(mix, accepted, figures, appended.id or 0)


def compared(cases: Sequence[Case], before: Mix, after: Mix) -> dict[str, float]:
    """MRR@10 of what was taken under both mixes, among the candidates; what is gained, and its standard error."""
    old, new = (np.array([_found(case, mix) for case in cases]) for mix in (before, after))
    gain = new - old
    return {
        "before": float(old.mean()),
        "after": float(new.mean()),
        "gain": float(gain.mean()),
        "error": float(gain.std(ddof=1) / np.sqrt(len(gain))),
        "judged": len(cases),
        "found": float(np.mean([case.taken.any() for case in cases])),
    }


def _found(case: Case, mix: Mix) -> float:
    return mrr_at_k(relevance_of(case.evidence, mix), case.taken, k=10) if case.taken.any() else 0.0


_VISITS = """
SELECT subject_id, product_id, kind, at FROM (
  SELECT position, subject_id, product_id, kind, extract(epoch FROM at)::double precision AS at
    FROM feedback_interaction WHERE shop_id = %s ORDER BY position DESC LIMIT %s) newest
 ORDER BY at, position"""


def visits_read(shop_id: int) -> list[tuple[Any, str, str, float]]:
    """The newest visits: subject, product_id, kind, time, in the order of their time."""
    return [tuple(row) for row in rows(_VISITS, [shop_id, VISITS])]


def shop_read(shop_id: int) -> tuple[Shop, dict[str, int]]:
    """The live products with their vectors under the serving major version, and the row of each product_id.

    A product came when it was first visited, if that was before it was imported, as with a history that is imported.
    """
    products = rows(
        """SELECT p.id, p.product_id,
                  least(extract(epoch FROM p.created_at), extract(epoch FROM p.released_at), v.first_at)::double precision
             FROM catalog_product p
             LEFT JOIN ranking_visited v ON v.shop_id = p.shop_id AND v.product_id = p.product_id
            WHERE p.shop_id = %s AND p.retired_at IS NULL ORDER BY p.id""",
        [shop_id],
    )
    arrived: Floats = np.array([at for _, _, at in products], dtype=np.float64)
    row_of_id = {id_: row for row, (id_, _, _) in enumerate(products)}
    model = model_serving(shop_id=shop_id)
    table = embedding_table(shop_id, model.major) if model else ""
    known = bool(model and rows("SELECT 1 WHERE to_regclass(%s) IS NOT NULL", [table]))
    found = rows(f"SELECT document_id, vector FROM {table} ORDER BY document_id", binary=True) if known else []
    kept = [(row_of_id[id_], bytes(vector)) for id_, vector in found if id_ in row_of_id]
    matrix = vectors_matrix([vector for _, vector in kept])
    vectors = np.zeros((len(products), matrix.shape[1] or 1), dtype=np.float32)
    if kept:
        vectors[[row for row, _ in kept]] = matrix
    unrelated = serving.model(shop_id).head.unknown
    return Shop(vectors, arrived, unrelated), {product_id: row for row, (_, product_id, _) in enumerate(products)}


def _counted(visits: Sequence[Taken], progress: Callable[[int], None]) -> Iterator[Taken]:
    for n, each in enumerate(visits):
        if n % 1000 == 0:
            progress(n)
        yield each
    progress(len(visits))
