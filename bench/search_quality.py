"""Search quality: nDCG@10, recall@100, calibration, and the cut against the exact formula; beside BM25, encoder and mix.

    python -m bench.search_quality [--products P] [--judgments J] [--map M] [--json]

The products are imported and embedded by the project's code into a database of its own; every list is what
`ranking.serving.search` answers, before any feedback. A query counts when it has at least two different ratings. The peers
see the same products and, for the encoder, the same vectors; the mix is given the best of its shares on these very queries.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `python bench/search_quality.py` works as well

import numpy as np
from tqdm import tqdm

from bench.harness import finish, parser, project, required, table
from bench.metrics import ece, ndcg_at_k, recall_at_k
from bench.shop import SHOP, map_option, shop_load

if TYPE_CHECKING:
    from bench.search_quality_data import Catalogue, Ratings
    from bench.search_quality_exact import Exact, Floats
    from ranking.relevance import Head

RELEVANT = 2.0  # a rating from which a product counts as relevant
DEPTH = 100
Ranking = Callable[[str], list[str]]  # a query to all products, best first


def main() -> None:
    options = parser(
        __doc__, data={"products": "chorus_icecat/products.jsonl", "judgments": "chorus_icecat/judgments.csv"}
    )
    map_option(options)
    arguments = options.parse_args()
    products, judgments = required(arguments, "products", "judgments")
    from bench.search_quality_data import judgments_read

    ratings = judgments_read(judgments)
    with project():
        from django.conf import settings

        settings.FRESHET_MODEL_REFRESH_SECONDS = 0  # no thread that looks for a newer version when the servers are gone
        started = time.monotonic()
        loaded = shop_load(products, map_name=arguments.map)
        results = measure(ratings) | loaded
    results["seconds"] = round(time.monotonic() - started, 1)
    finish(arguments, results, tables(results))


def measure(ratings: Ratings) -> dict[str, Any]:
    """Everything, over the shop that is in the database."""
    from bench.search_quality_data import catalogue_read, queries_mixed
    from bench.search_quality_exact import exact_evidence
    from ranking.towers import serving

    model = serving.model(SHOP)
    catalogue = catalogue_read(model.major)
    queries = [query for query in queries_mixed(ratings) if query.strip()]
    if not queries:
        sys.exit("No query of these judgements has two different ratings: nothing to measure.")
    exact = {query: exact_evidence(catalogue, query) for query in tqdm(queries, desc="exact", file=sys.stderr)}
    served = {query: _served(query) for query in tqdm(queries, desc="served", file=sys.stderr)}
    judged = {query: ratings[query] for query in queries}
    return {
        **_figures(judged, served, _by_relevance(catalogue, exact, model.head)),
        **_calibration(judged, exact, catalogue.row_of, model.head),
        **_cut(catalogue, served, exact, model.head),
        "baselines": _baselines(catalogue, judged, exact),
        "encoder": model.frozen.name,
        "queries": len(queries),
        "judged_pairs": sum(map(len, judged.values())),
        "products": len(catalogue.ids),
    }


def _served(query: str) -> list[str]:
    """The list that a search answers, as deep as one goes."""
    from ranking.serving import SearchRequest, search

    answer = search(SearchRequest(shop_id=SHOP, q=query, k=DEPTH, now=datetime.now(UTC).timestamp()))
    return [item["product_id"] for item in answer["items"]]


def _by_relevance(catalogue: Catalogue, exact: dict[str, Exact], head: Head) -> Ranking:
    from bench.search_quality_exact import exact_order
    from ranking.relevance import relevance

    return lambda query: exact_order(catalogue, relevance(exact[query].dense, exact[query].lexical, head, "query"))


def _figures(judged: Ratings, listed: dict[str, list[str]], whole: Ranking) -> dict[str, float]:
    """`listed` is what a shopper sees; the judged alone are ordered by `whole`, since a list may lack some."""
    found: dict[str, list[float]] = {"ndcg_at_10": [], "recall_at_100": [], "judged_ndcg_at_10": []}
    for query, of_query in judged.items():
        relevant = {product for product, rating in of_query.items() if rating >= RELEVANT}
        among = [product for product in whole(query) if product in of_query]
        found["ndcg_at_10"].append(ndcg_at_k(listed[query], of_query, 10))
        found["recall_at_100"].append(recall_at_k(listed[query], relevant, DEPTH))
        found["judged_ndcg_at_10"].append(ndcg_at_k(among, of_query, 10))
    return {name: _mean(values) for name, values in found.items()}


def _cut(catalogue: Catalogue, served: dict[str, list[str]], exact: dict[str, Exact], head: Head) -> dict[str, Any]:
    """How much of the exact first page is served; `cut_misses` names the queries where something is missing."""
    order = _by_relevance(catalogue, exact, head)
    recalls = {query: recall_at_k(served[query][:10], order(query)[:10], 10) for query in served}
    missing = {query: round(recall, 3) for query, recall in recalls.items() if recall < 1}
    return {"recall_at_10_vs_exact": _mean(list(recalls.values())), "cut_misses": missing}


def _calibration(judged: Ratings, exact: dict[str, Exact], row_of: dict[str, int], head: Head) -> dict[str, float]:
    """ECE of ŷ against rating >= 2: after refitting on half of the queries, measured on the other half, both ways."""
    from ranking.relevance import head_fit, relevance

    def pairs(queries: Sequence[str]) -> tuple[Floats, Floats, Floats]:
        found = [
            (exact[query].dense[row_of[product]], exact[query].lexical[row_of[product]], float(rating >= RELEVANT))
            for query in queries
            for product, rating in judged[query].items()
            if product in row_of
        ]
        dense, lexical, labels = np.array(found, dtype=np.float64).reshape(-1, 3).T
        return dense, lexical, labels

    def error(head: Head, queries: Sequence[str]) -> float:
        dense, lexical, labels = pairs(queries)
        return ece(relevance(dense, lexical, head, "query"), labels)

    queries = sorted(judged)
    halves = queries[::2], queries[1::2]
    refitted = [
        error(head_fit(*pairs(fitted), default=head), measured)
        for fitted, measured in (halves, halves[::-1])
        if len(pairs(fitted)[0]) and len(pairs(measured)[0])
    ]
    return {"ece": _mean(refitted), "ece_default_head": error(head, queries)}


def _baselines(catalogue: Catalogue, judged: Ratings, exact: dict[str, Exact]) -> dict[str, dict[str, float]]:
    from bench.search_quality_exact import exact_order
    from bench.search_quality_peers import GRID, LibraryBM25, mixed

    library = LibraryBM25(catalogue)
    bm25 = {query: library.scores(query) for query in judged}
    encoder = {query: np.nan_to_num(exact[query].dense, nan=-1.0) for query in judged}

    def figures(scores: dict[str, Floats]) -> dict[str, float]:
        orders = {query: exact_order(catalogue, scores[query]) for query in judged}
        return _figures(judged, orders, orders.__getitem__)

    mixes = [
        {**figures({query: mixed(encoder[query], bm25[query], share) for query in judged}), "encoder_share": share}
        for share in tqdm(GRID, desc="mix", file=sys.stderr)
    ]
    best = max(mixes, key=lambda mix: mix["ndcg_at_10"])
    return {"bm25": figures(bm25), "encoder": figures(encoder), "mix": best}


def _mean(values: Sequence[float]) -> float:
    """Mean of the queries that can say; NaN means none of a query's products is relevant."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def tables(results: dict[str, Any]) -> list[Any]:
    baselines = results["baselines"]
    names = {
        "bm25": "BM25 (bm25s, title + description)",
        "encoder": f"{results['encoder']} alone",
        "mix": f"best mix ({baselines['mix']['encoder_share']:.2f} encoder)",
    }
    columns = ["ndcg_at_10", "recall_at_100", "judged_ndcg_at_10"]
    rows = [["Freshet, as served", *(results[name] for name in columns)]]
    rows += [[names[name], *(baselines[name][column] for column in columns)] for name in names]
    best = max(baseline["ndcg_at_10"] for baseline in baselines.values())
    title = f"{results['products']:,} products, {results['queries']} queries, {results['judged_pairs']:,} judged pairs"
    return [
        table(title, ["ranking", "nDCG@10", "recall@100", "nDCG@10 judged only"], rows),
        table(
            "Targets",
            ["figure", "measured", "target"],
            [
                ["nDCG@10 above the best other", results["ndcg_at_10"] - best, ">= 0.02"],
                ["recall@10 of the served list against the exact formula", results["recall_at_10_vs_exact"], ">= 0.99"],
                ["calibration error of ŷ, refitted on the other half", results["ece"], "<= 0.10"],
                ["calibration error of ŷ, default head", results["ece_default_head"], ""],
            ],
        ),
    ]


if __name__ == "__main__":
    main()
