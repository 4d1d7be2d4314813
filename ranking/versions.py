"""Making an old answer again: exactly its items, scored as of the positions of the log that it was made from.

Retrieval is not repeated (an HNSW index built anew finds other neighbours). Feedback is read from its insert-only facts,
descriptions and vectors by their versions, statistics from their publications; what only retrieval knew, the normalisers
over all candidates, is in the token, and so is the order: ties by product_id, and no difference of 1e-9 turns two round.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from time import monotonic, sleep
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from eventlog.database import rows
from eventlog.errors import FreshetError
from feedback.privacy import reference_known
from feedback.ranking_token import RankingToken, token_read
from ranking.experiments.answering import block_of, of_second, second_of
from ranking.history import history_read
from ranking.lexical import document_terms, idf, saturate
from ranking.old_items import AnswerNotReady, OldItem, items_then
from ranking.past_offers import offers_at
from ranking.projections.fact_sql import EXPOSURE, SHOWN
from ranking.query_text import QueryText
from ranking.retrieval import MEAN_LENGTH
from ranking.rules.moves import rule_moves
from ranking.rules.rule import Rule, boost_of
from ranking.rules.selectors import rules_then
from ranking.scoring import Scores, Taste, score
from ranking.serving import explanation
from ranking.signals import signals_at
from ranking.towers import Model, model_at, query_vectors
from ranking.weights.decay import MOST_HALF_LIVES
from ranking.weights.evidence import Evidence, ShopEvidence
from ranking.weights.formula import weights
from ranking.weights.options import WeightOptions

Floats = NDArray[np.float64]
WAIT_SECONDS = 2.0


class ShopperWasErased(FreshetError):
    """This answer was made for a shopper who has been erased."""

    code = "erased"
    status = 410


def ranking_again(*, shop_id: int, token: str) -> dict[str, Any]:
    """Make the answer of a token again: the same items, order and scores (to 1e-4). It may take a while.

    Raises BadToken, ShopperWasErased, AnswerNotReady.
    """
    read = token_read(token, shop_id)
    if read.subject is not None and not reference_known(shop_id=shop_id, reference=read.subject):
        raise ShopperWasErased
    _await_history(read)
    items = items_then(read)
    ruled = ruled_then(read, items)
    first, second = _scored(read, items, ruled), second_of(read)
    scored = [first] * len(items)
    if second is not None:  # interleaved: each item as the ranking scored it that it is from
        of = (first, _scored(second, items, ruled))
        scored = [of[of_second(read, place)] for place in range(len(items))]
    return {
        "ranking": {
            "token": token,
            "version": f"{read.model}@{read.as_of_position}",
            "model": read.model,
            "as_of_position": read.as_of_position,
            "age_seconds": 0.0,
            "strategy": read.arm or "search",
            **block_of(read),
        },
        "items": _answered(read, items, scored, ruled),
        "facets": {},
        "total": int(read.scalars["total"]),
        "corrected_query": None,
    }


def ruled_then(read: RankingToken, items: Sequence[OldItem]) -> list[list[Rule]]:
    """The rules that meant each item."""
    is_search = read.context_kind in (None, "query")
    return rules_then(
        shop_id=read.shop_id,
        version=read.rules_version,
        surface="search" if is_search else (read.arm or "").split("/")[0],
        key=read.context_key if is_search else None,
        now=read.now,
        shown=[item.ruled for item in items],
    )


def _scored(read: RankingToken, items: Sequence[OldItem], ruled: Sequence[Sequence[Rule]]) -> tuple[Scores, Evidence]:
    model = model_at(read.shop_id, read.model)
    options = signals_at(shop_id=read.shop_id, position=read.positions.get("weights", 0))
    boosted = np.array([boost_of(rules) for rules in ruled], dtype=np.float64)
    evidence = _evidence(read, items, model, options, boosted)
    scores = _search_scores if read.context_kind in (None, "query") else _recommendation_scores
    return scores(read, items, evidence, model, options), evidence


def _search_scores(
    read: RankingToken, items: Sequence[OldItem], evidence: Evidence, model: Model, options: WeightOptions
) -> Scores:
    idfs = _idfs(read)
    vectors = _vectors(read, items, model)
    return score(
        dense=_cosines(query_vectors.get(model, read.query or "").astype(np.float64), vectors, items),
        bm25=_bm25(read, items, idfs),
        idf=QueryText(read.terms).largest(idfs),
        head=model.head,
        kind="query",
        evidence=evidence,
        options=options,
        normaliser=read.scalars["normaliser"],
        taste=_taste(read, vectors, items, model),
    )


def _recommendation_scores(
    read: RankingToken, items: Sequence[OldItem], evidence: Evidence, model: Model, options: WeightOptions
) -> Scores:
    """ŷ is in the token: what strategies said came of sums that went on decaying since, and of lists that were cut."""
    y = np.array([read.scalars[f"y{item.id}"] for item in items], dtype=np.float64)
    w = weights(relevance=y, evidence=evidence, options=options, normaliser=read.scalars["normaliser"])
    unknown = np.full(len(items), np.nan)
    return Scores(dense=unknown, lexical=np.zeros(len(items)), relevance=y, weights=w, score=y * w.weight)


def _answered(
    read: RankingToken,
    items: Sequence[OldItem],
    scored: Sequence[tuple[Scores, Evidence]],
    ruled: Sequence[Sequence[Rule]],
) -> list[dict[str, Any]]:
    offers = offers_at(read, [item.product_id for item in items])
    return [
        {
            "product_id": items[i].product_id,
            "rank": read.offset + 1 + i,
            "score": float(scores.score[i]),
            "relevance": float(scores.relevance[i]),
            "weight": float(scores.weights.weight[i]),
            "title": items[i].content["title"],
            "brand": items[i].content.get("brand"),
            "category": list(items[i].content.get("category") or []),
            "price": offers[items[i].product_id].get("price"),
            "currency": offers[items[i].product_id].get("currency"),
            "in_stock": offers[items[i].product_id].get("in_stock", True),
            "image_url": items[i].content.get("image_url"),
            "description_version": items[i].version,
            "vector_version": items[i].vector_version or None,
            "explanation": explanation(scores, evidence, i, rule_moves(ruled[i], pins=read.sort == "relevance")),
        }
        for i, (scores, evidence) in enumerate(scored)
    ]


def _await_history(read: RankingToken) -> None:
    """Wait until the history holds all that the answer was made from: it is drained after what searches read."""
    wanted = read.positions.get("weights", 0)
    deadline = monotonic() + WAIT_SECONDS
    while (
        not rows("SELECT 1 FROM eventlog_checkpoint WHERE consumer = 'facts' AND position >= %s", [wanted]) and wanted
    ):
        if monotonic() > deadline:
            raise AnswerNotReady
        sleep(0.02)


def _vectors(read: RankingToken, items: Sequence[OldItem], model: Model) -> dict[str, Floats]:
    """Vectors of the versions that were compared then, by product_id, (D,) each, where there was one."""
    stored = rows(
        """SELECT v.product_id, w.vector::text FROM unnest(%s::text[], %s::integer[]) AS g (product_id, version)
             JOIN ranking_descriptionvector v
               ON v.shop_id = %s AND v.product_id = g.product_id AND v.description_version = g.version AND v.major = %s
             JOIN ranking_vector w ON w.hash = v.hash""",
        [[item.product_id for item in items], [item.vector_version for item in items], read.shop_id, model.major],
    )
    return {product_id: np.array(orjson.loads(text), dtype=np.float64) for product_id, text in stored}


def _cosines(vector: Floats, of: Mapping[str, Floats], items: Sequence[OldItem]) -> Floats:
    """Cosines of items with a unit vector (D,), (N,); NaN where there was none of the item."""
    return np.array([of[each.product_id] @ vector if each.product_id in of else np.nan for each in items], np.float64)


def _taste(read: RankingToken, vectors: Mapping[str, Floats], items: Sequence[OldItem], model: Model) -> Taste | None:
    """What the shopper's taste said of these items, from what she had done by then; None where it said nothing."""
    centre = read.scalars.get("taste_centre")
    if centre is None or read.subject is None or model.shopper is None:
        return None
    odd = {int(name[1:]): int(version) for name, version in read.scalars.items() if _EXCEPTION.fullmatch(name)}
    history = history_read(
        shop_id=read.shop_id, reference=read.subject, major=model.major, positions=read.positions, exceptions=odd
    )
    wants = model.shopper.vector(history)
    return None if wants is None else Taste(_cosines(wants, vectors, items), centre)


