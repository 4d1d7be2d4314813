"""Adversarial training: nDCG@10 of queries with typing errors or missing words, for each way to train and the same budget.

    python -m bench.robustness [--products P] [--judgments J] [--encoder e5] [--clicks 500] [--seeds 1 2 3] [--json]

Simulated shoppers ask the half of the judged queries whose sha256 is even, are shown the ten best by ŷ of the untrained
encoder, and click by examination and rating. A version is trained on their click-throughs by the project's loop in each
way: plain, FGM at three sizes, R-Drop, AWP; in bf16; and with stop points, judged by a fifth more clicks. All versions are
of the kind LoRA: a projection, which shops have by default, leaves words as they are and cannot be trained against errors.
Measured is ŷ over all products of the catalogue, for the queries as they are, with typing errors, and with words missing.
Every way gets the same steps, and then the time that plain training took.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `python bench/robustness.py` works as well

import numpy as np
from rich.table import Table
from tqdm import tqdm

from bench.harness import finish, parser, required, table
from bench.metrics import ndcg_at_k
from bench.online_shoppers import SHOWN, asked, clicked_ranks, is_seen
from bench.perturb import PERTURBED
from bench.shop import map_option

if TYPE_CHECKING:
    from bench.search_quality_data import Ratings
    from bench.training_data import FileCatalogue
    from feedback.joining import ClickThrough
    from ranking.encoders import Encoder
    from ranking.learning.artefact import Artefact
    from ranking.learning.options import AdapterKind, TrainOptions

KIND: AdapterKind = "lora"  # of all ways, so that what differs is the way
Queries = Mapping[str, Sequence[str]]  # a judged query to what was typed instead


def main() -> None:
    """Train and measure each way."""
    arguments = _arguments()
    products, judgments = required(arguments, "products", "judgments")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    results = measure(products, judgments, arguments)
    finish(arguments, results, [_table(results)])


def _arguments() -> argparse.Namespace:
    from bench.robustness_ways import WAYS

    made = parser(
        __doc__, data={"products": "chorus_icecat/products.jsonl", "judgments": "chorus_icecat/judgments.csv"}
    )
    map_option(made)
    made.add_argument("--encoder", default="e5", help="as FRESHET_ENCODER (e5)")
    made.add_argument("--pool", type=int, default=2000, metavar="N", help="products besides those judged (2000)")
    made.add_argument("--clicks", type=int, default=500, metavar="N", help="click-throughs with a click (500)")
    made.add_argument("--rate", type=float, default=0.5, help="chance of each word to be mistyped or left out (0.5)")
    made.add_argument("--variants", type=int, default=5, metavar="N", help="of each query and kind of error (5)")
    made.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of shoppers and training (1 2 3)")
    made.add_argument("--steps", type=int, default=None, metavar="N", help="at most (what the range gives)")
    made.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS), help="besides plain (all)")
    made.add_argument("--threads", type=int, default=os.cpu_count() or 1, metavar="N", help="of torch (all cores)")
    return made.parse_args()


def measure(products: Path, judgments: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything: means over the seeds of each way's figures."""
    from django.conf import settings

    from bench.search_quality_data import judgments_read, queries_mixed
    from bench.training_data import catalogue_make, products_read
    from ranking.encoders import encoder_load

    known = products_read(products, map_name=arguments.map)
    read = judgments_read(judgments)
    ratings = {query: read[query] for query in queries_mixed(read) if query.strip()}
    named = {product for of_query in ratings.values() for product in of_query} & known.keys()
    others = sorted(known.keys() - named)
    ids = sorted(named | set(random.Random(0).sample(others, min(arguments.pool, len(others)))))
    encoder = encoder_load(arguments.encoder, home=settings.FRESHET_HOME)
    catalogue = catalogue_make(encoder, known, ids)
    rows: list[dict[str, Any]] = []
    for seed in tqdm(arguments.seeds, desc="seeds", file=sys.stderr):
        rows += seed_measure(encoder, catalogue, ratings, arguments, seed)
    return {"queries": len(ratings), "products": len(ids), "ways": _means(rows), "seeds": arguments.seeds}


