"""recommend(), to be read top to bottom: context, arm, candidates, score, variety, answer. Nothing is written on this path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from eventlog.database import snapshot
from feedback.contexts import Context, basket_context, home_context, product_context
from feedback.ranking_token import RankingToken, token_sign
from ranking.arm_choice import Chosen, mix_choose, mix_for
from ranking.bandit.choosing import State
from ranking.bandit.state import bandit_state
from ranking.display import products_display
from ranking.diversity_state import diversity_kept
from ranking.experiments.answering import Merged, merged, with_second
from ranking.experiments.assignment import Assignment, running
from ranking.filters import Filter
from ranking.projections.vectors import embedding_table
from ranking.recommendation_list import Shelf, shelf_make
from ranking.recommendation_scoring import Reading, Scored, scored_read
from ranking.retrieval import Snapshot, snapshot_read
from ranking.rules.relations import families_of
from ranking.rules.selectors import rules_standing
from ranking.scoring import Scores
from ranking.serving import explanation
from ranking.strategies.candidates import Found
from ranking.strategies.depth import depth_of
from ranking.strategies.mixes import Surface
from ranking.strategies.mixing import Mix
from ranking.towers import Model, serving
from ranking.visits.asked import Asked
from ranking.visits.reading import Items, Visitor, asked_of_products, asked_of_steps, items_by_product, visitor_read
from ranking.visits.sizes import ITEMS
from ranking.weights.evidence import Evidence

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
    shopper: bytes | None = None  # pseudonym of the shopper who asks, known before she did anything
    again: bool = True  # whether what the shopper bought may be shown again
    mix: Mix | None = None  # instead of the one in force


@dataclass(frozen=True, slots=True)
class Recommended:
    """Scored candidates and all that they were scored from."""

    model: Model
    snapshot: Snapshot
    context: Context
    arm: str
    chosen: Chosen
    strength: NDArray[np.float64]  # what each strategy says of each candidate, (N, 2K)
    found: Found
    evidence: Evidence
    scores: Scores
    shelf: Shelf

    @property
    def order(self) -> NDArray[np.int64]:
        """Indices of the candidates as they are listed."""
        return self.shelf.listing.order


@dataclass(frozen=True, slots=True)
class Variant:
    """What an experiment changes about a recommendation."""

    mix: Mix | None = None
    strength: float | None = None  # of the list's variety


PLAIN = Variant()


def recommend(request: RecommendRequest) -> dict[str, Any]:
    """Answer `GET /v1/recommendations`: ranking, items, total."""
    model = serving.model(request.shop_id)
    assignment, variants = variants_for(request)
    state = bandit_state(request.shop_id)  # in a snapshot of its own, if it has to be read
    with snapshot():
        done = [rank(request, model, state, variant) for variant in variants]
        listed = merged(
            [(each, each.found.candidates.ids, each.order.tolist()) for each in done],
            k=request.k,
            seed=assignment.draw_seed(done[0].context.key) if assignment else 0,
        )
        page = listed.order[: request.k]
        token = token_sign(token_of(request, listed, page, assignment))
        display = products_display([each.found.candidates.ids[i] for each, i in page])
    return {
        "ranking": ranking_block(request, done[0], token, assignment),
        "items": [
            item(each, i, rank_, display, explain=request.explain) for rank_, (each, i) in enumerate(page, start=1)
        ],
        "total": len(listed.ids),
    }


def variants_for(request: RecommendRequest) -> tuple[Assignment | None, list[Variant]]:
    """The experiment that the shopper is in, and her variant of it, or the two that are interleaved.

    It counts in none where a variant names a mix that the surface does not have (any more).
    """
    assignment = None if request.mix else running(request.shop_id, request.surface, request.shopper)
    if assignment is None:
        return None, [Variant(mix=request.mix)]
    asked = [assignment.settings] if assignment.against is None else [assignment.settings, assignment.against]
    found = []
    for settings in asked:
        name = settings.get("arm")
        mix = mix_for(shop_id=request.shop_id, surface=request.surface, name=name) if name else None
        if name and mix is None:
            return None, [Variant()]
        found.append(Variant(mix, settings.get("diversity")))
    return assignment, found


def rank(request: RecommendRequest, model: Model, state: State, variant: Variant = PLAIN) -> Recommended:
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
    table = embedding_table(request.shop_id, model.major) if seen.has_vectors else None
    asked, items = asked_of(request, visitor, table)
    segment = segment_of(visitor)
    chosen = chosen_for(request, segment, state, variant)
    standing = rules_standing(
        shop_id=request.shop_id, version=seen.rules, surface=request.surface, key=None, now=request.now
    )
    reading = Reading(
        shop_id=request.shop_id,
        product_ids=request.product_ids,
        filters=request.filters,
        depth=depth_of(request.k),
        now=request.now,
        standing=standing,
        seen=seen,
        model=model,
        asked=asked,
        items=items,
    )
    variety = diversity_kept(request.shop_id, request.surface)

    def listed(wanted: Sequence[str]) -> tuple[Scored, Shelf, Sequence[str]]:
        scored = scored_read(reading, chosen.mix, wanted)
        shelf, awaited = shelf_make(
            asked=asked,
            found=scored.found,
            ruled=scored.ruled,
            scores=scored.scores,
            k=request.k,
            again=request.again,
            variety=variety if variant.strength is None else replace(variety, strength=variant.strength),
            table=table,
            taken=() if standing.is_idle else families_of(request.shop_id, request.product_ids),
        )
        return scored, shelf, awaited

    scored, shelf, awaited = listed(())
    if awaited:  # by products that are listed
        scored, shelf, _ = listed(awaited)
    arm = f"{request.surface}/{segment}/{chosen.mix.name}"
    return Recommended(
        model, seen, context, arm, chosen, scored.strength, scored.found, scored.evidence, scored.scores, shelf
    )


def chosen_for(request: RecommendRequest, segment: str, state: State, variant: Variant) -> Chosen:
    """The variant's mix, else what the surface's bandit chooses."""
    if variant.mix is not None:
        return Chosen(variant.mix, 1.0, None)
    return mix_choose(
        state,
        shop_id=request.shop_id,
        surface=request.surface,
        segment=segment,
        subject=request.subject,
        now=request.now,
    )


def context_of(request: RecommendRequest) -> Context:
    """What feedback about this answer is gathered under."""
    if request.surface == "product":
        return product_context(request.product_ids[0])
    return basket_context(request.product_ids) if request.surface == "basket" else home_context()


def asked_of(request: RecommendRequest, visitor: Visitor, table: str | None) -> tuple[Asked, Items]:
    """The items that the recommendation starts from: the products it is asked for, else what the shopper did last."""
    if request.product_ids:
        items = items_by_product(request.shop_id, request.product_ids, table=table)
        return asked_of_products(visitor, items, now=request.now), items
    return asked_of_steps(visitor, shop_id=request.shop_id, now=request.now, most=ITEMS, table=table)


def segment_of(visitor: Visitor) -> str:
    """How well the shopper is known: new, few (up to 5 interactions), known."""
    steps = len(visitor.steps)
    return "known" if steps > FEW else "few" if steps else "new"


def token_of(
    request: RecommendRequest,
    listed: Merged[Recommended],
    page: Sequence[tuple[Recommended, int]],
    assignment: Assignment | None,
) -> RankingToken:
    """Fill the token: what the log needs to know of this answer, and all that is needed to make it again.

    What strategies said came of sums that go on decaying and of lists that are cut: it is in the token, as ŷ.
    """
    done, *second = listed.rankings
    evidence = done.evidence
    scalars = {
        "normaliser": done.scores.weights.normaliser,
        "shop_reward": evidence.shop.reward,
        "shop_exposure": evidence.shop.exposure,
        "shop_breadth": evidence.shop.breadth,
        "products": float(evidence.shop.products),
        "total": float(len(listed.ids)),
        "recent_reward": evidence.recent_reward_total,
        "own_reward": evidence.context_reward_total,
        "own_exposure": evidence.context_exposure_total,
        "near_reward": 0.0,
        "near_exposure": 0.0,
        **{name: value for each, i in page for name, value in item_scalars(each, i).items()},
    }
    for each in second:
        scalars = with_second(scalars, model=each.model.version, own={"normaliser": each.scores.weights.normaliser})
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
        propensity=done.chosen.propensity,
        seed=done.chosen.seed,
        rules_version=done.shelf.listing.ruled.standing.version,
        items=tuple((each.found.candidates.ids[i], each.found.candidates.text_versions[i]) for each, i in page),
        scalars=scalars,
        subject=request.subject,
        experiment=assignment.label if assignment else None,
        teams=listed.teams,
    )


def item_scalars(done: Recommended, i: int) -> dict[str, float]:
    """What the token says of one item: its ŷ, and where not the newest description was compared or seen by rules."""
    candidates = done.found.candidates
    id_, version = candidates.ids[i], candidates.vector_versions[i]
    return {
        f"y{id_}": float(done.scores.relevance[i]),
        **({} if version == candidates.text_versions[i] else {f"v{id_}": float(version)}),
        **done.shelf.listing.scalars(candidates, [i]),
    }


def ranking_block(
    request: RecommendRequest, done: Recommended, token: str, assignment: Assignment | None
) -> dict[str, Any]:
    """The part of an answer that says what it was made from."""
    position = done.snapshot.as_of_position
    block = assignment.block if assignment else None
    return {
        "token": token,
        "version": f"{done.model.version}@{position}",
        "model": done.model.version,
        "as_of_position": position,
        "age_seconds": round(max(done.snapshot.age_seconds, 0.0), 6),
        "strategy": done.arm,
        **({"diversity_cost": done.shelf.cost} if request.explain else {}),
        **({} if block is None else {"experiment": block}),
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
        said = done.chosen.mix.parts(done.strength[i])
        moves = done.shelf.listing.moves.get(i, ())
        answer["explanation"] = explanation(scores, done.evidence, i, moves) | {"strategies": said}
    return answer
