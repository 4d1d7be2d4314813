"""The fleet of a bench, ready: every process has done something, so that nobody's loading is measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from bench.fleet import Fleet
from bench.harness import console
from bench.shop import SHOP
from bench.traffic import Client, api_key

READY_SECONDS = 120.0


def start(fleet: Fleet, *, web_workers: int) -> str:
    """Start web, projections, embedding and beat; return the URL when each of them has answered."""
    from eventlog.events import ClockTicked, NewEvent
    from eventlog.receipts import row_visible
    from eventlog.services import append
    from ranking.registry import model_serving

    with console.status("starting web, projections, embedding and beat"):
        fleet.start_projection_worker()
        fleet.start_embedding_worker()
        fleet.start_beat()
        url = fleet.start_web(workers=web_workers)
        tick = append(shop_id=SHOP, events=[NewEvent(event=ClockTicked(), occurred_at=datetime.now(UTC))])[0]
        wait_for(lambda: row_visible(tick.id or 0)["visible"], READY_SECONDS, "the projections worker does not drain")
        wait_for(lambda: model_serving(shop_id=SHOP) is not None, READY_SECONDS, "the embedding worker does not start")
        key = api_key("search")
        for _ in range(4 * web_workers):  # a connection each: every process loads its encoder
            Client(url, key).search("warm up")
    return url


def wait_for(ready: Callable[[], bool], seconds: float, problem: str, *, pause_seconds: float = 0.05) -> None:
    """Wait until something holds. Raises RuntimeError when it does not in time."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{problem} (waited {seconds:.0f} s)")
        time.sleep(pause_seconds)
