"""A major model version: how long it takes to train, to embed everything anew and to change over; searches meanwhile.

    python -m bench.major [--products P] [--judgments J] [--map M] [--processes N] [--json]

The shop's own code imports the products and the judgements; then `manage.py train --major` runs in a process of its own,
while this one asks the judged queries again and again, one after the other, as a serving process does. Searches before,
during the training, during the rollout and after it are told apart, and so is every answer's version. The gate's figures are
of the queries that were kept from the training.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `python bench/major.py` works as well

from bench.harness import PROJECT, console, finish, parser, percentiles, project, required, table
from bench.shop import SHOP, map_option, shop_load

if TYPE_CHECKING:
    from bench.search_quality_data import Ratings

ROUNDS = 3  # over the queries, before and after: a first one encodes them
PHASES = ("before", "training", "rollout", "after")


@dataclass
class Watched:
    """When what was reached, in seconds from the start of the command, and how long each search took, by phase."""

    started: float = 0.0
    trained: float | None = None
    embedded: float | None = None
    answered: float | None = None  # the first answer by the new version
    seconds: dict[str, list[float]] = field(default_factory=lambda: {phase: [] for phase in PHASES})
    versions: list[str] = field(default_factory=list)  # of the answers, each when it changed
    empty: int = 0


def main() -> None:
    options = parser(
        __doc__, data={"products": "chorus_icecat/products.jsonl", "judgments": "chorus_icecat/judgments.csv"}
    )
    map_option(options)
    options.add_argument("--processes", type=int, default=1, help="of the training")
    arguments = options.parse_args()
    products, judgments = required(arguments, "products", "judgments")
    from bench.search_quality_data import judgments_read

    ratings = judgments_read(judgments)
    with project():
        loaded = shop_load(products, map_name=arguments.map)
        _record(ratings)
        results = measure(list(ratings), processes=arguments.processes) | loaded
    finish(arguments, results, tables(results))


def measure(queries: list[str], *, processes: int) -> dict[str, Any]:
    """Everything, over the shop that is in the database."""
    from ranking.artefacts import towers_stored
    from ranking.registry import model_versions

    watched = Watched()
    for _ in range(ROUNDS):
        for query in queries:
            _ask(watched, query, "before")
    _watch(watched, queries, processes)
    for _ in range(ROUNDS):
        for query in queries:
            _ask(watched, query, "after")
    newest = model_versions(shop_id=SHOP)[0]
    gate = newest.metrics["gate"]
    return {
        "version": newest.version,
        "state": newest.state,
        "reason": newest.reason,
        "train_seconds": watched.trained,
        "embed_seconds": _between(watched.trained, watched.embedded),
        "flip_seconds": _between(watched.embedded, watched.answered),
        "searches": {phase: percentiles(watched.seconds[phase]) for phase in PHASES},
        "versions_answered": watched.versions,
        "empty_answers": watched.empty,
        "towers_mb": sum(size for _, size in towers_stored()) / 1e6,
        "pairings": newest.metrics["pairings"],
        "steps": newest.metrics["steps"],
        "gate_queries": gate["judged_queries"],
        "gate_before": gate["serving_list"],
        "gate_after": gate["candidate_list"],
    }


def _watch(watched: Watched, queries: list[str], processes: int) -> None:
    """Search while the command runs, and note when it comes to what."""
    from ranking.vector_state import rollout_read

    command = [sys.executable, "manage.py", "train", "--major", "--processes", str(processes)]
    watched.started = time.monotonic()
    running = subprocess.Popen(command, cwd=PROJECT, stdout=sys.stderr)
    asked, looked = cycle(queries), 0.0
    try:
        while running.poll() is None:
            _ask(watched, next(asked), "training" if watched.trained is None else "rollout")
            if time.monotonic() < looked + 0.1:
                continue
            looked = time.monotonic()
            state, since = rollout_read(shop_id=SHOP), looked - watched.started
            if state and watched.trained is None:
                watched.trained = since
            if state and state.embedded == 1.0 and watched.embedded is None:
                watched.embedded = since
    finally:
        if running.poll() is None:
            running.terminate()
        running.wait()


def _ask(watched: Watched, query: str, phase: str) -> None:
    from ranking.serving import SearchRequest, search

    started = time.monotonic()
    answer = search(SearchRequest(shop_id=SHOP, q=query, now=datetime.now(UTC).timestamp()))
    watched.seconds[phase].append(time.monotonic() - started)
    watched.empty += not answer["items"]
    version = answer["ranking"]["model"]
    if not watched.versions or watched.versions[-1] != version:
        watched.versions.append(version)
        if version != watched.versions[0] and watched.answered is None:
            watched.answered = time.monotonic() - watched.started


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else end - start


def _record(ratings: Ratings) -> None:
    from eventlog.consume import sequence_and_drain
    from ranking.judgements import MOST_JUDGEMENTS, judgements_record

    items = list(_items(ratings))
    for start in range(0, len(items), MOST_JUDGEMENTS):
        judgements_record(shop_id=SHOP, items=items[start : start + MOST_JUDGEMENTS], now=datetime.now(UTC))
    sequence_and_drain()
    console.print(f"{len(items):,} judgements of {len(ratings)} queries")


def _items(ratings: Ratings) -> Iterator[dict[str, Any]]:
    for query, of_query in ratings.items():
        for product, rating in of_query.items():
            yield {"query": query, "product_id": product, "rating": rating}


def tables(results: dict[str, Any]) -> list[Any]:
    embedded, seconds = results["embedded"], results["embed_seconds"]
    steps = [
        ["train, judge, register", results["train_seconds"], None],
        ["embed every product again", seconds, embedded / seconds if seconds else None],
        ["relate, index, change over", results["flip_seconds"], None],
    ]
    searches = [
        [phase, each["count"], 1000 * each["p50"], 1000 * each["p99"]] for phase, each in results["searches"].items()
    ]
    said = f"{results['version']} {results['state']}: {results['reason']}"
    return [
        table(f"{embedded:,} products; {said}", ["step", "seconds", "products/s"], steps),
        table(
            f"Searches, one after the other; answered by {', then '.join(results['versions_answered'])}; "
            f"{results['empty_answers']} without items",
            ["while", "searches", "p50 ms", "p99 ms"],
            searches,
        ),
        table(
            f"{results['pairings']:,} pairings, {results['steps']} steps; towers of {results['towers_mb']:.0f} MB",
            ["nDCG@10 of queries kept from it", "before", "after"],
            [[results["gate_queries"], results["gate_before"], results["gate_after"]]],
        ),
    ]


if __name__ == "__main__":
    main()
