"""Freshet on a log: the items are its catalogue, what shoppers took goes in as purchases, answers are its home pages."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bench.recommend_log import Ints, Log
from bench.recommend_metrics import Answers
from bench.recommend_peers import DEPTH
from bench.recommend_protocols import Question
from bench.recommend_walk import Modes, asked
from bench.shop import SHOP, products_embed
from catalog.services import products_upsert
from eventlog.consume import drain, sequence_and_drain
from eventlog.database import query, rows
from eventlog.services import sequence
from feedback.privacy import subject_reference
from feedback.services import events_record
from ranking.projections.vectors import embedding_table
from ranking.projections.visits import visits
from ranking.projections.weights import weights
from ranking.recommending import RecommendRequest, recommend
from ranking.services import lexical_statistics_publish
from ranking.strategies.mixing import Mix
from ranking.towers import serving
from ranking.vector_formats import vectors_matrix

BATCH = 1000
DRAINED = 5  # batches between two drains of a long stretch


class Shop:
    """The shop that a log is told to, event by event, and that is asked in between."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.end = 0  # events before this number are in
        self._row_of = {id_: row for row, id_ in enumerate(log.item_ids)}
        self._references: dict[int, UUID] = {}

    def offer(self, *, released_at: int) -> None:
        """Put the items into the catalogue and embed their titles.

        The log does not say when an item that nobody took came in: such items count as released at `released_at`, before
        which nothing is asked. Those that were taken count from then, if that was earlier.
        """
        day = _moment(released_at)
        items = [
            {"product_id": id_, "title": title, "released_at": day}
            for id_, title in zip(self.log.item_ids, self.log.titles, strict=True)
        ]
        for start in tqdm(range(0, len(items), BATCH), desc="catalogue", unit="batch", file=sys.stderr):
            done = products_upsert(shop_id=SHOP, items=items[start : start + BATCH], origin="import", now=_now())
            if done.rejected:
                raise RuntimeError(f"a product was refused: {done.rejected[0]}")
        sequence_and_drain()
        lexical_statistics_publish(now=_now())
        products_embed()

    def vectors(self) -> NDArray[np.float32]:
        """Unit vectors of the items as they serve, (N, D)."""
        major = serving.model(SHOP).major
        found = rows(
            f"""SELECT d.product_id, t.vector FROM ranking_document d
                  JOIN {embedding_table(SHOP, major)} t ON t.document_id = d.id WHERE d.shop_id = %b""",
            [SHOP],
            binary=True,
        )
        matrix = vectors_matrix([bytes(vector) for _, vector in found])
        vectors = np.zeros((len(self._row_of), matrix.shape[1]), dtype=np.float32)
        vectors[[self._row_of[product_id] for product_id, _ in found]] = matrix
        return vectors

    def tell(self, moment: int) -> None:
        """Record what happened strictly before a moment and was not told yet, and project it."""
        first, end = self.end, self.log.first_from(moment)
        bar = tqdm(total=end - first, desc="events", unit="event", file=sys.stderr, disable=end - first <= BATCH)
        for n, start in enumerate(range(first, end, BATCH)):
            items = [self._event(number) for number in range(start, min(start + BATCH, end))]
            done = events_record(shop_id=SHOP, items=items, now=_now())
            if done.rejected or done.duplicates:
                raise RuntimeError(f"{done.duplicates} events were known; refused: {done.rejected[:1]}")
            bar.update(len(items))
            if n % DRAINED == DRAINED - 1:
                _project()
        bar.close()
        _project()
        if end - first > BATCH:
            query("ANALYZE")  # as autovacuum would by and by
        self.end = end

    def _event(self, number: int) -> dict[str, Any]:
        return {
            "event_id": f"{number}",
            "kind": "purchase",
            "occurred_at": _moment(int(self.log.at[number])),
            "shopper_id": self.log.shopper_ids[self.log.shopper[number]],
            "product_id": self.log.item_ids[self.log.item[number]],
        }

    def rank(self, question: Question, *, again: bool, mix: Mix) -> Ints:
        """The rows of the home page that the shopper is answered at that moment."""
        answer = recommend(
            RecommendRequest(
                shop_id=SHOP,
                surface="home",
                k=DEPTH,
                now=float(question.at),
                subject=self._reference(question.shopper),
                again=again,
                mix=mix,
            )
        )
        return np.array([self._row_of[item["product_id"]] for item in answer["items"]], dtype=np.int64)

    def _reference(self, shopper: int) -> UUID | None:
        if shopper not in self._references:
            found = subject_reference(shop_id=SHOP, raw_id=self.log.shopper_ids[shopper])
            if found is None:
                return None
            self._references[shopper] = found
        return self._references[shopper]


def freshet_answers(
    shop: Shop, questions: Sequence[Question], modes: Modes, mixes: Mapping[str, Mix]
) -> dict[str, Answers]:
    """Ask the shop in the order of time, telling it before each question what happened strictly earlier."""
    found = {mode: Answers() for mode in modes}
    for question in tqdm(questions, desc="Freshet", unit="question", file=sys.stderr, mininterval=1.0):
        if shop.log.first_from(question.at) > shop.end:
            shop.tell(question.at)
        for mode, again in modes.items():
            if asked(question, again):
                found[mode].add(question, shop.rank(question, again=again, mix=mixes[mode]).tolist())
    return found


def _project() -> None:
    """Bring forward the two projections that interactions are for; the others stand still meanwhile.

    A worker looks into all of them each time, which finds nothing here and would double the time of a walk.
    """
    while sequence() > 0:
        pass
    for projection in (weights, visits):
        while drain(projection) > 0:
            pass


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _now() -> datetime:
    return datetime.now(UTC)
