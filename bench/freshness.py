"""Freshness: from a change that was answered to a search over HTTP that shows it; idle and under 2,000 events/s.

    python -m bench.freshness [--products P] [--map M] [--rounds N] [--json]

The real processes of the Procfile run over the given catalogue. Clicks, prices, stock, descriptions and model versions are
changed by REST, one at a time, and searches are asked until one shows the change (bench/freshness_probes.py). Beside it
stands what the shop says of itself (GET /v1/freshness), and what indexes that are built anew allow: one without pause, of
which the building is timed here (bm25s, words alone), and one an hour, which nobody needs to measure.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `python bench/freshness.py` works as well

from tqdm import tqdm

from bench.fleet import Fleet
from bench.freshness_load import background
from bench.freshness_models import every_process, promote, versions_register
from bench.freshness_probes import Probes
from bench.harness import finish, parser, percentiles, project, required, table
from bench.running import start
from bench.shop import map_option, shop_load
from bench.traffic import Client, api_key, goods_read, tokens_gather

WORKERS = 2
Measured = TypeVar("Measured")
HOUR_SECONDS = 3600.0
BARS = {
    "click_idle": {"p50": 0.1, "p99": 1.0},
    "click_busy": {"p99": 2.0},
    "price": {"p99": 1.0},
    "stock": {"p99": 1.0},
    "description_by_words": {"p99": 1.0},
    "description_by_meaning": {"p99": 5.0},
    "model": {"p99": 2.0},
}
LABELS = {
    "click_idle": "click, idle",
    "click_busy": "click, under load",
    "price": "price",
    "stock": "stock",
    "description_by_words": "description, by its words",
    "description_by_meaning": "description, by its meaning",
    "model": "promoted version, by every process",
}


def main() -> None:
    options = parser(__doc__, data={"products": "chorus_icecat/products.jsonl"})
    map_option(options)
    options.add_argument("--rounds", type=int, default=200, help="clicks idle and under load; of the rest a quarter")
    options.add_argument("--load", type=float, default=2000.0, help="events/s in the background")
    arguments = options.parse_args()
    (products,) = required(arguments, "products")
    with project() as home:
        from django.conf import settings

        settings.FRESHET_MODEL_REFRESH_SECONDS = 0  # in this process, which serves nobody
        loaded = shop_load(products, map_name=arguments.map)
        with Fleet(home) as fleet:
            url = start(fleet, web_workers=WORKERS)
            results = measure(url, arguments) | {"products": loaded["imported"]["accepted"]}
        results["rebuilt"] = rebuilt()
    finish(arguments, results, tables(results))


def measure(url: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Every probe, one kind after the other."""
    key = api_key("search", "events", "catalog", "operate")
    client, goods = Client(url, key), goods_read(seed=1)
    probes = Probes(client, goods, random.Random(7))
    seconds: dict[str, list[float]] = {}
    few = max(1, arguments.rounds // 4)
    answers = tokens_gather(client, goods)  # what the background's shoppers were shown; and every process is warm
    probes.description()  # each worker has now done its part once
    seconds["click_idle"] = repeat("clicks, idle", arguments.rounds, probes.click)
    seconds["price"] = repeat("prices", few, lambda: probes.offer(stock=False))
    seconds["stock"] = repeat("stock", few, lambda: probes.offer(stock=True))
    revised = repeat("descriptions", few, probes.description)
    seconds["description_by_words"] = [by_words for by_words, _ in revised]
    seconds["description_by_meaning"] = [by_meaning for _, by_meaning in revised]
    seconds["model"] = promotions(url, key, client, rounds=max(4, few // 4))
    idle = client.get("/v1/freshness")
    with background(url, key, answers, per_second=arguments.load, seed=100) as load:
        time.sleep(2.0)  # let it become a load that lasts
        seconds["click_busy"] = repeat("clicks, under load", arguments.rounds, probes.click)
        busy = client.get("/v1/freshness")
    return {
        "seconds": {name: percentiles(seconds[name]) | {"max": max(seconds[name])} for name in BARS},
        "load_per_second": round(load.per_second),
        "load_wanted_per_second": load.wanted_per_second,
        "time_to_visible": {"idle": idle["time_to_visible"], "busy": busy["time_to_visible"]},
        "fresh_share": busy["fresh_share"],
        "vectors_current": idle["vectors_current"],
    }


def repeat(name: str, rounds: int, probe: Callable[[], Measured]) -> list[Measured]:
    return [probe() for _ in tqdm(range(rounds), desc=name, file=sys.stderr)]


def promotions(url: str, key: str, operator: Client, *, rounds: int) -> list[float]:
    """Promote newer and newer untrained versions, each until every process serves it."""
    numbers = versions_register(rounds)
    with every_process(url, key, web_workers=WORKERS) as clients:
        return [promote(operator, clients, number) for number in tqdm(numbers, desc="versions", file=sys.stderr)]


def rebuilt() -> dict[str, float]:
    """What an index allows that is built anew instead of changed: words alone, by bm25s at its defaults.

    A change waits for the build that runs to end and for the next one: between one and two of them, 1.5 in the median.
    """
    import bm25s

    from eventlog.database import rows

    took = []
    for _ in tqdm(range(3), desc="bm25s, built anew", file=sys.stderr):
        began = time.perf_counter()
        found = rows("SELECT title || ' ' || description FROM catalog_product WHERE retired_at IS NULL ORDER BY id")
        tokens = bm25s.tokenize([text for (text,) in found], stopwords="en", show_progress=False)
        bm25s.BM25().index(tokens, show_progress=False)
        took.append(time.perf_counter() - began)
    build = statistics.median(took)
    return {"build_seconds": build, "p50": 1.5 * build, "p99": 1.99 * build}


def tables(results: dict[str, Any]) -> list[Any]:
    rows: list[Sequence[Any]] = []
    for name, bars in BARS.items():
        seen = results["seconds"][name]
        said = ", ".join(f"{share} <= {1000 * bar:,.0f}" for share, bar in bars.items())
        rows.append([LABELS[name], *(1000 * seen[share] for share in ("p50", "p99", "max")), seen["count"], said])
    build = results["rebuilt"]
    rows.append(
        [
            "words, index built without pause (bm25s)",
            1000 * build["p50"],
            1000 * build["p99"],
            "",
            "",
            "by its build time",
        ]
    )
    rows.append(["anything, index built every hour", 500 * HOUR_SECONDS, 990 * HOUR_SECONDS, "", "", "by definition"])
    own = [
        [f"{kind}, {when}", *(1000 * seen[share] for share in ("p50", "p95", "p99")), seen["count"]]
        for when in ("idle", "busy")
        for kind, seen in sorted(results["time_to_visible"][when].items())
    ]
    load = f"{results['load_per_second']:,} of {results['load_wanted_per_second']:,.0f} events/s"
    title = f"Until a search shows it, ms ({results['products']:,} products; load: {load})"
    return [
        table(title, ["change", "p50", "p99", "most", "times", "target"], rows),
        table("GET /v1/freshness: until a search could show it, ms", ["kind", "p50", "p95", "p99", "events"], own),
    ]


if __name__ == "__main__":
    main()
