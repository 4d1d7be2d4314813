"""The shop of bench/privacy.py: shoppers see what 1.0 answers, click by rating, and a version is made of their clicks."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from bench.metrics import ndcg_at_k
from bench.online_shoppers import SHOWN, clicked_ranks
from bench.search_quality_data import Ratings
from bench.shop import SHOP
from eventlog.consume import sequence_and_drain
from feedback.services import clock_tick, events_record
from ranking.encoders import Encoder
from ranking.learning.artefact import Artefact, artefact_read
from ranking.learning.candidate import Candidate, candidate_make, tower_of
from ranking.learning.catalogue import catalogue_at
from ranking.learning.options import TrainOptions
from ranking.registry import ModelVersion, artefact_load
from ranking.relevance import relevance
from ranking.serving import SearchRequest, search
from ranking.towers import encoder_frozen
from ranking.training import every_of, range_read, serving_ensured

TOGETHER = 200  # visits whose events come in one batch
EVERYTHING = 1_000_000  # products at most


class Shop:
    """One range of click-throughs, from which any number of versions are made; none of them is kept."""

    def __init__(self, ratings: Ratings, asked: list[str], *, shoppers: int, seed: int) -> None:
        self.clicks, self.visits = 0, 0
        self._ratings, self._asked, self._shoppers = ratings, asked, shoppers
        self._rng = random.Random(seed)
        self._start = datetime.now(UTC) - timedelta(days=2)
        self._answers: dict[str, dict[str, Any]] = {}

    def go_on(self, *, until: int, progress: Callable[[int], object]) -> None:
        """Let shoppers search and click until so many clicks were made, and half an hour pass."""
        while self.clicks < until:
            before = self.clicks
            events = [event for _ in range(TOGETHER) for event in self._visit()]
            refused = events_record(shop_id=SHOP, items=events, now=self._now()).rejected
            if refused:
                raise RuntimeError(f"events were refused: {refused[:3]}")
            sequence_and_drain()
            progress(min(self.clicks, until) - min(before, until))
        clock_tick(now=self._now() + timedelta(hours=1))
        sequence_and_drain()

    def make(self, options: TrainOptions) -> Candidate:
        """A version of all clicks, trained and judged as the shop's own trainer does."""
        parent = serving_ensured(SHOP, self._now())
        part = range_read(shop_id=SHOP, after=0, every=every_of(self.clicks))
        if part is None:
            raise RuntimeError("too few clicks to make a version of")
        return candidate_make(parent=parent, frozen=_frozen(parent), part=part, options=options)

    def before(self) -> Artefact:
        """What serves before any learning."""
        return artefact_read(artefact_load(serving_ensured(SHOP, self._now()).artefact))

    def quality(self, artefact: Artefact, halves: Mapping[str, list[str]]) -> dict[str, float]:
        """nDCG@10 by ŷ alone, over the whole catalogue, of each half of the queries."""
        catalogue = catalogue_at(shop_id=SHOP, position=2**62, major=1, named=(), pool=EVERYTHING, seed=0)
        tower = tower_of(_frozen(serving_ensured(SHOP, self._now())), artefact)
        found: dict[str, list[float]] = {half: [] for half in halves}
        for half, queries in halves.items():
            for query in queries:
                dense = catalogue.vectors @ tower.encode_query(query)
                y = relevance(dense, catalogue.lexical(query), artefact.head, "query")
                top = [catalogue.product_ids[row] for row in np.argsort(-y, kind="stable")[:10]]
                found[half].append(ndcg_at_k(top, self._ratings[query], 10))
        return {half: float(np.nanmean(values)) for half, values in found.items()}

    def _visit(self) -> list[dict[str, Any]]:
        query = self._rng.choice(self._asked)
        self.visits += 1
        if query not in self._answers:
            self._answers[query] = search(SearchRequest(shop_id=SHOP, q=query, k=SHOWN, now=self._start.timestamp()))
        answer = self._answers[query]
        shown = [item["product_id"] for item in answer["items"]]
        ranks = clicked_ranks(shown, self._ratings[query], self._rng)
        self.clicks += bool(ranks)
        seen = {
            "query": query,
            "ranking_token": answer["ranking"]["token"],
            "occurred_at": self._now().isoformat(),
            "shopper_id": f"shopper-{self._rng.randrange(self._shoppers)}",
        }
        clicked = [{"kind": "click", "product_id": shown[rank - 1], "rank": rank} for rank in ranks]
        happened: list[dict[str, Any]] = [{"kind": "impression", "items": shown}, *clicked]
        return [{"event_id": f"{self.visits}-{n}", **seen, **each} for n, each in enumerate(happened)]

    def _now(self) -> datetime:
        return self._start + timedelta(seconds=10 * self.visits)


def _frozen(parent: ModelVersion) -> Encoder:
    return encoder_frozen(parent.config.get("encoder_name"))
