"""Ingest: a catalogue found by its words and by its meaning, and events over HTTP while a worker is killed; beside a bare view.

    python -m bench.ingest [--products P] [--map M] [--events N] [--json]

The real processes of the Procfile run: web, projections, embedding, beat. The catalogue comes in by `manage.py
import_products`. Then batches of events go to POST /v1/events; in the middle the projections worker is killed by -9 and
started again, and some batches are sent twice. Afterwards every read model is counted against what was sent. The peer is a
bare Django view that stores each batch by one INSERT (bench/ingest_peer.py): same bodies, same gunicorn, same PostgreSQL.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `python bench/ingest.py` works as well

from tqdm import tqdm

from bench.fleet import Fleet
from bench.harness import PROJECT, console, finish, parser, percentiles, project, required, table
from bench.running import start, wait_for
from bench.shop import SHOP, documents, map_choose, map_option
from bench.traffic import Client, api_key, bodies_make, events_make, goods_read, send, tokens_gather

METARANK_PER_SECOND = 2325  # as its makers publish it, on a machine of theirs; not measured here
WORKERS = 2  # processes of gunicorn, ours and the peer's
KILL_AT = 0.4  # of the batches
RESENT = 0.02
WARM_UP = 4  # batches that are sent before the clock runs


def main() -> None:
    options = parser(__doc__, data={"products": "chorus_icecat/products.jsonl"})
    map_option(options)
    options.add_argument("--events", type=int, default=100_000)
    options.add_argument("--batch", type=int, default=500, help="events of a call")
    options.add_argument("--clients", type=int, default=8, help="connections that send at once")
    arguments = options.parse_args()
    (products,) = required(arguments, "products")
    with project() as home, Fleet(home) as fleet:
        url = start(fleet, web_workers=WORKERS)
        key = api_key("search", "events", "catalog", "operate")
        results: dict[str, Any] = {"catalogue": catalogue(url, key, products, map_choose(products, arguments.map))}
        made = traffic(url, key, arguments)
        results["events"] = events(fleet, url, key, made, arguments)
        results["peer"] = peer(bodies_make(made, arguments.batch), arguments)
    results["of_peer"] = results["events"]["per_second"] / results["peer"]["per_second"]
    results["metarank_published_per_second"] = METARANK_PER_SECOND
    finish(arguments, results, tables(results))


def catalogue(url: str, key: str, products: Path, map_name: str | None) -> dict[str, Any]:
    """Import the file by the command; seconds from its start until all is found by words, and until all is embedded."""
    from catalog.models import FileImport
    from ranking.registry import model_serving
    from ranking.vector_state import waiting_count

    model = model_serving(shop_id=SHOP)
    assert model is not None, "start() waited for it"
    command = [sys.executable, "manage.py", "import_products", str(products)]
    command += ["--map", map_name] if map_name else []
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL)
    code = process.wait()
    if code:
        raise RuntimeError(f"import_products ended with {code}")
    command_seconds = time.monotonic() - began
    state = FileImport.objects.get()
    wait_for(lambda: documents() >= state.accepted, 600, "the postings do not come")
    title, wanted = _newest_product()
    wait_for(lambda: wanted in _found(url, key, title), 60, "the newest product is not found by its title")
    words_seconds = time.monotonic() - began
    with tqdm(total=state.accepted, desc="embedding", unit="product", file=sys.stderr) as bar:
        while left := waiting_count(shop_id=SHOP, major=model.major):
            bar.update(state.accepted - left - bar.n)
            time.sleep(0.25)
        bar.update(state.accepted - bar.n)
    return {
        "products": state.accepted,
        "rejected": state.rejected,
        "map": map_name,
        "imported_seconds": round((state.finished_at - state.started_at).total_seconds(), 2)
        if state.finished_at
        else None,
        "command_seconds": round(command_seconds, 2),
        "by_words_seconds": round(words_seconds, 2),
        "embedded_seconds": round(time.monotonic() - began, 2),
    }


def _newest_product() -> tuple[str, str]:
    from eventlog.database import rows

    title, product_id = rows("SELECT title, product_id FROM catalog_product ORDER BY id DESC LIMIT 1")[0]
    return str(title)[:900], str(product_id)


def _found(url: str, key: str, title: str) -> set[str]:
    return {item["product_id"] for item in Client(url, key).search(title, k=100)["items"]}


def events(fleet: Fleet, url: str, key: str, made: list[Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """Send events, kill the projections worker in the middle, send some again; count what came of them."""
    from bench.ingest_ledger import Ledger

    bodies = bodies_make(made, arguments.batch)
    send(url, key, bodies[:WARM_UP], threads=2)
    first, bodies = made[: WARM_UP * arguments.batch], bodies[WARM_UP:]
    again = bodies[:: max(1, int(1 / RESENT))]
    assassin = Assassin(fleet, at=max(1, int(KILL_AT * len(bodies))))
    with tqdm(total=len(bodies), desc="batches", file=sys.stderr) as bar:

        def done() -> None:
            bar.update()
            assassin.count()

        sent = send(url, key, bodies, threads=arguments.clients, done=done)
    resent = send(url, key, again, threads=arguments.clients)
    assassin.wait()
    with console.status("waiting until all is applied"):
        applied_seconds = _applied(sent.started_at)
    ledger = Ledger.of(made)
    return {
        "sent": len(made) - len(first),
        "batch": arguments.batch,
        "accepted": sent.counts["accepted"],
        "rejected": sent.counts["rejected"],
        "per_second": round(sent.per_second),
        "call_ms": percentiles([1000 * seconds for seconds in sent.seconds]),
        "applied_per_second": round((len(made) - len(first)) / applied_seconds),
        "resent": sum(resent.counts.values()),
        "resent_and_accepted": resent.counts["accepted"],
        "worker_killed_seconds": round(assassin.away_seconds, 2),
        **ledger.compare(),
    }


def traffic(url: str, key: str, arguments: argparse.Namespace) -> list[Any]:
    """Events of shoppers who search: each shows what a search answered, and bears a token of its own."""
    answers = tokens_gather(Client(url, key), goods_read(seed=1))
    return events_make(answers, count=arguments.events + WARM_UP * arguments.batch, seed=3)


def _applied(started_at: float) -> float:
    """Seconds from a start until every projection has everything."""
    from eventlog.database import scalar
    from eventlog.receipts import row_visible

    newest = int(scalar("SELECT max(id) FROM eventlog_event"))
    wait_for(lambda: row_visible(newest, wait_seconds=5)["visible"], 600, "the projections stand still")
    return time.perf_counter() - started_at


class Assassin:
    """Kills the projections worker after so many batches, and starts it again as a supervisor would."""

    def __init__(self, fleet: Fleet, *, at: int) -> None:
        self._fleet = fleet
        self._left = at
        self._now = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.away_seconds = 0.0

    def count(self) -> None:
        """Say that a batch was sent."""
        self._left -= 1
        if self._left <= 0:
            self._now.set()

    def wait(self) -> None:
        """Return when it is done."""
        self._thread.join()

    def _run(self) -> None:
        self._now.wait()
        began = time.monotonic()
        self._fleet.kill("projections")
        time.sleep(1.0)
        self._fleet.start_projection_worker()
        self.away_seconds = time.monotonic() - began


def peer(bodies: list[bytes], arguments: argparse.Namespace) -> dict[str, Any]:
    """The same bodies into the bare view."""
    from bench.ingest_peer_process import bare_view
    from eventlog.database import query, scalar

    with bare_view(workers=WORKERS) as url, tqdm(total=len(bodies), desc="bare view", file=sys.stderr) as bar:
        send(url, "none", bodies[:WARM_UP], threads=2)
        sent = send(url, "none", bodies[WARM_UP:], threads=arguments.clients, done=bar.update)
    stored = int(scalar("SELECT count(*) FROM bench_peer_event"))
    query("DROP TABLE bench_peer_event")
    return {"stored": stored, "per_second": round(sent.per_second)}


def tables(results: dict[str, Any]) -> list[Any]:
    shop, took, peer_ = results["catalogue"], results["events"], results["peer"]
    return [
        table(
            f"A catalogue of {shop['products']:,} products, {shop['rejected']} rejected",
            ["from the start of import_products", "seconds", "target"],
            [
                ["all rows committed", shop["imported_seconds"], ""],
                ["found by words", shop["by_words_seconds"], "<= 30 (19,406 products)"],
                ["embedded", shop["embedded_seconds"], "<= 150 (19,406 products)"],
            ],
        ),
        table(
            f"Events over HTTP, {took['batch']} a call",
            ["", "events/s", "target"],
            [
                ["Freshet: accepted", took["per_second"], ">= 3,000"],
                ["Freshet: applied to every read model", took["applied_per_second"], ""],
                ["a bare Django view, one INSERT a batch", peer_["per_second"], ""],
                ["Freshet / bare view", results["of_peer"], ""],
                ["Metarank, as published (not measured here)", METARANK_PER_SECOND, ""],
            ],
        ),
        table(
            f"{took['sent']:,} events, projections worker killed by -9 for {took['worker_killed_seconds']} s",
            ["", "events", "target"],
            [
                ["lost", took["lost"], 0],
                ["applied more than once", took["applied_twice"], 0],
                ["sent again", took["resent"], ""],
                ["of these taken again", took["resent_and_accepted"], 0],
                ["reward missing in the decayed sums", took["reward_difference"], 0],
                ["promises of the log broken (verify_log)", took["promises_broken"], 0],
            ],
        ),
    ]


if __name__ == "__main__":
    main()
