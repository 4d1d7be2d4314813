"""What changed between two model versions: the queries whose first ten moved most.

Both versions answer each query now, as a search would: same catalogue, same words, same weights, so that what differs is
what the versions differ in. Every version can be asked that has its artefact and its vectors: also one that was refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from eventlog.database import scalar, snapshot
from eventlog.errors import FreshetError
from eventlog.selectors import last_position
from feedback.contexts import query_context
from ranking.judgements import judgements_at
from ranking.overlap import rank_biased_overlap
from ranking.projections.vectors import embedding_table
from ranking.serving import SearchRequest, rank
from ranking.towers import Model, busiest, model_at, query_vectors

FIRST = 10  # products of a first page: those whose moving shoppers notice


class VectorsGone(FreshetError):
    """The catalogue has no vectors of the major version that a model version belongs to."""

    code = "vectors_gone"
    status = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A query's first ten under both versions, product ids, best first; `overlap` is rank-biased, 1 the same."""

    query: str
    overlap: float
    before: list[str]
    after: list[str]

    @property
    def entered(self) -> list[str]:
        """Products that only the second version has on the first page, best first."""
        return [each for each in self.after if each not in self.before]

    @property
    def left(self) -> list[str]:
        """Products that only the first version has there."""
        return [each for each in self.before if each not in self.after]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDiff:
    """What moved from version `first` to `second`; queries that moved most come first, ties by query."""

    first: str
    second: str
    queries: list[Moved]

    @property
    def overlap(self) -> float | None:
        """Mean over the queries; None without any."""
        return sum(each.overlap for each in self.queries) / len(self.queries) if self.queries else None

    @property
    def moved(self) -> list[Moved]:
        """Those that do not answer the same."""
        return [each for each in self.queries if each.overlap < 1.0]


def model_diff(
    *,
    shop_id: int,
    first: str,
    second: str,
    queries: Sequence[str],
    now: datetime,
    progress: Callable[[Sequence[str]], Iterable[str]] = iter,
) -> ModelDiff:
    """Answer each query by both versions, now. Raises ModelVersionNotFound, VectorsGone."""
    models = [_model(shop_id, version) for version in (first, second)]
    found = [_moved(shop_id, text, models, now) for text in progress(queries)]
    return ModelDiff(first=first, second=second, queries=sorted(found, key=lambda each: (each.overlap, each.query)))


def diff_queries(*, shop_id: int, limit: int, judged: bool = False) -> list[str]:
    """The busiest queries, or those that the shop judged, by key; at most `limit`."""
    if not judged:
        return busiest(shop_id, limit)
    return [query.text for query in judgements_at(shop_id=shop_id, position=last_position())][:limit]


def _model(shop_id: int, version: str) -> Model:
    model = model_at(shop_id, version)
    if scalar("SELECT to_regclass(%s)", [embedding_table(shop_id, model.major)]) is None:
        raise VectorsGone(f"{version} cannot be asked: the catalogue has no vectors of major version {model.major}.")
    return model


def _moved(shop_id: int, text: str, models: Sequence[Model], now: datetime) -> Moved:
    request, context = SearchRequest(shop_id=shop_id, q=text, k=FIRST, now=now.timestamp()), query_context(text)
    vectors = [query_vectors.get(model, text) for model in models]
    with snapshot():
        ranked = [rank(request, context, model, vector) for model, vector in zip(models, vectors, strict=True)]
    before, after = ([each.candidates.product_ids[i] for i in each.order[:FIRST]] for each in ranked)
    return Moved(query=text, overlap=rank_biased_overlap(before, after), before=before, after=after)