_EXCEPTION = re.compile(r"h[0-9]+")  # among a token's scalars: a step of the history, by how many interactions ago


_DOCUMENTS = """
SELECT coalesce((SELECT t.documents FROM ranking_termpublication t
                  WHERE t.shop_id = %s AND t.term = q.term AND t.position <= %s ORDER BY t.position DESC LIMIT 1), 0)
  FROM unnest(%s::text[]) WITH ORDINALITY AS q (term, n) ORDER BY q.n"""
_PUBLICATION = """
SELECT documents, mean_length FROM ranking_publication
 WHERE shop_id = %s AND position <= %s ORDER BY position DESC LIMIT 1"""


def _publication(read: RankingToken) -> tuple[int, float]:
    found = rows(_PUBLICATION, [read.shop_id, read.positions.get("postings", 0)])
    documents, mean_length = found[0] if found else (0, 0.0)
    return documents, mean_length or MEAN_LENGTH  # as snapshot_read has it


def _idfs(read: RankingToken) -> list[float]:
    documents, _ = _publication(read)
    counts = rows(_DOCUMENTS, [read.shop_id, read.positions.get("postings", 0), QueryText(read.terms).terms])
    return [idf(count, documents) for (count,) in counts]


def _bm25(read: RankingToken, items: Sequence[OldItem], idfs: Sequence[float]) -> Floats:
    _, mean_length = _publication(read)
    # a term may be in the query twice: two words of one stem, a word that was corrected to another one of the query
    weight = list(zip(QueryText(read.terms).terms, idfs, strict=True))
    sums = []
    for item in items:
        frequencies, length = document_terms(item.content)
        sums.append(
            sum(idf_ * saturate(frequencies[term], length, mean_length) for term, idf_ in weight if term in frequencies)
        )
    return np.array(sums, dtype=np.float64)


