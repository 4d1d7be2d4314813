"""The walk: apply what became visible, ask, look where the clicked product stands. All by the project's own code."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bench.metrics import map_at_k, mrr_at_k
from bench.prequential_log import Click, Sync, arrivals
from bench.shop import SHOP
from eventlog.consume import drain
from eventlog.database import snapshot
from eventlog.projection import Projection
from eventlog.services import sequence
from feedback.click_log import ClickLogMap
from feedback.contexts import query_context
from feedback.projections import click_throughs, facts
from feedback.services import events_record
from ranking.neighbours import contexts_relate
from ranking.projections.contexts import contexts
from ranking.projections.judgements import judgements
from ranking.projections.weights import weights
from ranking.serving import Ranked, SearchRequest, rank
from ranking.towers import Model, query_vectors, serving
from ranking.training import shop_train

BATCH = 250
LOOK = 100  # clicks after which it is looked whether a version can be trained
Apply: TypeAlias = Callable[[Sequence[Click]], None]
Rank: TypeAlias = Callable[
    [str, float], Mapping[str, Sequence[str]]
]  # (query, now) -> product ids of each arm, best first


@dataclass(slots=True)
class Tally:
    """Sums of what was measured."""

    queries: int = 0
    ap_at_5: float = 0.0
    reciprocal: float = 0.0

    def add(self, ranked: Sequence[str], clicked: str) -> None:
        self.queries += 1
        self.ap_at_5 += map_at_k(ranked, [clicked], 5)
        self.reciprocal += mrr_at_k(ranked, [clicked])

    def figures(self) -> dict[str, float]:
        count = self.queries or float("nan")
        return {"map_at_5": self.ap_at_5 / count, "mrr": self.reciprocal / count, "queries": self.queries}


@dataclass(slots=True)
class Walk:
    """What a walk over a stretch of the log came to."""

    every: Tally = field(default_factory=Tally)
    new: Tally = field(default_factory=Tally)
    skipped: int = 0  # queries that cannot be asked
    seconds: float = 0.0

    def add(self, click: Click, ranked: Sequence[str], *, new: bool) -> None:
        """Count an answer."""
        for tally in (self.every, self.new) if new else (self.every,):
            tally.add(ranked, click.product_id)

    def figures(self) -> dict[str, Any]:
        return {**self.every.figures(), "new_queries": self.new.figures(), "seconds": round(self.seconds, 1)}


class Shop:
    """The shop that is walked through: clicks go in as events, queries are searched, both at a time of the past.

    With `learn` θ follows: what closed is trained on whenever there is enough, and the version that serves is asked.
    """

    def __init__(self, *, learn: bool = False) -> None:
        self.learn = learn
        self.model = serving.model(SHOP)
        self.refused = 0
        self.versions: list[dict[str, Any]] = []
        self._unseen = 0  # clicks since it was last looked whether there is enough
        self._map = ClickLogMap()
        self._contexts: set[str] = set()

    def apply(self, clicks: Sequence[Click], applied: Callable[[int], object] = lambda count: None) -> None:
        """Record clicks, project them, and find the neighbours of contexts that are met for the first time."""
        for first in range(0, len(clicks), BATCH):
            batch = clicks[first : first + BATCH]
            items = [self._map.product(click.row) for click in batch]
            self.refused += len(events_record(shop_id=SHOP, items=items, now=_now()).rejected)
            _project(weights)
            keys = {context.key for click in batch if (context := query_context(click.query))}
            if keys - self._contexts:
                self._relate(batch[-1].clicked_at)
                self._contexts |= keys
            self._unseen += len(batch)
            if self.learn and self._unseen >= LOOK:
                self._train(batch[-1].clicked_at)
            applied(len(batch))

    def _train(self, at: float) -> None:
        """Train versions as the worker of the queue `training` would by now."""
        self._unseen = 0
        for projection in (facts, click_throughs, judgements):
            _project(projection)
        while trained := shop_train(shop_id=SHOP, now=datetime.fromtimestamp(at, UTC)):
            self.versions.append({
                "version": trained.version, "promoted": trained.promoted, "reason": trained.reason, "at": at,
            })  # fmt: skip

    def _relate(self, at: float) -> None:
        while contexts_relate(shop_id=SHOP, model=self.model, now=datetime.fromtimestamp(at, UTC)):
            _project(contexts)

    def rank(self, query: str, now: float) -> dict[str, list[str]]:
        """Search as `GET /v1/search` does, but for its page and token: all candidates, best first, of each arm.

        `weights` is ŷ × w of the model as it came; `theta` ŷ of the version that serves, `both` what it answers.
        """
        frozen = self._rank(self.model, query, now)
        if not self.learn:
            return {"weights": _products(frozen, frozen.scores.score)}
        model = serving.model(SHOP)
        learned = frozen if model.version == self.model.version else self._rank(model, query, now)
        return {
            "weights": _products(frozen, frozen.scores.score),
            "theta": _products(learned, learned.scores.relevance),
            "both": _products(learned, learned.scores.score),
        }

    def _rank(self, model: Model, query: str, now: float) -> Ranked:
        vector = query_vectors.get(model, query)
        with snapshot():
            return rank(SearchRequest(shop_id=SHOP, q=query, now=now), query_context(query), model, vector)


def _products(ranked: Ranked, values: NDArray[np.float64]) -> list[str]:
    """Product ids by a value, ties by id."""
    ids = ranked.candidates.product_ids
    return [ids[i] for i in sorted(range(len(ids)), key=lambda i: (-values[i], ids[i]))]


def _project(projection: Projection) -> None:
    """Bring forward the one projection that what was just appended is for; the others stand still meanwhile.

    A worker looks into all of them each time, which finds nothing here and would double the time of a walk.
    """
    while sequence() > 0 or drain(projection) > 0:
        pass


def clicks_before(clicks: Sequence[Click], start: float) -> list[Click]:
    """What was clicked before the start, in the order of the clicks."""
    return sorted((click for click in clicks if click.clicked_at < start), key=lambda click: click.clicked_at)


@dataclass(frozen=True)
class Stretch:
    """The part of a log that is asked, queries of [start, end), and how its clicks become visible."""

    clicks: Sequence[Click]
    start: float
    end: float
    sync: Sync

    def asked(self) -> list[Click]:
        """Clicks whose queries are asked, in the order of the queries."""
        return [click for click in self.clicks if self.start <= click.asked_at < self.end]

    def coming(self) -> list[tuple[float, Click]]:
        """Clicks that become visible after the start, with the time they do."""
        return arrivals([click for click in self.clicks if click.clicked_at >= self.start], self.sync)


def walk(stretch: Stretch, apply: Apply, rank: Rank, *, label: str) -> dict[str, Walk]:
    """Ask each query at its time, before its own click is visible; what lies before the start is applied already.

    Return what each arm came to.
    """
    arms: defaultdict[str, Walk] = defaultdict(Walk)
    skipped, started = 0, monotonic()
    seen = {click.words for click in stretch.clicks if click.clicked_at < stretch.start}
    coming, arrived = stretch.coming(), 0
    asked = stretch.asked()
    with progress(len(asked), label, "query") as bar:
        for click in asked:
            due = arrived
            while due < len(coming) and coming[due][0] <= click.asked_at:
                due += 1
            if due > arrived:
                apply([each for _, each in coming[arrived:due]])
                seen.update(each.words for _, each in coming[arrived:due])
                arrived = due
            for arm, ranked in rank(click.query, click.asked_at).items() if click.askable else ():
                arms[arm].add(click, ranked, new=click.words not in seen)
            skipped += not click.askable
            bar.set_postfix(
                {arm: f"{each.every.figures()['map_at_5']:.4f}" for arm, each in arms.items()}, refresh=False
            )
            bar.update()
    for each in arms.values():
        each.skipped, each.seconds = skipped, monotonic() - started
    return dict(arms)


def progress(total: int, label: str, unit: str) -> Any:
    """A progress bar on standard error."""
    return tqdm(total=total, desc=label, unit=unit, file=sys.stderr, mininterval=1.0)


def _now() -> datetime:
    return datetime.now(UTC)


def best_fixed_order(asked: Sequence[Click]) -> float:
    """MAP@5 of the best order of each query's products that never changes, chosen with all these clicks known: by how
    often they were clicked. What passes it must follow what changes from hour to hour."""
    clicked: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for click in asked:
        clicked[click.words][click.product_id] += 1
    orders = {words: [product for product, _ in products.most_common(5)] for words, products in clicked.items()}
    return sum(map_at_k(orders[click.words], [click.product_id], 5) for click in asked) / len(asked)
