"""Reads of ranking for operators: the factors of a product's weight, the model versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from eventlog.consume import checkpoint_read
from eventlog.database import query as run
from eventlog.database import snapshot
from eventlog.errors import FreshetError
from feedback.contexts import query_context
from feedback.selectors import closed_positions_of_erased
from ranking.cadence import cadence_read
from ranking.erasure import trained_on
from ranking.learning.ranges import needed
from ranking.privacy import Ledger, ledger_read
from ranking.registry import ModelVersion, model_in_shadow, model_versions
from ranking.rules.selectors import boost_everywhere
from ranking.serving import SearchRequest, rank
from ranking.signals import IN_FORCE, options_read
from ranking.towers import query_vectors, serving
from ranking.training import clicked_count, consumer, train_every
from ranking.vector_state import rollout_read
from ranking.weights.decay import decayed
from ranking.weights.evidence import Evidence, ShopEvidence, no_evidence
from ranking.weights.formula import weights

_PRODUCT = f"""
SELECT coalesce(w.reward, 0), coalesce(w.exposure, 0), coalesce(w.at, 0), coalesce(w.breadth, 0), coalesce(w.breadth_at, 0),
       s.reward, s.exposure, s.at, coalesce(s.breadth, 0), coalesce(s.breadth_at, 0),
       coalesce((SELECT documents FROM ranking_lexicon WHERE shop_id = %(shop)s), 0),
       coalesce((SELECT o.weight FROM (SELECT weight, until FROM ranking_operatorweight
                                        WHERE shop_id = %(shop)s AND product_id = %(product)s AND context_key = ''
                                        ORDER BY position DESC LIMIT 1) o WHERE o.until IS NULL OR o.until > %(now)s), 1),
       {IN_FORCE}
  FROM (VALUES (1)) one
  LEFT JOIN ranking_productweight w ON w.shop_id = %(shop)s AND w.product_id = %(product)s
  LEFT JOIN ranking_shopweight s ON s.shop_id = %(shop)s"""


FORGOTTEN = ("accuracy", "ndcg", "mrr")  # figures that are better when they are larger


class ProductNotRanked(FreshetError):
    """This product is not among the candidates of this query: it is unknown, retired, or nothing finds it."""

    code = "product_not_ranked"
    status = 404


class ProductIdMissing(FreshetError):
    """Say which product: product_id."""

    code = "missing_field"


def weights_answer(*, shop_id: int, product_id: str, query: str | None, now: float) -> dict[str, Any]:
    """The three factors of a product's weight, for a query or for all, and the evidence they come from."""
    if not product_id or "\0" in product_id:
        raise ProductIdMissing(field="product_id")
    if query is not None:
        return _in_query(shop_id, product_id, query, now)
    return _everywhere(shop_id, product_id, now)


def _everywhere(shop_id: int, product_id: str, now: float) -> dict[str, Any]:
    found = run(_PRODUCT, {"shop": shop_id, "product": product_id, "now": now}).fetchone()
    assert found is not None
    (reward, exposure, at, breadth, breadth_at, shop_reward, shop_exposure, shop_at, shop_breadth, shop_breadth_at,
     products, operator, signals) = found  # fmt: skip
    options = options_read(signals)
    half_life = options.global_half_life_seconds
    shop = ShopEvidence(
        reward=float(decayed(shop_reward or 0.0, shop_at or now, now, half_life)),
        exposure=float(decayed(shop_exposure or 0.0, shop_at or now, now, half_life)),
        breadth=float(decayed(shop_breadth, shop_breadth_at, now, options.breadth_half_life_seconds)),
        products=products,
    )
    none = no_evidence(1)
    evidence = Evidence(
        product_reward=np.array([decayed(reward, at, now, half_life)]),
        product_exposure=decayed(exposure, at, now, half_life) * serving.model(shop_id).expected_of([product_id]),
        product_breadth=np.array([decayed(breadth, breadth_at, now, options.breadth_half_life_seconds)]),
        context_reward=none.context_reward,
        context_exposure=none.context_exposure,
        near_reward=none.near_reward,
        near_exposure=none.near_exposure,
        operator=np.array([operator * boost_everywhere(shop_id=shop_id, product_id=product_id, now=now)]),
        shop=shop,
    )
    # with ŷ = 0 the factor g is what it is before it meets the odds of a query
    return _answer(weights(relevance=np.zeros(1), evidence=evidence, options=options), evidence, 0)