def seed_measure(
    encoder: Encoder, catalogue: FileCatalogue, ratings: Ratings, arguments: argparse.Namespace, seed: int
) -> list[dict[str, Any]]:
    """Train each way on the clicks of one seed; a row for each way and budget."""
    from bench.robustness_ways import WAYS
    from ranking.learning.artefact import Artefact
    from ranking.learning.options import options_of_kind
    from ranking.relevance import head_default

    start = Artefact(head_default(encoder.name))
    closed = visits([query for query in ratings if is_seen(query)], ratings, catalogue, encoder, start, arguments, seed)
    queries = {kind: _typed(ratings, kind, arguments, seed) for kind in ("as they are", *PERTURBED)}
    options = replace(options_of_kind(KIND), threads=arguments.threads)
    options = replace(options, most_steps=arguments.steps or options.most_steps)

    def row(way: str, budget: str, steps: int | None) -> dict[str, Any]:
        chosen = replace(options, most_steps=steps or options.most_steps, **WAYS[way])
        trained, done, seconds = _train(way, chosen, encoder, catalogue, closed, start, seed)
        return {"way": way, "budget": budget, "steps": done, "seconds": seconds,
                **_figures(trained, encoder, catalogue, ratings, queries)}  # fmt: skip

    untrained = {"way": "untrained", "budget": "", "steps": 0, "seconds": 0.0}
    found = [untrained | _figures(start, encoder, catalogue, ratings, queries), row("plain", "steps", None)]
    plain = found[-1]
    for way in (way for way in arguments.ways if way != "plain"):
        found.append(row(way, "steps", None))
        share = plain["seconds"] / found[-1]["seconds"] if found[-1]["seconds"] else 1.0
        found.append(row(way, "time", max(1, round(share * plain["steps"]))))
    return found


def visits(
    queries: Sequence[str], ratings: Ratings, catalogue: FileCatalogue, encoder: Encoder, start: Artefact,
    arguments: argparse.Namespace, seed: int,
) -> list[ClickThrough]:  # fmt: skip
    """Click-throughs of simulated shoppers until so many had a click, and a fifth more, which only judge."""
    from feedback.contexts import query_context
    from feedback.joining import ClickThrough
    from ranking.learning.ranges import CALIBRATE

    first = {query: _best(encoder, start, catalogue, query)[:SHOWN] for query in queries}
    rng, at = random.Random(seed), datetime.now(UTC)
    found: list[ClickThrough] = []
    clicked = 0
    for n, query in enumerate(asked(queries, seed=seed)):
        context, shown = query_context(query), first[query]
        outcomes = {shown[rank - 1]: ["click"] for rank in clicked_ranks(shown, ratings[query], rng)}
        if context is not None:
            found.append(ClickThrough(n, n, "query", context.key, query, shown, 1, None, outcomes, at, False, False))
            clicked += bool(outcomes)
        if clicked >= (1 + CALIBRATE) * arguments.clicks:
            break
    return found


