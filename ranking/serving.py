"""search(), to be read top to bottom: encode, retrieve, score, order, answer. Nothing is written on this path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from eventlog.database import snapshot
from feedback.contexts import Context, query_context
from feedback.projections import facts
from feedback.ranking_token import RankingToken, token_sign
from ranking.display import products_display
from ranking.experiments.answering import Merged, merged, models_for, with_second
from ranking.experiments.assignment import Assignment
from ranking.facets import facets_count
from ranking.filters import Facet, Filter, Sort
from ranking.history import History, history_read
from ranking.lexical import idf
from ranking.listing import Listing, candidates_boosted, listing_make
from ranking.neighbours import neighbours_find
from ranking.query_text import QueryText, query_correct, query_read
from ranking.retrieval import (
    SEARCH_CONSUMERS,
    Candidates,
    Snapshot,
    candidates_read,
    published_count,
    snapshot_read,
    term_documents,
)
from ranking.rules.moves import Move
from ranking.rules.selectors import rules_standing
from ranking.scoring import Scores, Taste, score
from ranking.towers import Model, query_vectors
from ranking.weights.decay import decayed
from ranking.weights.evidence import Evidence, ShopEvidence
from ranking.weights.near import neighbour_weight

# sorted by price or date, a product must be about this relevant, compared with the best, to be listed at all
SORTED_SHARE = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """A search as it was asked; `filter_texts` go into the token as they were written."""

    shop_id: int
    q: str
    k: int = 20
    offset: int = 0
    filters: Sequence[Filter] = ()
    filter_texts: Sequence[str] = ()
    facets: Sequence[Facet] = ()
    sort: Sort = "relevance"
    explain: bool = False
    now: float = 0.0  # seconds since 1970: decay and end dates count from it
    subject: UUID | None = None  # reference of the shopper who asks, if known
    shopper: bytes | None = None  # keyed hash of the shopper who asks, by which experiments assign


@dataclass(frozen=True, slots=True)
class Ranked:
    """Scored candidates and all that they were scored from."""

    model: Model
    snapshot: Snapshot
    text: QueryText
    near: list[tuple[int, float]]
    candidates: Candidates
    evidence: Evidence
    scores: Scores
    order: NDArray[np.int64]
    listing: Listing
    history: History | None = None  # of the shopper, where it moved the answer


def search(request: SearchRequest) -> dict[str, Any]:
    """Answer a search as `GET /v1/search` does: ranking, items, facets, total, corrected_query."""
    context = query_context(request.q)
    by_relevance = context is not None and request.sort == "relevance"
    assignment, models = models_for(request.shop_id, shopper=request.shopper, merge=by_relevance)
    vectors = [query_vectors.get(model, request.q) for model in models]
    with snapshot():
        found = [rank(request, context, models[0], vectors[0])]
        if len(models) == 2:  # interleaved
            found.append(rank(request, context, models[1], vectors[1], near=found[0].near))
        listed = merged(
            [(each, each.candidates.ids, each.order.tolist()) for each in found],
            k=request.offset + request.k,
            seed=assignment.draw_seed(context.key) if assignment and context else 0,
        )
        page = listed.order[request.offset : request.offset + request.k]
        token = token_sign(token_of(request, context, listed, page, assignment))
        display = products_display([ranked.candidates.ids[i] for ranked, i in page])
        facets = facets_count(listed.ids, request.facets) if request.facets else {}  # of all that `total` counts
    return {
        "ranking": ranking_block(found, token, assignment),
        "items": [item(ranked, i, rank_, display, explain=request.explain)
                  for rank_, (ranked, i) in enumerate(page, start=request.offset + 1)],
        "facets": facets,
        "total": len(listed.ids),
        "corrected_query": found[0].text.corrected,
    }  # fmt: skip


def rank(
    request: SearchRequest,
    context: Context | None,
    model: Model,
    vector: NDArray[np.float32],
    near: list[tuple[int, float]] | None = None,
) -> Ranked:
    """Retrieve, score and order the candidates of a search, inside the caller's snapshot; `near` where it is known already."""
    shop_id, key = request.shop_id, context.key if context else None
    personal = request.subject is not None and model.is_personal
    text = query_read(shop_id=shop_id, text=request.q)
    seen = snapshot_read(
        shop_id=shop_id,
        kind="query",
        key=key,
        terms=text.terms,
        major=model.major,
        encoder=model.frozen.fingerprint,
        filters=request.filters,
        now=request.now,
        consumers=(*SEARCH_CONSUMERS, facts.name) if personal else SEARCH_CONSUMERS,
    )
    text, documents = text.rarest(seen.term_documents)
    seen = replace(seen, term_documents=documents)
    corrected = query_correct(shop_id=shop_id, text=request.q, query=text, documents=seen.term_documents)
    if corrected is not text:
        text, seen = corrected, replace(seen, term_documents=term_documents(shop_id, corrected.terms))
    near = near_contexts(request, seen, key, model, vector) if near is None else near
    idfs = [idf(published_count(documents), seen.published_documents) for documents in seen.term_documents]
    history, wants = shopper_read(request, seen, model) if personal else (None, None)
    standing = rules_standing(shop_id=shop_id, version=seen.rules, surface="search", key=key, now=request.now)
    read = partial(
        candidates_read,
        shop_id=shop_id,
        snapshot=seen,
        terms=text.terms,
        idf=idfs,
        vector=vector,
        major=model.major,
        near=near,
        key=key,
        filters=request.filters,
        now=request.now,
        wants=wants,
    )
    candidates, ruled = candidates_boosted(standing, read)
    evidence = evidence_of(candidates, seen, request.now, expected=model.expected_of(candidates.product_ids))
    scores = score(
        dense=candidates.dense,
        bm25=candidates.bm25,
        idf=text.largest(idfs),
        head=model.head,
        kind="query",
        evidence=evidence,
        options=seen.options,
        taste=None if candidates.taste is None else Taste(candidates.taste),
    )
    fitting = np.flatnonzero(scores.relevance >= SORTED_SHARE * scores.relevance.max(initial=0.0))
    order = ordered(candidates, scores, request.sort)
    listing = listing_make(ruled, order, fitting, by_score=request.sort == "relevance")
    return Ranked(model, seen, text, near, candidates, evidence, scores, listing.order, listing, history)