def _in_query(shop_id: int, product_id: str, text: str, now: float) -> dict[str, Any]:
    request = SearchRequest(shop_id=shop_id, q=text, now=now)
    model = serving.model(shop_id)
    vector = query_vectors.get(model, text)
    with snapshot():
        ranked = rank(request, query_context(text), model, vector)
    if product_id not in ranked.candidates.product_ids:
        raise ProductNotRanked(field="product_id")
    return _answer(ranked.scores.weights, ranked.evidence, ranked.candidates.product_ids.index(product_id))


def _answer(of: Any, evidence: Evidence, i: int) -> dict[str, Any]:
    return {
        "global": float(of.global_[i]),
        "query": float(of.query[i]),
        "operator": float(of.operator[i]),
        "weight": float(of.weight[i]),
        "evidence": {
            "product_reward": float(evidence.product_reward[i]),
            "product_exposure": float(evidence.product_exposure[i]),
            "query_reward": float(evidence.context_reward[i]),
            "query_exposure": float(evidence.context_exposure[i]),
            "near_reward": float(evidence.near_reward[i]),
            "near_exposure": float(evidence.near_exposure[i]),
        },
    }


def learning_answer(*, shop_id: int) -> dict[str, Any]:
    """How often a shop learns, how far it is towards its next version, and what is in shadow."""
    cadence, after = cadence_read(shop_id=shop_id), checkpoint_read(consumer(shop_id))
    shadow = model_in_shadow(shop_id=shop_id)
    return {
        "learning": cadence.learning,
        "refused_in_a_row": cadence.refused_in_a_row,
        "slowdown": cadence.slowdown,
        "waiting": clicked_count(shop_id=shop_id, after_position=after),
        "wanted": needed(cadence.slowdown * train_every(after)),
        "shadow": None if shadow is None else shadow_answer(shadow),
    }


def shadow_answer(shadow: ModelVersion) -> dict[str, Any]:
    """How far a version is through its shadow."""
    of = shadow.shadow_click_throughs or 0
    closed = clicked_count(shop_id=shadow.shop_id, after_position=shadow.shadow_after or 0, limit=of)
    return {"version": shadow.version, "closed": closed, "click_throughs": of}


def models_answer(*, shop_id: int) -> dict[str, Any]:
    """Every model version as `GET /v1/models` shows it; `epsilon` is null of versions trained without privacy noise."""
    versions = model_versions(shop_id=shop_id)
    erased = closed_positions_of_erased(shop_id=shop_id)
    rollout = rollout_read(shop_id=shop_id)
    return {
        "learning": learning_answer(shop_id=shop_id),
        "privacy": _privacy_answer(ledger_read(shop_id=shop_id)),
        "serving": next((each.version for each in versions if each.state == "serving"), None),
        "rollout": asdict(rollout) if rollout else None,
        "versions": [
            {
                "version": each.version,
                "parent": each.parent,
                "from_position": each.from_position,
                "to_position": each.to_position,
                "artefact": each.artefact,
                "metrics": each.metrics,
                "epsilon": each.metrics.get("epsilon"),
                "state": each.state,
                "reason": each.reason,
                "erased": trained_on(each, erased),
                "forgetting": forgetting(each.metrics),
            }
            for each in versions
        ],
    }


def forgetting(metrics: Mapping[str, Any]) -> dict[str, float] | None:
    """What a version lost on click-throughs from before its range, by figure: what served minus the version.

    Below 0 it knows them better; None where there were none to ask.
    """
    gate = metrics.get("gate", {})
    before, after = gate.get("serving_past", {}), gate.get("candidate_past", {})
    lost = {name: value - after[name] for name, value in before.items() if name in FORGOTTEN and value is not None}
    return lost or None


def _privacy_answer(ledger: Ledger) -> dict[str, Any] | None:
    """What the shop asks of privacy and what was spent; nothing while no noise was ever asked for."""
    if ledger.privacy.epsilon is None and not ledger.spent:
        return None
    return {
        "epsilon": ledger.privacy.epsilon,
        "delta": ledger.privacy.delta,
        "budget": ledger.privacy.budget,
        "spent": ledger.total,
        "refusal": ledger.refusal,
    }
