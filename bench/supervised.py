"""What a judgement list teaches: nDCG@10 on queries that nobody judged, before and after `train --supervised`.

    python -m bench.supervised [--products P] [--judgments J] [--map M] [--peer] [--json]

The shop's own code imports the products and the judgements of half of the queries (those whose sha256 is even), trains,
judges and promotes; every list is what `ranking.serving.search` answers. Measured on the queries of the other half that
have at least two different ratings. With --peer, sentence-transformers is fitted on the pairs that taught us as well
(rating >= 2) and encodes the whole catalogue again, which takes as long as embedding it did.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `python bench/supervised.py` works as well

import numpy as np
from tqdm import tqdm

from bench.harness import console, finish, parser, project, required, table
from bench.metrics import ndcg_at_k
from bench.shop import SHOP, map_option, shop_load

if TYPE_CHECKING:
    from bench.search_quality_data import Ratings

DEPTH = 10
Lists = dict[str, list[str]]


def main() -> None:
    options = parser(
        __doc__, data={"products": "chorus_icecat/products.jsonl", "judgments": "chorus_icecat/judgments.csv"}
    )
    map_option(options)
    options.add_argument("--peer", action="store_true", help="fit sentence-transformers as well")
    arguments = options.parse_args()
    products, judgments = required(arguments, "products", "judgments")
    from bench.search_quality_data import judgments_read, queries_mixed

    ratings = judgments_read(judgments)
    taught = {query: of_query for query, of_query in ratings.items() if _is_even(query)}
    other = {query: ratings[query] for query in queries_mixed(ratings) if not _is_even(query)}
    if not taught or not other:
        sys.exit("One half of these judgements has no query to learn from or to measure on.")
    with project():
        from django.conf import settings

        settings.FRESHET_MODEL_REFRESH_SECONDS = 0  # what was promoted serves at the next search
        loaded = shop_load(products, map_name=arguments.map)
        results = measure(taught, other, peer=arguments.peer) | loaded
    finish(arguments, results, tables(results))


def _is_even(query: str) -> bool:
    return sha256(query.encode()).digest()[-1] % 2 == 0


def measure(taught: Ratings, other: Ratings, *, peer: bool) -> dict[str, Any]:
    """Everything, over the shop that is in the database."""
    before = _served(other)
    position = _record(taught)
    started = time.monotonic()
    trained = _train()
    seconds = time.monotonic() - started
    after = _served(other)
    results = {
        "queries_taught": len(taught),
        "queries": len(other),
        "judgements": sum(map(len, taught.values())),
        **_figures(other, before, after),
        **trained,
        "train_seconds": seconds,
    }
    console.print(results)
    return results | ({"peer": _peer(taught, other, position)} if peer else {})


def _figures(other: Ratings, before: Lists, after: Lists) -> dict[str, float]:
    first = np.array([ndcg_at_k(before[query], ratings, DEPTH) for query, ratings in other.items()])
    second = np.array([ndcg_at_k(after[query], ratings, DEPTH) for query, ratings in other.items()])
    change = second - first
    return {
        "before": float(np.nanmean(first)),
        "after": float(np.nanmean(second)),
        "standard_error": float(np.nanstd(change, ddof=1) / np.sqrt(max(1, len(change)))),
        "queries_better": int((change > 0).sum()),
        "queries_worse": int((change < 0).sum()),
    }


def _served(ratings: Ratings) -> Lists:
    from ranking.serving import SearchRequest, search

    now = datetime.now(UTC).timestamp()
    return {
        query: [item["product_id"] for item in search(SearchRequest(shop_id=SHOP, q=query, k=DEPTH, now=now))["items"]]
        for query in tqdm(ratings, desc="search", file=sys.stderr)
    }


def _record(taught: Ratings) -> int:
    """Bring the judgements into the list, as the importer does; return the position they are all in by."""
    from eventlog.consume import sequence_and_drain
    from eventlog.selectors import last_position
    from ranking.judgements import MOST_JUDGEMENTS, judgements_record

    items = [
        {"query": query, "product_id": product, "rating": rating}
        for query, of_query in taught.items()
        for product, rating in of_query.items()
    ]
    for start in range(0, len(items), MOST_JUDGEMENTS):
        judgements_record(shop_id=SHOP, items=items[start : start + MOST_JUDGEMENTS], now=datetime.now(UTC))
    sequence_and_drain()
    return last_position()


def _train() -> dict[str, Any]:
    from ranking.supervised import supervised_train

    with tqdm(total=100, desc="training", unit="%", file=sys.stderr) as bar:
        outcome = supervised_train(
            shop_id=SHOP, now=datetime.now(UTC), progress=lambda share: _show(bar, round(100 * share))
        )
    if outcome is None:
        sys.exit("Another trainer was faster, in a shop that has no other.")
    gate, metrics = outcome.metrics["gate"], outcome.metrics
    return {
        "promoted": outcome.promoted,
        "reason": outcome.reason,
        "steps": metrics["steps"],
        "gate_queries": gate["judged_queries"],
        "gate_before": gate["serving_list"],
        "gate_after": gate["candidate_list"],
    }


def _show(bar: tqdm[Any], reached: int) -> None:
    bar.update(reached - bar.n)


def _peer(taught: Ratings, other: Ratings, position: int) -> dict[str, float]:
    """sentence-transformers on the pairs of the same queries: those that our trainer was given, and not those it was judged by."""
    from bench.online_nightly import Nightly
    from ranking.learning.catalogue import catalogue_at
    from ranking.learning.supervised import lesson_read
    from ranking.relevance import head_default
    from ranking.towers import serving

    model = serving.model(SHOP)
    everything = catalogue_at(shop_id=SHOP, position=position, major=model.major, named=[], pool=10**9, seed=0)
    lesson = lesson_read(shop_id=SHOP, position=position, recent=[])
    pairs = [
        (query.text, product) for query in lesson.teach for product, rating in query.ratings.items() if rating >= 2
    ]
    nightly = Nightly(model.frozen, head_default(model.frozen.name), everything, everything.vectors)
    started = time.monotonic()
    nightly.train(pairs)
    lists = {query: nightly.rank(query)[:DEPTH] for query in other}
    values = [ndcg_at_k(lists[query], ratings, DEPTH) for query, ratings in other.items()]
    return {"after": float(np.nanmean(values)), "pairs": len(pairs), "seconds": time.monotonic() - started}


def tables(results: dict[str, Any]) -> list[Any]:
    gained = results["after"] - results["before"]
    rows = [
        ["untrained (1.0)", results["before"], None, None],
        ["train --supervised", results["after"], gained, results["train_seconds"]],
    ]
    if peer := results.get("peer"):
        rows.append(["sentence-transformers", peer["after"], peer["after"] - results["before"], peer["seconds"]])
    title = (
        f"{results['queries_taught']} queries judged ({results['judgements']:,} ratings), measured on {results['queries']} "
        f"others: {results['queries_better']} better, {results['queries_worse']} worse, standard error of the change "
        f"{results['standard_error']:.3f}"
    )
    said = "promoted" if results["promoted"] else "refused"
    return [
        table(title, ["model", "nDCG@10", "gained", "seconds"], rows),
        table(
            f"The gate: {said}, {results['reason']}",
            ["queries kept from it", "before", "after"],
            [[results["gate_queries"], results["gate_before"], results["gate_after"]]],
        ),
    ]


if __name__ == "__main__":
    main()
