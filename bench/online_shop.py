"""The shop of bench/online_learning.py: searched and clicked in simulated time, projected and trained in this process."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bench.online_nightly import Nightly
from bench.online_shoppers import SHOWN, asked, clicked_ranks
from bench.search_quality_data import Ratings, catalogue_read
from bench.shop import SHOP
from eventlog.consume import sequence_and_drain
from eventlog.database import snapshot
from feedback.contexts import query_context
from feedback.services import events_record
from ranking.learning.catalogue import catalogue_at
from ranking.learning.options import DEFAULTS, TrainOptions
from ranking.neighbours import contexts_relate
from ranking.serving import Ranked, SearchRequest, rank, search
from ranking.towers import Model, query_vectors, serving
from ranking.training import shop_train

VISIT_SECONDS = 10.0
SHOPPERS = 400
TOGETHER = 10  # visits whose events come in one batch
DAYS = 4.0  # the simulation starts so long ago: an event counts from its own time


class Shop:
    """One shop, one log; the peer sees the same clicks."""

    def __init__(self, queries: list[str], *, seed: int, options: TrainOptions = DEFAULTS) -> None:
        self._options = options
        self.visits, self.clicks = 0, 0
        self.versions: list[dict[str, Any]] = []
        self._rng = random.Random(seed)
        self._asked = asked(queries, seed=seed)
        self._clock = datetime.now(UTC).timestamp() - DAYS * 86_400
        self._contexts: set[str] = set()
        self._night: list[tuple[str, str]] = []
        self._first: Model = serving.model(SHOP)
        catalogue = catalogue_read(self._first.major)
        named = catalogue.product_ids
        self._words = catalogue_at(
            shop_id=SHOP, position=2**62, major=self._first.major, named=named, pool=0, seed=seed
        )  # fmt: skip
        row_of = catalogue.row_of  # made anew each time it is asked for
        vectors = catalogue.vectors[[row_of[product] for product in self._words.product_ids]]
        self._nightly = Nightly(self._first.frozen, self._first.head, self._words, vectors)

    def go_on(self, ratings: Ratings, *, until: int, progress: Callable[[int], object]) -> None:
        """Let shoppers search and click until so many clicks were made; weights and θ follow."""
        while self.clicks < until:
            before, events = self.clicks, []
            for _ in range(TOGETHER):
                events += self._visit(next(self._asked), ratings)
            self._record(events)
            progress(min(self.clicks, until) - min(before, until))
            if trained := shop_train(shop_id=SHOP, now=self._now(), options=self._options):
                self.versions.append({
                    "version": trained.version, "promoted": trained.promoted, "reason": trained.reason,
                    "interactions": self.clicks,
                })  # fmt: skip

    def nightly_train(self) -> None:
        """Fine-tune the peer on the clicks since its last time."""
        self._nightly.train(self._night)
        self._night = []

    def answers(self, query: str) -> dict[str, list[str]]:
        """What each arm answers now: products, best first."""
        first, now = self._rank(query, self._first), self._rank(query, serving.model(SHOP))
        return {
            "frozen": _ordered(first, first.scores.relevance),
            "weights": _ordered(first, first.scores.score),
            "theta": _ordered(now, now.scores.relevance),
            "both": _ordered(now, now.scores.score),
            "nightly": self._nightly.rank(query),
        }

    def _visit(self, query: str, ratings: Ratings) -> list[dict[str, Any]]:
        self._clock += VISIT_SECONDS
        self.visits += 1
        answer = search(SearchRequest(shop_id=SHOP, q=query, k=SHOWN, now=self._clock))
        shown = [item["product_id"] for item in answer["items"]]
        ranks = clicked_ranks(shown, ratings[query], self._rng)
        self.clicks += len(ranks)
        self._night += [(query, shown[rank_ - 1]) for rank_ in ranks]
        seen = {
            "query": query,
            "ranking_token": answer["ranking"]["token"],
            "occurred_at": self._now().isoformat(),
            "shopper_id": f"shopper-{self._rng.randrange(SHOPPERS)}",
        }
        clicked = [{"kind": "click", "product_id": shown[rank_ - 1], "rank": rank_} for rank_ in ranks]
        happened: list[dict[str, Any]] = [{"kind": "impression", "items": shown}, *clicked]
        return [{"event_id": f"{self.visits}-{n}", **seen, **each} for n, each in enumerate(happened)]

    def _record(self, events: list[dict[str, Any]]) -> None:
        recorded = events_record(shop_id=SHOP, items=events, now=self._now())
        if recorded.rejected:
            raise RuntimeError(f"events were refused: {recorded.rejected[:3]}")
        sequence_and_drain()
        asked_now = {event["query"] for event in events}
        if asked_now - self._contexts:
            self._contexts |= asked_now
            while contexts_relate(shop_id=SHOP, model=self._first, now=self._now()):
                sequence_and_drain()

    def _rank(self, query: str, model: Model) -> Ranked:
        vector = query_vectors.get(model, query)
        with snapshot():
            request = SearchRequest(shop_id=SHOP, q=query, now=self._clock)
            return rank(request, query_context(query), model, vector)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock, UTC)


def _ordered(ranked: Ranked, values: Any) -> list[str]:
    """Product ids by a value, ties by id."""
    ids = ranked.candidates.product_ids
    return [ids[i] for i in sorted(range(len(ids)), key=lambda i: (-values[i], ids[i]))]
