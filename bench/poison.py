"""Poisoned ranges of clicks: refused by the gate, or how little they move.

    python -m bench.poison [--products P] [--judgments J] [--click-throughs 500] [--seeds 3] [--json]

Simulated shoppers (those of bench/online_learning.py) ask half of the judged queries, and a first version learns from
them. Then from the same state, in a transaction that is rolled back, one more range comes in: clean; with a tenth of
the clicks made by a robot on one product for any query (as one shopper, and as many); with the clicks shuffled over what
was shown; and each kind again for a version without the cap a shopper and the look at crowding, where they are what is new.
nDCG@10 before and after is of what serves then: of ŷ, and of the whole score, on all judged queries.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `python bench/poison.py` works as well

import numpy as np
from rich.table import Table
from tqdm import tqdm

from bench.harness import finish, parser, project, required, table
from bench.metrics import ndcg_at_k
from bench.shop import SHOP, map_option, shop_load

if TYPE_CHECKING:
    from bench.search_quality_data import Ratings

KINDS = ("clean", "one robot", "many robots", "shuffled")
ROBOT_SHARE = 0.1  # of the clicks
SHOPPERS = 400
DAYS = 2.0  # the simulation starts so long ago
VISIT_SECONDS = 10.0
BARE = {"most_of_shopper": 10**9, "most_crowding": 1.0}  # options that leave only what the gate had before


def main() -> None:
    arguments = _arguments()
    products, judgments = required(arguments, "products", "judgments")
    from bench.search_quality_data import judgments_read, queries_mixed

    ratings = judgments_read(judgments)
    ratings = {query: ratings[query] for query in queries_mixed(ratings) if query.strip()}
    with project(settings="bench.online_settings"):
        started = time.monotonic()
        shop_load(products, map_name=arguments.map)
        runs = [each for seed in range(1, arguments.seeds + 1) for each in measure(ratings, arguments, seed)]
    results = {"runs": runs, "queries": len(ratings), "seconds": round(time.monotonic() - started, 1)}
    finish(arguments, results, [_table(runs, arguments)])


def _arguments() -> argparse.Namespace:
    made = parser(
        __doc__, data={"products": "chorus_icecat/products.jsonl", "judgments": "chorus_icecat/judgments.csv"}
    )
    map_option(made)
    made.add_argument("--click-throughs", type=int, default=500, metavar="N", help="that a version trains on (500)")
    made.add_argument("--seeds", type=int, default=3, metavar="N", help="shops to simulate (3)")
    return made.parse_args()


def measure(ratings: Ratings, arguments: argparse.Namespace, seed: int) -> list[dict[str, Any]]:
    """One shop, its first version, and what each kind of range makes of it."""
    from django.db import connection, transaction

    from bench.online_shoppers import is_seen

    runs: list[dict[str, Any]] = []
    with transaction.atomic():
        with connection.cursor() as cursor:  # trainers hold no transaction while they train, this bench does
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        visitors = Visitors([query for query in ratings if is_seen(query)], ratings, seed=seed)
        every = arguments.click_throughs
        visitors.come("clean", every)
        train(visitors.now(), every, {})
        before = quality(ratings, visitors.clock)
        kinds = [(kind, options) for kind in KINDS for options in ({}, BARE) if kind != "clean" or not options]
        for kind, options in tqdm(kinds, desc=f"shop {seed}", unit="range", file=sys.stderr):
            with transaction.atomic():
                again = visitors.copy()
                again.come(kind, every)
                became = train(again.now(), every, options)
                after = quality(ratings, again.clock)
                transaction.set_rollback(True)
            runs.append({"seed": seed, "kind": kind, "bare": bool(options), **became, "before": before, "after": after})
        transaction.set_rollback(True)
    return runs


class Visitors:
    """Shoppers and robots; what a query answers is asked once a range, for nothing that serves changes within one."""

    def __init__(self, queries: list[str], ratings: Ratings, *, seed: int) -> None:
        self.queries, self.ratings, self.rng = queries, ratings, random.Random(seed)
        self.clock = datetime.now(UTC).timestamp() - DAYS * 86_400
        self.visits = 0

    def copy(self) -> Visitors:
        """The same from here on, whatever the others do."""
        made = Visitors(self.queries, self.ratings, seed=0)
        made.rng.setstate(self.rng.getstate())
        made.clock, made.visits = self.clock, self.visits
        return made

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock, UTC)

    def come(self, kind: str, every: int) -> None:
        """Let as many click-throughs come in as a version takes, and their windows close."""
        from eventlog.consume import sequence_and_drain
        from feedback.services import clock_tick, events_record
        from ranking.learning.ranges import needed

        pushed = self.rng.choice(sorted({product for of_query in self.ratings.values() for product in of_query}))
        pages: dict[str, Any] = {}
        events: list[dict[str, Any]] = []
        wanted, enough = 0, needed(every) + 5
        while wanted < enough:
            if kind.endswith("robot" if kind == "one robot" else "robots") and self.rng.random() < ROBOT_SHARE:
                events += self.robot(pushed, one=kind == "one robot")
                wanted += 1
            else:
                made, clicked = self.visit(pages, shuffled=kind == "shuffled")
                events += made
                wanted += clicked
        for start in range(0, len(events), 500):
            recorded = events_record(shop_id=SHOP, items=events[start : start + 500], now=self.now())
            if recorded.rejected:
                raise RuntimeError(f"events were refused: {recorded.rejected[:3]}")
            sequence_and_drain()
        self.clock += 7200
        clock_tick(now=self.now())
        sequence_and_drain()

    def robot(self, pushed: str, *, one: bool) -> list[dict[str, Any]]:
        """A click on the product it pushes, for any query, by the one robot or by a new one."""
        name = "robot" if one else f"robot-{self.rng.random()}"
        click = {"kind": "click", "product_id": pushed, "query": self.rng.choice(self.queries), "shopper_id": name}
        return self._sent([click])

    def visit(self, pages: dict[str, Any], *, shuffled: bool) -> tuple[list[dict[str, Any]], int]:
        """A page is seen and perhaps clicked; returns its events and whether it was."""
        from bench.online_shoppers import SHOWN, clicked_ranks
        from ranking.serving import SearchRequest, search

        query = self.rng.choice(self.queries)
        if query not in pages:
            pages[query] = search(SearchRequest(shop_id=SHOP, q=query, k=SHOWN, now=self.clock))
        shown = [item["product_id"] for item in pages[query]["items"]]
        ranks = clicked_ranks(shown, self.ratings[query], self.rng)
        if shuffled:
            ranks = self.rng.sample(range(1, len(shown) + 1), len(ranks))
        seen = {
            "query": query, "ranking_token": pages[query]["ranking"]["token"],
            "shopper_id": f"shopper-{self.rng.randrange(SHOPPERS)}",
        }  # fmt: skip
        clicks = [{"kind": "click", "product_id": shown[rank - 1], "rank": rank} for rank in ranks]
        happened: list[dict[str, Any]] = [{"kind": "impression", "items": shown}, *clicks]
        return self._sent([seen | each for each in happened]), int(bool(ranks))

    def _sent(self, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        self.clock += VISIT_SECONDS
        self.visits += 1
        at = self.now().isoformat()
        return [{"event_id": f"{self.visits}-{n}", "occurred_at": at, **each} for n, each in enumerate(events)]


def train(now: datetime, every: int, options: dict[str, Any]) -> dict[str, Any]:
    """Train a version on what came in, and say what became of it."""
    from ranking.learning.options import DEFAULTS
    from ranking.training import shop_train

    outcome = shop_train(shop_id=SHOP, now=now, every=every, options=replace(DEFAULTS, **options))
    if outcome is None:
        raise RuntimeError("too few click-throughs came in for a version")
    gate = outcome.metrics["gate"]
    kept = {name: gate.get(name) for name in ("overlap", "crowding", "counterfactual")}
    return {"promoted": outcome.promoted, "reason": outcome.reason, "gate": kept}


def quality(ratings: Ratings, now: float) -> dict[str, float]:
    """nDCG@10 of ŷ and of the score of what serves, over all judged queries."""
    from eventlog.database import snapshot
    from feedback.contexts import query_context
    from ranking.registry import model_serving
    from ranking.serving import SearchRequest, rank
    from ranking.towers import model_load, query_vectors

    version = model_serving(shop_id=SHOP)
    assert version is not None, "a version serves"
    model = model_load(version)  # not the process's: two versions of one number were made, and one rolled back
    found: dict[str, list[float]] = {"relevance": [], "score": []}
    for query, of_query in ratings.items():
        vector = query_vectors.get(model, query)
        with snapshot():
            ranked = rank(SearchRequest(shop_id=SHOP, q=query, now=now), query_context(query), model, vector)
        ids = ranked.candidates.product_ids
        for name, values in (("relevance", ranked.scores.relevance), ("score", ranked.scores.score)):
            order = sorted(range(len(ids)), key=lambda i: (-values[i], ids[i]))
            found[name].append(ndcg_at_k([ids[i] for i in order], of_query, 10))
    return {name: float(np.nanmean(values)) for name, values in found.items()}


def _table(runs: Sequence[dict[str, Any]], arguments: argparse.Namespace) -> Table:
    rows = [
        [
            run["kind"] + (", bare gate" if run["bare"] else ""), run["seed"], "serves" if run["promoted"] else "refused",
            *(round(run[when][name], 4) for name in ("relevance", "score") for when in ("before", "after")),
            "" if run["promoted"] else run["reason"],
        ]
        for run in sorted(runs, key=lambda run: (KINDS.index(run["kind"]), run["bare"], run["seed"]))
    ]  # fmt: skip
    columns = ["range", "seed", "", "ŷ before", "ŷ after", "score before", "score after", "why"]
    return table(f"nDCG@10 around one range of {arguments.click_throughs} click-throughs", columns, rows)


if __name__ == "__main__":
    main()