def shopper_read(
    request: SearchRequest, seen: Snapshot, model: Model
) -> tuple[History | None, NDArray[np.float64] | None]:
    """What the shopper who asks did, and the vector of what she wants (D,); nothing where that says nothing."""
    assert request.subject is not None and model.shopper is not None  # noqa: PT018
    history = history_read(
        shop_id=request.shop_id, reference=request.subject, major=model.major, positions=seen.positions
    )
    wants = model.shopper.vector(history)
    return (None, None) if wants is None else (history, wants)


def near_contexts(
    request: SearchRequest, seen: Snapshot, key: str | None, model: Model, vector: NDArray[np.float32]
) -> list[tuple[int, float]]:
    """Near contexts and the share of its evidence that each lends: joined where known, searched for where the query is new."""
    if key is None:
        return []
    if seen.context is not None and seen.context[5]:
        found = seen.neighbours
    else:
        own = seen.context[0] if seen.context else None  # fed, but not related yet
        found = neighbours_find(
            shop_id=request.shop_id,
            key=key,
            text=request.q,
            model=model,
            vector=vector,
            now=request.now,
            own=own,
            options=seen.options,
        )
    if not found:
        return []
    ids, similarities, rewards = zip(*found, strict=True)
    return list(zip(ids, neighbour_weight(similarities, rewards, seen.options).tolist(), strict=True))


def evidence_of(candidates: Candidates, seen: Snapshot, now: float, *, expected: NDArray[np.float64]) -> Evidence:
    """Gather the evidence of a search, decayed to its time; `expected` (N,) is what the model expects of exposure."""
    reward, exposure, at, breadth, breadth_at = seen.shop or (0.0, 0.0, now, 0.0, now)
    own_reward, own_exposure, recent_reward, own_at = seen.context[1:5] if seen.context else (0.0, 0.0, 0.0, now)
    options = seen.options
    half_life = options.context_half_life_seconds
    return Evidence(
        product_reward=candidates.product_reward,
        product_exposure=candidates.product_exposure * expected,
        product_breadth=candidates.product_breadth,
        context_reward=candidates.context_reward,
        context_exposure=candidates.context_exposure,
        recent_reward=candidates.recent_reward,
        recent_exposure=candidates.recent_exposure,
        near_reward=candidates.near_reward,
        near_exposure=candidates.near_exposure,
        operator=candidates.operator,
        context_reward_total=float(decayed(own_reward, own_at, now, half_life)),
        context_exposure_total=float(decayed(own_exposure, own_at, now, half_life)),
        recent_reward_total=float(decayed(recent_reward, own_at, now, options.recent_half_life_seconds)),
        near_reward_total=candidates.near_totals[0],
        near_exposure_total=candidates.near_totals[1],
        shop=ShopEvidence(
            reward=float(decayed(reward, at, now, options.global_half_life_seconds)),
            exposure=float(decayed(exposure, at, now, options.global_half_life_seconds)),
            breadth=float(decayed(breadth, breadth_at, now, options.breadth_half_life_seconds)),
            products=seen.documents,
        ),
    )


def ordered(candidates: Candidates, scores: Scores, sort: Sort) -> NDArray[np.int64]:
    """Indices of the candidates, best first; ties by product_id. Other sorts list only what is relevant enough."""
    by_id = sorted(range(len(candidates.ids)), key=candidates.product_ids.__getitem__)
    order = np.array(by_id, dtype=np.int64)
    if sort == "relevance" or not by_id:
        best: NDArray[np.int64] = order[np.argsort(-scores.score[order], kind="stable")]
        return best
    relevant = order[scores.relevance[order] >= SORTED_SHARE * scores.relevance.max()]
    if sort == "newest":
        keys = [-released if released is not None else np.inf for released in candidates.released_at]
    else:
        sign = 1.0 if sort == "price" else -1.0
        keys = [sign * price if price is not None else np.inf for price in candidates.price]
    listed: NDArray[np.int64] = relevant[np.argsort(np.array(keys)[relevant], kind="stable")]
    return listed