def _train(
    way: str, options: TrainOptions, encoder: Encoder, catalogue: FileCatalogue, closed: Sequence[ClickThrough],
    start: Artefact, seed: int,
) -> tuple[Artefact, int, float]:  # fmt: skip
    """The artefact, its steps, and the seconds that they took."""
    from bench.robustness_ways import taught
    from ranking.learning.candidate import tower_of
    from ranking.learning.enrich import enriched
    from ranking.learning.evaluate import Ranker, remember, worth
    from ranking.learning.examples import clicked_rows, examples_read
    from ranking.learning.ranges import CALIBRATE, clicked
    from ranking.learning.train import train

    ends_at = [n for n, each in enumerate(closed, start=1) if clicked(each)]
    taught_by = closed[: ends_at[round(len(ends_at) / (1 + CALIBRATE)) - 1]]
    clicked_for, before = clicked_rows(taught_by, catalogue), remember(encoder.encode_query)
    given: dict[str, Any] = {"catalogue": catalogue, "options": options, "clicked_for": clicked_for}
    examples = enriched(examples_read(taught_by, encode=before, **given), encode=before, **given)
    judging = examples_read(closed[len(taught_by) :], encode=before, **given)
    ends = [time.perf_counter()]

    def judge(reached: Artefact) -> float:
        ranker = Ranker(remember(tower_of(encoder, reached).encode_query), reached.head)
        return worth(ranker, serving=Ranker(before, start.head), examples=judging, catalogue=catalogue)

    with taught(way, start.head):
        trained = train(
            frozen=encoder, parent=start, examples=examples, seed=seed, before=before, judge=judge,
            progress=lambda share: ends.append(time.perf_counter()), **given,
        )  # fmt: skip
    return trained.artefact, len(trained.losses), seconds_of(ends)


def seconds_of(ends: Sequence[float]) -> float:
    """What all steps took, by when training began and each step ended (pure).

    The first step warms up: where there are others, it counts as much as they do.
    """
    steps = len(ends) - 1
    return (ends[-1] - ends[1]) * steps / (steps - 1) if steps > 1 else ends[-1] - ends[0]


def _typed(ratings: Ratings, kind: str, arguments: argparse.Namespace, seed: int) -> Queries:
    if kind not in PERTURBED:
        return {query: [query] for query in ratings}
    rng = random.Random(f"{kind}/{seed}")
    return {
        query: [PERTURBED[kind](query, rate=arguments.rate, rng=rng) for _ in range(arguments.variants)]
        for query in ratings
    }


def _figures(
    artefact: Artefact, encoder: Encoder, catalogue: FileCatalogue, ratings: Ratings, queries: Mapping[str, Queries]
) -> dict[str, float]:
    """nDCG@10 of each kind of error, on the half that was asked and on the other."""
    from ranking.learning.candidate import tower_of

    tower = tower_of(encoder, artefact)

    def quality(query: str, typed: Sequence[str]) -> float:
        lists = [_best(tower, artefact, catalogue, text)[:10] for text in typed]
        return float(np.mean([ndcg_at_k(products, ratings[query], 10) for products in lists]))

    return {
        f"{kind}: {half}": float(np.nanmean([quality(q, typed) for q, typed in of.items() if is_seen(q) == seen]))
        for kind, of in queries.items()
        for half, seen in (("asked", True), ("other", False))
    }


def _best(tower: Encoder, artefact: Artefact, catalogue: FileCatalogue, query: str) -> list[str]:
    from ranking.relevance import relevance

    y = relevance(catalogue.vectors @ tower.encode_query(query), catalogue.lexical(query), artefact.head, "query")
    return [catalogue.product_ids[row] for row in np.argsort(-y, kind="stable")]


def _means(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Over the seeds, in the order of the first one."""
    keys = list(dict.fromkeys((row["way"], row["budget"]) for row in rows))
    found = []
    for way, budget in keys:
        alike = [row for row in rows if (row["way"], row["budget"]) == (way, budget)]
        figures = [name for name in alike[0] if name not in ("way", "budget")]
        found.append(
            {"way": way, "budget": budget} | {name: float(np.mean([row[name] for row in alike])) for name in figures}
        )
    return found


def _table(results: Mapping[str, Any]) -> Table:
    ways = results["ways"]
    figures = [name for name in ways[0] if name not in ("way", "budget")]
    rows = [[f"{each['way']} {each['budget']}".strip(), *(round(each[name], 4) for name in figures)] for each in ways]
    title = (
        f"nDCG@10 of ŷ, kind {KIND}: {results['queries']} queries, {results['products']:,} products, "
        f"means of {len(results['seeds'])} seeds; the same steps as plain training, and the same time"
    )
    return table(title, ["way and budget", *figures], rows)


if __name__ == "__main__":
    main()
