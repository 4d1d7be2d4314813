"""Recommendations over HTTP: time and number of requests with a history of 50, beside searches, and how large the state is.

A shop of `--products` and shoppers with a taste (bench/recommend_shop.py), each with `--steps` interactions. One client and
16 clients ask for home pages of known shoppers, product pages and baskets; p50, p99 and requests/s. Beside them searches for
words of titles that were searched for before, in the same run: a machine that is twice as slow shows there too. The state is
what the visits projection stores, per product, per shopper and per million events, at two sizes of the log.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from rich.table import Table
from tqdm import tqdm

from bench.fleet import Fleet
from bench.harness import PROJECT, finish, parser, percentiles, project, required, table
from bench.recommend_shop import visits_load
from bench.shop import shop_load

QUERIES = ("laptop", "printer", "usb cable", "gaming mouse", "monitor", "hard disk", "headset", "router")
TABLES = ("ranking_visitor", "ranking_owned", "ranking_visited", "ranking_covisited", "ranking_copending")


def main() -> None:
    made = parser(__doc__, data={"products": "chorus_icecat/products.jsonl"})
    made.add_argument("--map", help="column map of the products (default: recognised by the columns)")
    made.add_argument("--shoppers", type=int, default=2000, metavar="N")
    made.add_argument("--steps", type=int, default=55, metavar="N", help="interactions of each shopper")
    made.add_argument("--requests", type=int, default=1500, metavar="N", help="of each kind, a measurement")
    arguments = made.parse_args()
    (products,) = required(arguments, "products")
    with project() as home:
        shop_load(products, map_name=arguments.map)
        results = measure(home, arguments)
    finish(arguments, results, tables(results))


def measure(home: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Let shoppers visit, measure the state at half of the events and at all, and ask."""
    from config.api.keys import api_key_create
    from eventlog.database import query, rows
    from eventlog.models import Shop

    product_ids = [
        id_ for (id_,) in rows("SELECT product_id FROM catalog_product WHERE retired_at IS NULL ORDER BY id")
    ]
    state: list[dict[str, Any]] = []
    done = 0
    for part in ("a", "b"):
        done += visits_load(
            product_ids=product_ids,
            shoppers=arguments.shoppers // 2,
            steps=arguments.steps,
            seed=len(state),
            name=part,
        )
        query("VACUUM ANALYZE")
        state.append({"events": done, "products": len(product_ids), **sizes()})
    key, _ = api_key_create(shop=Shop.objects.get(id=1), name="bench", scopes=["search"])
    paths = requests_of(product_ids, arguments)
    found: dict[str, Any] = {}
    with Fleet(home) as fleet:
        url = fleet.start_web()
        for name, asked in paths.items():
            ask(url, key, asked[:200], 4, home)  # loads the model in each process, and plans the statements
            for clients in tqdm((1, 16), desc=name, file=sys.stderr):
                found[f"{name}_{clients}"] = ask(
                    url, key, asked if clients > 1 else asked[: len(asked) // 2], clients, home
                )
    return {"freshet": found, "state": state, "growth": growth(state)}


def requests_of(product_ids: list[str], arguments: argparse.Namespace) -> dict[str, list[str]]:
    """Paths to ask for: home pages of known shoppers, product pages, baskets of three; and searches."""
    chance = random.Random(7)
    half = arguments.shoppers // 2
    count = range(arguments.requests)
    shoppers = [f"{chance.choice('ab')}{chance.randrange(half)}" for _ in count]
    some = [chance.sample(product_ids, 3) for _ in count]
    base = "/v1/recommendations?k=20&surface="
    return {
        "home": [f"{base}home&shopper_id={shopper}" for shopper in shoppers],
        "product": [f"{base}product&product_id={three[0]}" for three in some],
        "basket": [f"{base}basket&product_id=" + "&product_id=".join(three) for three in some],
        "search": [f"/v1/search?k=20&q={quote(QUERIES[n % len(QUERIES)])}" for n in count],
    }


def ask(url: str, key: str, paths: list[str], clients: int, home: Path) -> dict[str, float]:
    """Ask from a process of its own; latencies in milliseconds."""
    file = home / "paths.txt"
    file.write_text("\n".join(paths))
    command = [sys.executable, "-m", "bench.serve_load", url, key, str(clients), str(file)]
    seen = orjson.loads(subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.PIPE).stdout)
    if seen["failed"]:
        raise RuntimeError(f"requests failed: {seen['failed']}")
    return {**percentiles([1000 * each for each in seen["latencies"]]), "per_second": len(paths) / seen["seconds"]}


def sizes() -> dict[str, int]:
    """Bytes of each table with its indexes."""
    from eventlog.database import scalar

    return {name: int(scalar("SELECT pg_total_relation_size(%s::regclass)", [name])) for name in TABLES}


def growth(state: list[dict[str, Any]]) -> dict[str, float]:
    """Megabytes of what grows with products (lists are bounded) at the end, per 100,000; of what grows with events, per million."""
    last = state[-1]
    by_product = last["ranking_visited"] + last["ranking_covisited"] + last["ranking_copending"]
    by_event = last["ranking_visitor"] + last["ranking_owned"]
    return {
        "mb_per_100000_products": by_product / last["products"] * 100_000 / 1e6,
        "mb_per_million_events": by_event / last["events"] * 1_000_000 / 1e6,
    }


def tables(results: dict[str, Any]) -> list[Table]:
    asked = [
        (name.rpartition("_")[0], int(name.rpartition("_")[2]), each["p50"], each["p99"], each["per_second"])
        for name, each in results["freshet"].items()
    ]
    stored = [(f"{each['events']:,} events", *(each[name] / 1e6 for name in TABLES)) for each in results["state"]]
    grown = results["growth"]
    return [
        table("recommendations and searches over HTTP", ["surface", "clients", "p50 ms", "p99 ms", "requests/s"], asked),
        table("state, MB", ["after", *(name.removeprefix("ranking_") for name in TABLES)], stored),
        table("it grows by", ["MB per 100,000 products", "MB per million events"],
              [(f"{grown['mb_per_100000_products']:.0f}", grown["mb_per_million_events"])]),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