def token_of(
    request: SearchRequest,
    context: Context | None,
    listed: Merged[Ranked],
    page: Sequence[tuple[Ranked, int]],
    assignment: Assignment | None,
) -> RankingToken:
    """Fill the token: what the log needs to know of this answer, and all that is needed to make it again."""
    ranked, *second = listed.rankings
    evidence = ranked.evidence
    stale = {
        f"v{each.candidates.ids[i]}": float(each.candidates.vector_versions[i])
        for each, i in page
        if each.candidates.vector_versions[i] != each.candidates.text_versions[i]
    }
    scalars = {
        "shop_reward": evidence.shop.reward,
        "shop_exposure": evidence.shop.exposure,
        "shop_breadth": evidence.shop.breadth,
        "products": float(evidence.shop.products),
        "total": float(len(listed.ids)),
        "recent_reward": evidence.recent_reward_total,
        "own_reward": evidence.context_reward_total,
        "own_exposure": evidence.context_exposure_total,
        "near_reward": evidence.near_reward_total,
        "near_exposure": evidence.near_exposure_total,
        **stale,
        **own_scalars(ranked),
        **{name: at for each, i in page for name, at in each.listing.scalars(each.candidates, [i]).items()},
    }
    for each in second:
        scalars = with_second(scalars, model=each.model.version, own=own_scalars(each))
    return RankingToken(
        shop_id=request.shop_id,
        context_kind="query",
        context_key=context.key if context else None,
        query=request.q,
        terms=ranked.text.groups,
        filters=tuple(request.filter_texts),
        sort=request.sort,
        offset=request.offset,
        k=request.k,
        now=request.now,
        model=ranked.model.version,
        positions={name: at for each in listed.rankings for name, at in each.snapshot.positions.items()},
        arm="search",
        rules_version=ranked.listing.ruled.standing.version,
        items=tuple((each.candidates.ids[i], each.candidates.text_versions[i]) for each, i in page),
        neighbours=tuple(ranked.near),
        scalars=scalars,
        subject=request.subject,
        experiment=assignment.label if assignment else None,
        teams=listed.teams,
    )


def own_scalars(ranked: Ranked) -> dict[str, float]:
    """What only this search knew and depends on its model: the normaliser over all candidates; of the shopper's taste, its
    centre, and whose vectors were not of the newest description."""
    normaliser = {"normaliser": ranked.scores.weights.normaliser}
    if ranked.history is None or ranked.scores.personal is None:
        return normaliser
    odd = {f"h{ago}": float(version) for ago, version in ranked.history.exceptions.items()}
    return normaliser | {"taste_centre": ranked.scores.centre, **odd}


def ranking_block(found: Sequence[Ranked], token: str, assignment: Assignment | None) -> dict[str, Any]:
    """The part of an answer that says what it was made from."""
    ranked, block = found[0], assignment.block if assignment else None
    position = min(each.snapshot.as_of_position for each in found)
    return {
        "token": token,
        "version": f"{ranked.model.version}@{position}",
        "model": ranked.model.version,
        "as_of_position": position,
        "age_seconds": round(max(ranked.snapshot.age_seconds, 0.0), 6),
        "strategy": "search",
        **({} if block is None else {"experiment": block}),
    }


def item(ranked: Ranked, i: int, rank_: int, display: dict[int, dict[str, Any]], *, explain: bool) -> dict[str, Any]:
    """One item of an answer; `score` is exactly `relevance × weight`."""
    candidates, scores = ranked.candidates, ranked.scores
    answer = {
        "product_id": candidates.product_ids[i],
        "rank": rank_,
        "score": float(scores.score[i]),
        "relevance": float(scores.relevance[i]),
        "weight": float(scores.weights.weight[i]),
        **display[candidates.ids[i]],
        "description_version": candidates.text_versions[i],  # the one that was scored
        "vector_version": candidates.vector_versions[i] or None,
    }
    if explain:
        answer["explanation"] = explanation(scores, ranked.evidence, i, ranked.listing.moves.get(i, ()))
    return answer


def explanation(scores: Scores, evidence: Evidence, i: int, moves: Sequence[Move] = ()) -> dict[str, Any]:
    """Why a product stands where it stands: the two kinds of relevance, the three factors of its weight, and on what basis;
    what rules and relations did. For a shopper whose taste counts, also what that added to the logit of ŷ.
    """
    dense = float(scores.dense[i])
    return {
        "dense": None if np.isnan(dense) else dense,
        "lexical": float(scores.lexical[i]),
        "weight": {
            "global": float(scores.weights.global_[i]),
            "query": float(scores.weights.query[i]),
            "operator": float(scores.weights.operator[i]),
        },
        "events": round(float(evidence.context_reward[i] + evidence.context_exposure[i]), 3),
        "basis": scores.weights.basis,
        "rules": [move.as_dict() for move in moves],
        **({} if scores.personal is None else {"personal": float(scores.personal[i])}),
    }
