"""Searches over HTTP beside what a Python engineer would write otherwise, in one run on the same cores.

One client and 16 clients, queries known (asked before) and new; p50, p99 and searches/s; where the time goes, as a table.
The peer (bench/serve_peer.py) is bm25s + faiss + the same encoder in process behind a bare Django view, each at its
defaults, in as many gunicorn processes and threads; a second peer also caches the vectors of queries.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import orjson
from rich.table import Table
from tqdm import tqdm

from bench.fleet import Fleet
from bench.harness import PROJECT, console, finish, parser, percentiles, project, required, table
from bench.shop import shop_load

KNOWN = 200  # different queries that come again and again, as the head of a shop's queries does


def main() -> None:
    made = parser(__doc__, data={"products": "chorus_icecat/products.jsonl"})
    made.add_argument("--map", help="column map of the products (default: chorus_icecat if the columns are its)")
    made.add_argument("--known", type=int, default=1500, metavar="N", help="searches of known queries, a measurement")
    made.add_argument("--new", type=int, default=400, metavar="N", help="searches of new queries, a measurement")
    arguments = made.parse_args()
    (products,) = required(arguments, "products")
    with project() as home:
        shop_load(products, map_name=arguments.map)
        results = measure(home, arguments)
    finish(arguments, results, tables(results))


def measure(home: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run every side in turn on the same queries."""
    queries = Queries(seed=5)
    key = api_key()
    folder = export_peer(home)
    results: dict[str, Any] = {}
    with Fleet(home) as fleet:
        results["freshet"] = sides(fleet.start_web(), key, queries, arguments, home)
        results["where"] = where_the_time_goes(queries)
    for name, cache in (("peer", "0"), ("peer_cached", "1")):
        with peer(folder, home, cache) as url:
            results[name] = sides(url, key, Queries(seed=5), arguments, home)
    for name in ("peer", "peer_cached"):
        results[f"against_{name}"] = against(results["freshet"], results[name])
    return results


class Queries:
    """Known queries, and new ones without end, both made of words of the shop's titles."""

    def __init__(self, *, seed: int) -> None:
        from eventlog.database import rows

        self._random = random.Random(seed)
        titles = [
            title.split() for (title,) in rows("SELECT title FROM catalog_product WHERE retired_at IS NULL ORDER BY id")
        ]
        self._titles = [words for words in titles if len(words) > 1] or titles
        self._seen: set[str] = set()
        self.known = list(itertools.islice(self._fresh(), KNOWN))

    def many_known(self, count: int) -> list[str]:
        """Known queries, the first far more often than the last (Zipf)."""
        weights = [1.0 / rank for rank in range(1, len(self.known) + 1)]
        return self._random.choices(self.known, weights, k=count)

    def many_new(self, count: int) -> list[str]:
        """Queries that were never asked."""
        return list(itertools.islice(self._fresh(), count))

    def _fresh(self) -> Iterator[str]:
        while True:
            words = self._random.choice(self._titles)
            start = self._random.randrange(max(len(words) - 1, 1))
            query = " ".join(words[start : start + self._random.randint(1, 3)])[:100]
            if query.strip() and query not in self._seen:
                self._seen.add(query)
                yield query
            elif len(self._seen) > 50_000 or self._random.random() < 0.001:
                yield f"{query} {len(self._seen)}"


def sides(url: str, key: str, queries: Queries, arguments: argparse.Namespace, home: Path) -> dict[str, Any]:
    """Warm up, then measure known and new queries with one client and with 16."""
    ask(
        url, key, queries.known, clients=2, home=home
    )  # loads the encoder in each process, and makes the known ones known
    ask(url, key, queries.known, clients=4, home=home)
    found: dict[str, Any] = {}
    cases = [("known", queries.many_known, arguments.known), ("new", queries.many_new, arguments.new)]
    for (name, make, count), clients in tqdm([(case, n) for case in cases for n in (1, 16)], desc=url, file=sys.stderr):
        found[f"{name}_{clients}"] = ask(
            url, key, make(count if clients > 1 else count // 2), clients=clients, home=home
        )
    return found


def ask(url: str, key: str, queries: Sequence[str], *, clients: int, home: Path) -> dict[str, float]:
    """Ask queries from a process of its own; latencies in milliseconds."""
    file = home / "queries.txt"
    file.write_text("\n".join(query.replace("\n", " ") for query in queries))
    command = [sys.executable, "-m", "bench.serve_load", url, key, str(clients), str(file)]
    seen = orjson.loads(subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.PIPE).stdout)
    if seen["failed"]:
        raise RuntimeError(f"searches failed: {seen['failed']}")
    milliseconds = percentiles([1000 * latency for latency in seen["latencies"]])
    return {**milliseconds, "per_second": len(queries) / seen["seconds"]}


