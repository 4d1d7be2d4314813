"""Diversity: what each strength of MMR and a cap cost in expected reward, and what they give, on a real catalogue.

    python -m bench.diversity [--products P] [--judgments J] [--map M] [--queries N] [--json]

The products are imported and embedded by the project's code into a database of its own. For each of N queries of the judgements
the best 100 candidates of a search, with their scores, are ordered into a list of 20 by `ranking.diversity`. `cost` is the
share of Σ P(looked at rank) · score that is given away; `similarity` the mean cosine of two products of a list, as it is
(cosines of the encoder) and of what distinguishes the candidates; `brands`, `categories` how many a list holds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `python bench/diversity.py` works as well

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bench.harness import finish, parser, percentiles, project, required, table
from bench.search_quality_data import judgments_read
from bench.shop import SHOP, map_option, shop_load

K, CANDIDATES = 20, 100
STRENGTHS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
CAPS = ((0.0, 0.5), (0.0, 0.25), (0.2, 0.5), (0.2, 0.25))  # strength, and a category's share of the list


@dataclass(frozen=True, slots=True)
class Pool:
    """The best candidates of one query, best first, N of them."""

    scores: NDArray[np.float64]  # (N,)
    vectors: NDArray[np.float32]  # (N, D)
    brands: Sequence[str | None]
    categories: Sequence[str | None]


def main() -> None:
    options = parser(
        __doc__, data={"products": "chorus_icecat/products.jsonl", "judgments": "chorus_icecat/judgments.csv"}
    )
    map_option(options)
    options.add_argument("--queries", type=int, default=100, metavar="N", help="queries that lists are made for (100)")
    arguments = options.parse_args()
    products, judgments = required(arguments, "products", "judgments")
    queries = [query for query in judgments_read(judgments) if query.strip()][: arguments.queries]
    with project():
        from django.conf import settings

        settings.FRESHET_MODEL_REFRESH_SECONDS = 0  # no thread that looks for a newer version when the servers are gone
        loaded = shop_load(products, map_name=arguments.map)
        pools = [pool for query in tqdm(queries, desc="asking", file=sys.stderr) if (pool := pool_read(query))]
        results = {"lists": len(pools), **loaded, "k": K, "rows": measure(pools)}
    finish(arguments, results, tables(results))


def pool_read(query: str) -> Pool | None:
    """The candidates of a search with their scores; nothing where it finds too few to choose from."""
    from eventlog.database import rows
    from feedback.contexts import query_context
    from ranking.projections.vectors import embedding_table
    from ranking.serving import SearchRequest, rank
    from ranking.towers import query_vectors, serving

    model = serving.model(SHOP)
    request = SearchRequest(shop_id=SHOP, q=query, now=datetime.now(UTC).timestamp())
    ranked = rank(request, query_context(query), model, query_vectors.get(model, query))
    best = ranked.order[:CANDIDATES]
    ids = [ranked.candidates.ids[i] for i in best]
    known = {
        id_: (vector, brand, category[-1] if category else None)
        for id_, vector, brand, category in rows(
            f"""SELECT p.id, v.vector::real[], p.brand, p.category
                  FROM catalog_product p JOIN {embedding_table(SHOP, model.major)} v ON v.document_id = p.id
                 WHERE p.id = ANY(%s::bigint[])""",
            [ids],
            binary=True,
        )
    }
    at = [n for n, id_ in enumerate(ids) if id_ in known]
    if len(at) < 2 * K:
        return None
    vectors, brands, categories = zip(*(known[ids[n]] for n in at), strict=True)
    return Pool(ranked.scores.score[best[at]], np.array(vectors, dtype=np.float32), brands, categories)


def measure(pools: Sequence[Pool]) -> list[dict[str, Any]]:
    """A row for each setting."""
    return [_measure(pools, strength, None) for strength in STRENGTHS] + [
        _measure(pools, strength, cap) for strength, cap in CAPS
    ]


def _measure(pools: Sequence[Pool], strength: float, cap: float | None) -> dict[str, Any]:
    from ranking.diversity import distinctive, diversify

    found: dict[str, list[float]] = {name: [] for name in ("cost", "raw", "similarity", "brands", "categories", "ms")}
    for pool in pools:
        started = time.perf_counter()
        made = diversify(pool.scores, pool.vectors, pool.categories, k=K, strength=strength, most_per_group=cap)
        found["ms"].append(1000 * (time.perf_counter() - started))
        found["cost"].append(made.cost)
        found["raw"].append(_mean_pair(pool.vectors[made.order] @ pool.vectors[made.order].T))
        own = distinctive(pool.vectors)[made.order]
        found["similarity"].append(_mean_pair(np.maximum(own @ own.T, 0.0)))
        found["brands"].append(len({pool.brands[i] for i in made.order}))
        found["categories"].append(len({pool.categories[i] for i in made.order}))
    means = {name: float(np.mean(values)) for name, values in found.items() if name != "ms"}
    return {"strength": strength, "cap": cap, **means, "cost_p95": float(np.quantile(found["cost"], 0.95)),
            "ms": percentiles(found["ms"])["p50"]}  # fmt: skip


def _mean_pair(alike: NDArray[Any]) -> float:
    """Mean of what two different products of a list (K, K) have in common."""
    count = len(alike)
    return float((alike.sum() - np.trace(alike)) / (count * (count - 1)))


def tables(results: dict[str, Any]) -> list[Any]:
    columns = [
        "strength, cap of a category",
        "cost %",
        "cost % p95",
        "cosine",
        "similarity",
        "brands",
        "categories",
        "ms p50",
    ]
    rows = [
        [
            f"{each['strength']:g}" + ("" if each["cap"] is None else f", {each['cap']:.0%}"), 100 * each["cost"],
            100 * each["cost_p95"], each["raw"], each["similarity"], each["brands"], each["categories"], each["ms"],
        ]
        for each in results["rows"]
    ]  # fmt: skip
    return [table(f"Lists of {K} of {results['lists']} queries, from the best {CANDIDATES}", columns, rows)]


if __name__ == "__main__":
    main()
