"""recommend(), to be read top to bottom: context, arm, candidates, score, variety, answer. Nothing is written on this path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from eventlog.database import snapshot
from feedback.contexts import Context, basket_context, home_context, product_context
from feedback.ranking_token import RankingToken, token_sign
from ranking.display import products_display
from ranking.filters import Filter
from ranking.retrieval import Snapshot, snapshot_read
from ranking.scoring import Scores
from ranking.serving import evidence_of as weights_evidence
from ranking.serving import explanation
from ranking.strategies.asked import Asked
from ranking.strategies.candidates import Found, candidates_read
from ranking.strategies.content import content_vector
from ranking.strategies.mixes import MIXES, Surface
from ranking.strategies.mixing import Mix, evidence_of, proposals, relevance_of
from ranking.strategies.registry import NAMES
from ranking.strategies.sizes import ITEMS
from ranking.towers import Model, serving
from ranking.visits.reading import Items, Visitor, asked_of_products, asked_of_steps, items_by_product, visitor_read
from ranking.weights.evidence import Evidence
from ranking.weights.formula import weights

CONSUMERS = ("products", "weights", "vectors", "models", "visits")
FEW = 5  # interactions: beyond them a shopper is known


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendRequest:
    """A recommendation as it was asked; `product_ids` are those of the page or of the basket."""

    shop_id: int
    surface: Surface
    product_ids: Sequence[str] = ()
    k: int = 20
    filters: Sequence[Filter] = ()
    filter_texts: Sequence[str] = ()
    explain: bool = False
    now: float = 0.0  # seconds since 1970
    subject: UUID | None = None  # reference of the shopper who asks, if known
    again: bool = True  # whether what the shopper bought may be shown again
    mix: Mix | None = None  # instead of the surface's first


@dataclass(frozen=True, slots=True)
class Recommended:
    """Scored candidates and all that they were scored from."""

    model: Model
    snapshot: Snapshot
    context: Context
    arm: str
    propensity: float
    said: NDArray[np.float64]  # what each strategy adds to the logit of ŷ, (N, K)
    found: Found
    evidence: Evidence
    scores: Scores
    order: NDArray[np.int64]


def recommend(request: RecommendRequest) -> dict[str, Any]:
    """Answer `GET /v1/recommendations`: ranking, items, total."""
    model = serving.model(request.shop_id)
    with snapshot():
        done = rank(request, model)
        page = done.order[: request.k]
        token = token_sign(token_of(request, done, page))
        display = products_display([done.found.candidates.ids[i] for i in page])
    return {
        "ranking": ranking_block(done, token),
        "items": [item(done, int(i), rank_, display, explain=request.explain) for rank_, i in enumerate(page, start=1)],
        "total": len(done.order),
    }


def rank(request: RecommendRequest, model: Model) -> Recommended:
    """Read, score and order the candidates, inside the caller's snapshot."""
    context = context_of(request)
    own = context if context.kind != "history" else None  # what others did on their home pages says nothing of hers
    seen = snapshot_read(
        shop_id=request.shop_id,
        kind=context.kind,
        key=own.key if own else None,
        terms=(),
        major=model.major,
        encoder=model.frozen.fingerprint,
        filters=request.filters,
        now=request.now,
        consumers=CONSUMERS,
    )
    visitor = visitor_read(shop_id=request.shop_id, reference=request.subject, now=request.now)
    asked, items = asked_of(request, visitor)
    segment = segment_of(visitor)
    mix, propensity = request.mix or MIXES[request.surface][0], 1.0
    found = candidates_read(
        shop_id=request.shop_id,
        snapshot=seen,
        numbers=proposals(asked).tolist(),
        vector=content_vector(request.shop_id, model.major, items, asked) if seen.has_vectors else None,
        major=model.major,
        filters=request.filters,
        without=request.product_ids,
        now=request.now,
    )
    strength = evidence_of(asked, found.pool)
    relevance = relevance_of(strength, mix)
    evidence = weights_evidence(
        found.candidates, seen, request.now, expected=model.expected_of(found.candidates.product_ids)
    )
    w = weights(relevance=relevance, evidence=evidence)
    dense, nothing = found.candidates.dense, np.zeros(len(relevance))
    scores = Scores(dense=dense, lexical=nothing, relevance=relevance, weights=w, score=relevance * w.weight)
    order = ordered(request, asked, found, scores)
    arm = f"{request.surface}/{segment}/{mix.name}"
    return Recommended(model, seen, context, arm, propensity, strength * mix.vector, found, evidence, scores, order)