def where_the_time_goes(queries: Queries, *, rounds: int = 300) -> dict[str, float]:
    """Median milliseconds of the parts of a known search in process; of a request the rest is HTTP, checks and JSON."""
    from ranking import serving

    spent: dict[str, list[float]] = {name: [] for name in (*_PARTS.values(), "whole search")}
    plain = {name: getattr(serving, name) for name in _PARTS}
    for name, label in _PARTS.items():
        setattr(serving, name, timed(plain[name], spent[label]))
    ask_in_process = timed(serving.search, spent["whole search"])
    try:
        for query in queries.known + queries.many_known(rounds):
            ask_in_process(serving.SearchRequest(shop_id=1, q=query, now=time.time()))
    finally:
        for name, function in plain.items():
            setattr(serving, name, function)
    return {label: 1000 * statistics.median(seconds[-rounds:]) for label, seconds in spent.items() if seconds}


_PARTS = {
    "query_read": "analyse the query",
    "snapshot_read": "SQL: where everything stands",
    "near_contexts": "near contexts",
    "candidates_read": "SQL: candidates and evidence",
    "score": "score",
    "ordered": "order",
    "token_of": "fill the token",
    "token_sign": "sign the token",
    "products_display": "SQL: what is shown",
}


def timed(function: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    """Wrap a function so that it notes how long each call took."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            seconds.append(time.perf_counter() - started)

    return wrapper


def api_key() -> str:
    from config.api.keys import api_key_create
    from eventlog.models import Shop

    return api_key_create(shop=Shop.objects.get(id=1), name="bench", scopes=["search"])[0]


def export_peer(home: Path) -> Path:
    """Write what the peer holds in memory: the same products and the same vectors."""
    from eventlog.database import rows
    from ranking.projections.vectors import embedding_table

    folder = home / "peer"
    folder.mkdir()
    sql = f"""SELECT p.product_id, p.title, p.description, v.vector::text
                FROM catalog_product p JOIN {embedding_table(1, 1)} v ON v.document_id = p.id ORDER BY p.id"""
    found = rows(sql)
    products = [dict(zip(("product_id", "title", "description"), row[:3], strict=True)) for row in found]
    (folder / "products.json").write_bytes(orjson.dumps(products))
    np.save(folder / "vectors.npy", np.array([orjson.loads(row[3]) for row in found], dtype=np.float32))
    return folder


@contextmanager
def peer(folder: Path, home: Path, cache: str) -> Iterator[str]:
    """Run the peer under gunicorn with as many processes and threads as Freshet."""
    from workers.servers.ports import choose_port

    port = choose_port()
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "2", "--threads", "8",
               "--keep-alive", "30", "--log-level", "warning", "bench.serve_peer:application"]  # fmt: skip
    environment = {**os.environ, "PEER_INDEX": str(folder), "PEER_CACHE": cache, "FRESHET_HOME": str(home)}
    del environment["DJANGO_SETTINGS_MODULE"]
    process = subprocess.Popen(command, cwd=PROJECT, env=environment, start_new_session=True)
    try:
        wait_for(f"http://127.0.0.1:{port}/health/live", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    with console.status("starting the peer"):
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(URLError, OSError), urllib.request.urlopen(url, timeout=2):
                return
            time.sleep(0.2)
    raise RuntimeError("the peer did not start")


def against(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Of each case, our p50 minus theirs in milliseconds, and our searches/s over theirs."""
    return {
        case: {
            "p50_more_ms": ours[case]["p50"] - theirs[case]["p50"],
            "per_second_ratio": ours[case]["per_second"] / theirs[case]["per_second"],
        }
        for case in ours
    }


def tables(results: dict[str, Any]) -> list[Table]:
    rows = [
        [
            case.replace("_", " queries, clients: "),
            side,
            *(results[side][case][name] for name in ("p50", "p99", "per_second")),
        ]
        for case in results["freshet"]
        for side in ("freshet", "peer", "peer_cached")
    ]
    ratios = [
        [case, *(value for name in ("peer", "peer_cached") for value in results[f"against_{name}"][case].values())]
        for case in results["freshet"]
    ]
    return [
        table("Searches over HTTP", ["queries", "side", "p50 ms", "p99 ms", "searches/s"], rows),
        table(
            "Freshet against the peers (bars: p50 at most 6 ms more, searches/s at least 0.4)",
            ["queries", "p50 more ms", "searches/s ratio", "cached: p50 more ms", "cached: ratio"],
            ratios,
        ),
        table(
            "Where the time of a known search goes, in process", ["part", "median ms"], list(results["where"].items())
        ),
    ]


if __name__ == "__main__":
    main()