# rewards and exposures of products, each impression by the curve then in force; up to a position, decayed to a moment
_FACTS = f"""
WITH fact AS (
  SELECT i.context_key, i.product_id, v.value AS reward, 0::double precision AS exposure, i.at
    FROM feedback_interaction i
    JOIN unnest(%(kinds)s::text[], %(values)s::double precision[]) AS v (kind, value) ON v.kind = i.kind
   WHERE i.shop_id = %(shop)s AND i.position <= %(position)s AND i.product_id = ANY(%(products)s::text[])
     AND (%(keys)s::text[] IS NULL OR (i.context_kind = %(kind)s AND i.context_key = ANY(%(keys)s::text[])))
  UNION ALL
  SELECT m.context_key, s.product_id, 0,
         {EXPOSURE}, m.at
    FROM {SHOWN}
   WHERE m.shop_id = %(shop)s AND m.position <= %(position)s AND m.items && %(products)s::text[]
     AND s.product_id = ANY(%(products)s::text[])
     AND (%(keys)s::text[] IS NULL OR (m.context_kind = %(kind)s AND m.context_key = ANY(%(keys)s::text[])))
), left_of AS (
  SELECT *, power(2.0, -least(greatest(%(now)s - extract(epoch FROM at)::double precision, 0) / %(half_life)s,
                              {MOST_HALF_LIVES})) AS share
    FROM fact
)
SELECT {{group}} product_id, sum(reward * share), sum(exposure * share) FROM left_of GROUP BY {{by}}"""
# contexts that had rewarded a product by then, each by the age of its newest reward
_BREADTH = f"""
SELECT product_id, sum(power(2.0, -least(greatest(%(now)s - at, 0) / %(half_life)s, {MOST_HALF_LIVES})))
  FROM (SELECT i.product_id, extract(epoch FROM max(i.at))::double precision AS at
          FROM feedback_interaction i
          JOIN unnest(%(kinds)s::text[], %(values)s::double precision[]) AS v (kind, value) ON v.kind = i.kind
         WHERE i.shop_id = %(shop)s AND i.position <= %(position)s AND i.product_id = ANY(%(products)s::text[])
           AND i.context_key IS NOT NULL AND v.value >= %(least)s
         GROUP BY i.product_id, i.context_kind, i.context_key) newest
 GROUP BY product_id"""