def context_of(request: RecommendRequest) -> Context:
    """What feedback about this answer is gathered under."""
    if request.surface == "product":
        return product_context(request.product_ids[0])
    return basket_context(request.product_ids) if request.surface == "basket" else home_context()


def asked_of(request: RecommendRequest, visitor: Visitor) -> tuple[Asked, Items]:
    """The items that the recommendation starts from: the products it is asked for, else what the shopper did last."""
    if request.product_ids:
        items = items_by_product(request.shop_id, request.product_ids)
        return asked_of_products(visitor, items, now=request.now), items
    return asked_of_steps(visitor, now=request.now, most=ITEMS)


def segment_of(visitor: Visitor) -> str:
    """How well the shopper is known: new, few (up to 5 interactions), known."""
    steps = len(visitor.steps)
    return "known" if steps > FEW else "few" if steps else "new"


def ordered(request: RecommendRequest, asked: Asked, found: Found, scores: Scores) -> NDArray[np.int64]:
    """Indices of the candidates, best first; ties by product_id. What the shopper dismissed is left out."""
    owned = asked.owned
    unwanted = owned["id"][~np.isnan(owned["dismissed_at"])]
    if not request.again:
        unwanted = np.concatenate([unwanted, owned["id"][owned["purchases"] > 0]])
    wanted = ~np.isin(found.pool.numbers, unwanted)
    by_id = sorted(np.flatnonzero(wanted).tolist(), key=found.candidates.product_ids.__getitem__)
    order = np.array(by_id, dtype=np.int64)
    best: NDArray[np.int64] = order[np.argsort(-scores.score[order], kind="stable")]
    return best


def token_of(request: RecommendRequest, done: Recommended, page: NDArray[np.int64]) -> RankingToken:
    """Fill the token: what the log needs to know of this answer, and all that is needed to make it again.

    What strategies said came of sums that go on decaying and of lists that are cut: it is in the token, as ŷ.
    """
    candidates, evidence = done.found.candidates, done.evidence
    return RankingToken(
        shop_id=request.shop_id,
        context_kind=done.context.kind,
        context_key=done.context.key,
        query=done.context.text,
        filters=tuple(request.filter_texts),
        k=request.k,
        now=request.now,
        model=done.model.version,
        positions=done.snapshot.positions,
        arm=done.arm,
        propensity=done.propensity,
        items=tuple((candidates.ids[i], candidates.text_versions[i]) for i in page),
        scalars={
            "normaliser": done.scores.weights.normaliser,
            "shop_reward": evidence.shop.reward,
            "shop_exposure": evidence.shop.exposure,
            "shop_breadth": evidence.shop.breadth,
            "products": float(evidence.shop.products),
            "total": float(len(done.order)),
            "recent_reward": evidence.recent_reward_total,
            "own_reward": evidence.context_reward_total,
            "own_exposure": evidence.context_exposure_total,
            "near_reward": 0.0,
            "near_exposure": 0.0,
            **{f"y{candidates.ids[i]}": float(done.scores.relevance[i]) for i in page},
            **{f"v{candidates.ids[i]}": float(candidates.vector_versions[i]) for i in page
               if candidates.vector_versions[i] != candidates.text_versions[i]},
        },
        subject=request.subject,
    )  # fmt: skip


def ranking_block(done: Recommended, token: str) -> dict[str, Any]:
    """The part of an answer that says what it was made from."""
    position = done.snapshot.as_of_position
    return {
        "token": token,
        "version": f"{done.model.version}@{position}",
        "model": done.model.version,
        "as_of_position": position,
        "age_seconds": round(max(done.snapshot.age_seconds, 0.0), 6),
        "strategy": done.arm,
    }


def item(done: Recommended, i: int, rank_: int, display: dict[int, dict[str, Any]], *, explain: bool) -> dict[str, Any]:
    """One item of an answer; `score` is exactly `relevance × weight`."""
    candidates, scores = done.found.candidates, done.scores
    answer = {
        "product_id": candidates.product_ids[i],
        "rank": rank_,
        "score": float(scores.score[i]),
        "relevance": float(scores.relevance[i]),
        "weight": float(scores.weights.weight[i]),
        **display[candidates.ids[i]],
        "description_version": candidates.text_versions[i],
        "vector_version": candidates.vector_versions[i] or None,
    }
    if explain:
        said = {name: float(part) for name, part in zip(NAMES, done.said[i], strict=True) if part}
        answer["explanation"] = explanation(scores, done.evidence, i) | {"strategies": said}
    return answer
