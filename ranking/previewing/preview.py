"""What a change of signals would do: a past range answered again under two tables, the one in force and a proposed one.

Click-throughs are walked in the order of the log. Each is asked with the evidence of what lies strictly before it, under both
tables alike, by the model that serves now and over the catalogue as it is now; what operators set is left out. Read-only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson

from eventlog.consume import checkpoint_read
from eventlog.database import rows, scalar, snapshot
from eventlog.errors import FreshetError
from eventlog.selectors import read_types
from feedback.events import ImpressionRecorded, InteractionRecorded
from feedback.projections import facts
from ranking.curves import curve_at
from ranking.events import ExaminationEstimated
from ranking.learning.catalogue import CatalogueAt, catalogue_at
from ranking.learning.counterfactual import Compared, Logged, compared
from ranking.learning.evaluate import Doubles, Ranker, mrr_at_k
from ranking.learning.examples import gain
from ranking.model_diff import FIRST, Moved
from ranking.overlap import rank_biased_overlap
from ranking.previewing.side import Near, Side
from ranking.projections.contexts import encoder_key
from ranking.signals import options_of
from ranking.towers import Model, query_vectors, serving

CLICK_THROUGHS = 1000  # newest of the range that are asked: two rankings of the whole catalogue each
EVENTS = 200_000  # positions of the log that are walked at most, from the first one asked on
CATALOGUE = 5000  # products that are ranked besides those that were clicked
QUERIES = 200  # whose first pages are compared at the end
SHOWN = 5  # of those that move most, kept with the estimate
_WALKED = frozenset({ImpressionRecorded.type, InteractionRecorded.type, ExaminationEstimated.type})


class NothingToPreview(FreshetError):
    """No search of this range has an outcome: choose another range (or set the table with "force": true and a reason)."""

    code = "nothing_to_preview"
    status = 409


@dataclass(frozen=True, slots=True)
class Asked:
    """A search with an outcome: at a position of the log, what was wanted by what it led to."""

    position: int
    key: str
    text: str
    at: float
    wanted: Sequence[str]


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
        walk = _Walk(shop_id, model, asked, near, [options_of(table) for table in (before, after)])
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


class _Walk:
    """The log, walked once by both sides."""

    def __init__(
        self, shop_id: int, model: Model, asked: Sequence[Asked], near: Mapping[str, Near], options: Sequence[Any]
    ) -> None:
        self.asked, self.near = asked, near
        self.catalogue = _catalogue(shop_id, model, asked)
        self.ranker = Ranker(lambda text: query_vectors.get(model, text), model.head)
        self.expected = model.expected_of(self.catalogue.product_ids)
        self.relevance: dict[str, Doubles] = {}
        start, documents = asked[0].position - 1, _documents(shop_id)
        keys = {each.key for each in asked}.union(*({key for key, _ in of} for of in near.values()))
        curve = curve_at(shop_id=shop_id, position=start)
        self.sides = [
            Side(each, shop_id=shop_id, row_of=self.catalogue.rows, documents=documents, curve=curve)
            for each in options
        ]
        for side in self.sides:
            side.begin(position=start, keys=keys)
        self.events = read_types(types=_WALKED, after=start, to=asked[-1].position - 1, shop_id=shop_id)
        self.next = next(self.events, None)

    def ask(self, each: Asked) -> list[tuple[float, float]]:
        """MRR and average precision at 5 of a click-through, by both sides, with all that lies before it."""
        while self.next is not None and self.next.position < each.position:
            for side in self.sides:
                side.add(self.next)
            self.next = next(self.events, None)
        wanted = np.zeros(len(self.catalogue.product_ids), dtype=np.bool_)
        wanted[[self.catalogue.rows[product_id] for product_id in each.wanted if product_id in self.catalogue.rows]] = (
            True
        )
        scored = [self._scores(side, each.key, each.text, each.at) for side in self.sides]
        return [(_or_0(mrr_at_k(of, wanted, k=len(of))), average_precision_at_k(of, wanted, k=5)) for of in scored]

    def moved(self, now: float) -> list[Moved]:
        """The first pages of the busiest queries asked, at the end, most moved first."""
        texts = {each.key: each.text for each in self.asked}
        counted = Counter(each.key for each in self.asked).most_common(QUERIES)
        found = [self._moved(key, texts[key], now) for key, _ in counted]
        return sorted(found, key=lambda each: (each.overlap, each.query))

    def _moved(self, key: str, text: str, now: float) -> Moved:
        scored = (self._scores(side, key, text, now) for side in self.sides)
        first, second = (
            [self.catalogue.product_ids[i] for i in np.argsort(-of, kind="stable")[:FIRST]] for of in scored
        )
        return Moved(query=text, overlap=rank_biased_overlap(first, second), before=first, after=second)

    def _scores(self, side: Side, key: str, text: str, now: float) -> Doubles:
        if key not in self.relevance:
            self.relevance[key] = self.ranker.relevance(text, self.catalogue)
        return side.score(
            key=key, near=self.near.get(key, ()), relevance=self.relevance[key], expected=self.expected, now=now
        )


def average_precision_at_k(scores: Doubles, relevant: np.ndarray[Any, np.dtype[np.bool_]], *, k: int) -> float:
    """Sum of precisions at each relevant rank among the first k over min(k, relevant), in [0, 1]; 0 of none."""
    found = relevant[np.argsort(-scores, kind="stable")[:k]]
    most = min(k, int(relevant.sum()))
    return float((found * np.cumsum(found) / np.arange(1, len(found) + 1)).sum() / most) if most else 0.0


def _or_0(value: float) -> float:
    """A product that is not in the catalogue any more is found at no rank."""
    return 0.0 if np.isnan(value) else value


# newest first by closing: an index has that order, and the end of a range is near the end of the log
_ASKED = """
SELECT impression_position, context_key, coalesce(context_text, context_key),
       extract(epoch FROM shown_at)::double precision, outcomes
  FROM feedback_clickthrough
 WHERE shop_id = %s AND context_kind = 'query' AND shown_at >= %s AND shown_at < %s AND outcomes <> '{}'
   AND impression_position <= %s
 ORDER BY closed_position DESC, impression_position DESC LIMIT %s"""


def asked_read(*, shop_id: int, from_at: datetime, to_at: datetime, limit: int) -> list[Asked]:
    """The newest click-throughs of a range that wanted something, in the order of the log. Raises NothingToPreview."""
    found = [
        Asked(position, key, text, at, [p for p, kinds in orjson.loads(outcomes).items() if gain(kinds) > 0])
        for position, key, text, at, outcomes in rows(
            _ASKED, [shop_id, from_at, to_at, checkpoint_read(facts.name), limit]
        )
    ]
    wanting = sorted((each for each in found if each.wanted), key=lambda each: each.position)
    if not wanting:
        raise NothingToPreview
    return [each for each in wanting if each.position > wanting[-1].position - EVENTS]


_NEAR = """
SELECT c.key, o.key, n.similarity
  FROM ranking_context c
  JOIN ranking_contextneighbour n ON n.context_id = c.id AND n.encoder = %s
  JOIN ranking_context o ON o.id = n.neighbour_id
 WHERE c.shop_id = %s AND c.kind = 'query' AND c.key = ANY(%s::text[])
 ORDER BY c.key, n.similarity DESC, n.neighbour_id"""


def near_read(shop_id: int, keys: Iterable[str], model: Model) -> dict[str, list[tuple[str, float]]]:
    """Near contexts of each query, as they are known now."""
    found: dict[str, list[tuple[str, float]]] = {}
    for key, other, similarity in rows(_NEAR, [encoder_key(model.frozen.fingerprint), shop_id, sorted(keys)]):
        found.setdefault(key, []).append((other, similarity))
    return found


def _documents(shop_id: int) -> int:
    return int(scalar("SELECT documents FROM ranking_lexicon WHERE shop_id = %s", [shop_id]) or 0)


def _catalogue(shop_id: int, model: Model, asked: Sequence[Asked]) -> CatalogueAt:
    named = {product_id for each in asked for product_id in each.wanted}
    return catalogue_at(
        shop_id=shop_id,
        position=checkpoint_read("products"),
        major=model.major,
        named=named,
        pool=CATALOGUE,
        seed=0,
    )