def _facts(
    read: RankingToken,
    items: Sequence[OldItem],
    keys: Sequence[str] | None,
    options: WeightOptions,
    half_life: float,
) -> list[tuple[Any, ...]]:
    sql = _FACTS.format(
        group="context_key," if keys is not None else "",
        by="context_key, product_id" if keys is not None else "product_id",
    )
    return rows(sql, _params(read, items, options, half_life) | {"keys": None if keys is None else list(keys)})


def _params(read: RankingToken, items: Sequence[OldItem], options: WeightOptions, half_life: float) -> dict[str, Any]:
    return {
        "kinds": list(options.values),
        "values": list(options.values.values()),
        "shop": read.shop_id,
        "kind": read.context_kind or "query",
        "position": read.positions.get("weights", 0),
        "products": [item.product_id for item in items],
        "now": read.now,
        "half_life": half_life,
    }


def _evidence(
    read: RankingToken, items: Sequence[OldItem], model: Model, options: WeightOptions, boosted: Floats
) -> Evidence:
    products = {row[0]: row[1:] for row in _facts(read, items, None, options, options.global_half_life_seconds)}
    breadth = {
        product_id: (total,)
        for product_id, total in rows(
            _BREADTH,
            _params(read, items, options, options.breadth_half_life_seconds) | {"least": options.breadth_reward},
        )
    }
    near = _near_keys(read)
    # what others did on their home pages is theirs
    own_key = None if read.context_kind == "history" else read.context_key
    keys = [*near, *([own_key] if own_key else [])]
    lasting = _facts(read, items, keys, options, options.context_half_life_seconds) if keys else []
    recent = _facts(read, items, [own_key], options, options.recent_half_life_seconds) if own_key else []
    own = {product: sums for key, product, *sums in lasting if key == own_key}
    lent: dict[str, list[float]] = {}
    for key, product, reward, exposure in lasting:
        if key in near:
            sums = lent.setdefault(product, [0.0, 0.0])
            sums[0] += near[key] * reward
            sums[1] += near[key] * exposure

    def column(of: Mapping[str, Sequence[float]], part: int) -> Floats:
        return np.array([of[item.product_id][part] if item.product_id in of else 0.0 for item in items])

    scalars = read.scalars
    return Evidence(
        product_reward=column(products, 0),
        product_exposure=column(products, 1) * model.expected_of([item.product_id for item in items]),
        product_breadth=column(breadth, 0),
        context_reward=column(own, 0),
        context_exposure=column(own, 1),
        recent_reward=column({product: sums for _, product, *sums in recent}, 0),
        recent_exposure=column({product: sums for _, product, *sums in recent}, 1),
        near_reward=column(lent, 0),
        near_exposure=column(lent, 1),
        operator=_operator(read, items) * boosted,
        context_reward_total=scalars["own_reward"],
        context_exposure_total=scalars["own_exposure"],
        recent_reward_total=scalars["recent_reward"],
        near_reward_total=scalars["near_reward"],
        near_exposure_total=scalars["near_exposure"],
        shop=ShopEvidence(
            reward=scalars["shop_reward"],
            exposure=scalars["shop_exposure"],
            breadth=scalars["shop_breadth"],
            products=int(scalars["products"]),
        ),
    )


def _near_keys(read: RankingToken) -> dict[str, float]:
    """Keys of the near contexts of that time with the share of its evidence that each lent."""
    shares = dict(read.neighbours)
    found = rows("SELECT id, key FROM ranking_context WHERE id = ANY(%s::bigint[])", [list(shares)])
    return {key: shares[id_] for id_, key in found}


def _operator(read: RankingToken, items: Sequence[OldItem]) -> Floats:
    found: dict[str, float] = dict(
        rows(
            """SELECT DISTINCT ON (product_id) product_id, weight
                 FROM (SELECT DISTINCT ON (product_id, context_key) product_id, context_key, weight, until
                         FROM ranking_operatorweight
                        WHERE shop_id = %s AND context_key IN ('', %s) AND position <= %s AND product_id = ANY(%s::text[])
                        ORDER BY product_id, context_key, position DESC) newest
                WHERE until IS NULL OR until > %s ORDER BY product_id, context_key DESC""",
            [
                read.shop_id,
                read.context_key if read.context_kind == "query" and read.context_key else "",
                read.positions.get("weights", 0),
                [item.product_id for item in items],
                read.now,
            ],
        )
    )
    return np.array([found.get(item.product_id, 1.0) for item in items], dtype=np.float64)
