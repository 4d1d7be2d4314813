"""The event log: events lost, order broken, appends/s, lag; beside bare INSERT and the `eventsourcing` library.

Four measurements, all against the same servers (fsync on) with the real Celery worker sequencing and one consumer:

  race     24 writers hold their transactions at random before they commit, a foreign transaction stays open
  single   one event a call, 32 connections, in turn with bare INSERT and eventsourcing (which locks its table)
  batched  200 events a call, 4 connections, in turn with the same two; a foreign transaction stays open in both
  burst    500,000 events after a minute of calm, into the same worker process
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `python bench/event_log.py` works as well

from tqdm import tqdm

from bench.fleet import Fleet
from bench.harness import console, finish, parser, percentiles, project, table

if TYPE_CHECKING:
    from bench.event_log_clients import Clients, Outcome

PROCESSES = 2  # of clients: Python runs one thread of a process at a time, and there are few cores
STYLES = ("bare", "freshet", "eventsourcing")


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=8.0, help="length of a round of single or batched appends")
    options.add_argument("--rounds", type=int, default=3, help="rounds of each style; the median counts")
    options.add_argument("--calm-seconds", type=float, default=60.0, help="quiet time before the burst")
    options.add_argument("--burst-events", type=int, default=500_000)
    arguments = options.parse_args()
    with project(settings="bench.event_log_settings") as home:
        from bench.event_log_clients import Clients, eventsourcing_recorder
        from bench.event_log_ledger import lost_and_broken, make_tables
        from eventlog.verify import verify

        make_tables()
        recorder, pool = eventsourcing_recorder(pool_size=1)
        recorder.create_table()
        pool.close()
        _watch_statements()
        with Fleet(home) as fleet, Clients(PROCESSES) as clients:
            fleet.start_projection_worker()
            fleet.start_beat()
            _warm_up(clients)
            race = _race(clients, seconds=2 * arguments.seconds)
            single = _in_turn(clients, arguments, threads=16, batch=1)
            batched = _in_turn(clients, arguments, threads=2, batch=200)
            burst = _burst(clients, calm=arguments.calm_seconds, events=arguments.burst_events)
            lost, broken = lost_and_broken()
            damage = sum(finding.broken for finding in verify())
    results: dict[str, Any] = {"events_lost": lost, "order_broken": broken, "promises_broken": damage}
    results |= {"race": race, "single": single, "batched": batched, "burst": burst}
    finish(arguments, results, _tables(results))


def _warm_up(clients: Clients) -> None:
    """Let every process load, connect and plan once; the worker is ready when it has consumed the first events."""
    from bench.event_log_clients import Load

    with _step("warm-up"):
        for style in STYLES:
            clients.run(Load(style=style, threads=4, batch=20, seconds=1.0))
        _wait_until_consumed()


def _race(clients: Clients, *, seconds: float) -> dict[str, Any]:
    from bench.event_log_clients import Load

    with _step("race"), _foreign_transaction():
        outcome = clients.run(Load(style="race", threads=24 // PROCESSES, seconds=seconds))
        _wait_until_consumed()
    return {"events": outcome.events, "writers": 24, "lag_ms": _lag_ms(outcome)}


def _in_turn(clients: Clients, arguments: Any, *, threads: int, batch: int) -> dict[str, Any]:
    """Rounds of each style in turn, so that a machine that gets slower meanwhile is slower for all."""
    from bench.event_log_clients import Load

    rates: dict[str, list[float]] = {style: [] for style in STYLES}
    took: dict[str, list[float]] = {style: [] for style in STYLES}
    lags: list[float] = []
    with tqdm(total=arguments.rounds * len(STYLES), desc=f"{batch} a call", unit="round", file=sys.stderr) as bar:
        for _ in range(arguments.rounds):
            for style in STYLES:
                with _foreign_transaction():
                    outcome = clients.run(Load(style=style, threads=threads, batch=batch, seconds=arguments.seconds))
                    _wait_until_consumed()
                rates[style].append(outcome.per_second)
                took[style] += [1000 * seconds for seconds, _, _ in outcome.calls]
                if style == "freshet":
                    lags += _lags_ms(outcome)
                bar.update()
    per_second = {style: round(median(rates[style])) for style in STYLES}
    return {
        "connections": threads * PROCESSES,
        "events_a_call": batch,
        "per_second": per_second,
        "per_second_rounds": {style: [round(rate) for rate in rates[style]] for style in STYLES},
        "of_bare": round(median(a / b for a, b in zip(rates["freshet"], rates["bare"], strict=True)), 3),
        "of_eventsourcing": round(
            median(a / b for a, b in zip(rates["freshet"], rates["eventsourcing"], strict=True)), 2
        ),
        "call_ms": {style: percentiles(took[style]) for style in STYLES},
        "lag_ms": percentiles(lags),
    }


def _burst(clients: Clients, *, calm: float, events: int) -> dict[str, Any]:
    from bench.event_log_clients import Load
    from eventlog.database import query, scalar

    for _ in tqdm(range(round(calm)), desc="calm", unit="s", file=sys.stderr):
        time.sleep(1)
    query("SELECT pg_stat_statements_reset()")
    with _step("burst"):
        outcome = clients.run(Load(style="freshet", threads=2, batch=200, events=events // PROCESSES))
        _wait_until_consumed()
        drained_at = time.time()
    worst = scalar("SELECT max(max_exec_time) FROM pg_stat_statements WHERE query LIKE 'SELECT eventlog_sequence%'")
    return {
        "events": outcome.events,
        "append_seconds": round(outcome.finished_at - outcome.started_at, 2),
        "drained_seconds_after_the_last_append": round(drained_at - outcome.finished_at, 2),
        "worst_sequencer_call_ms": round(float(worst), 1),
        "lag_ms": _lag_ms(outcome),
    }


def _lag_ms(outcome: Outcome) -> dict[str, float]:
    return percentiles(_lags_ms(outcome))


def _lags_ms(outcome: Outcome) -> list[float]:
    """From the return of an append (its commit) to the drain that applied its last event, in milliseconds.

    A drain may be noted before a client that waits for its turn on the CPU sees its append return; that is lag 0.
    """
    from eventlog.database import copy_rows, query, rows

    query("CREATE TEMPORARY TABLE returned (at double precision, id bigint)")
    copy_rows("returned", ["at", "id"], ((at, row_id) for _, at, row_id in outcome.calls))
    query("ANALYZE returned")
    found = rows(
        """SELECT greatest(extract(epoch FROM d.committed_at) - r.at, 0)::double precision
             FROM returned r JOIN eventlog_position p ON p.event_id = r.id
             JOIN LATERAL (SELECT committed_at FROM eventlog_drain
                            WHERE consumer = 'ledger' AND to_position >= p.position ORDER BY to_position LIMIT 1) d ON true"""
    )
    query("DROP TABLE returned")
    return [1000 * lag for (lag,) in found]


@contextmanager
def _foreign_transaction() -> Iterator[None]:
    """Hold a transaction open that has written and keeps its snapshot, as somebody's forgotten session would."""
    import os

    import psycopg

    with psycopg.connect(os.environ["DATABASE_URL"], options="-c idle_in_transaction_session_timeout=0") as foreign:
        foreign.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        foreign.execute("CREATE TEMPORARY TABLE held (id integer) ON COMMIT DROP")
        foreign.execute("SELECT count(*) FROM eventlog_checkpoint")
        yield
        foreign.rollback()


def _watch_statements() -> None:
    from eventlog.database import query

    query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")


def _wait_until_consumed(*, seconds: float = 300.0) -> None:
    """Raises TimeoutError when the consumer does not get there: events are lost, or the worker is not running."""
    from bench.event_log_ledger import everything_consumed

    deadline = time.monotonic() + seconds
    while not everything_consumed():
        if time.monotonic() > deadline:
            raise TimeoutError("The consumer has not reached the end of the log; see the worker's log.")
        time.sleep(0.02)


@contextmanager
def _step(name: str) -> Iterator[None]:
    with console.status(name):
        yield
    console.print(f"{name} done")


def _tables(results: dict[str, Any]) -> list[Any]:
    race, burst = results["race"], results["burst"]
    rows = [
        ["events lost", results["events_lost"], "0"],
        ["order broken", results["order_broken"], "0"],
        ["promises of verify_log broken", results["promises_broken"], "0"],
        [f"race: lag p50 / p99 ms, {race['events']:,} events of 24 writers", _pair(race["lag_ms"]), ""],
    ]
    for key, target in (("single", "0.6 of bare, 3 x eventsourcing"), ("batched", "30,000/s, p99 1,500 ms")):
        part = results[key]
        name = f"{key}, {part['connections']} connections, {part['events_a_call']} a call"
        rows.append([f"{name}: appends/s", part["per_second"]["freshet"], target])
        rows.append(["  bare INSERT of the same rows", part["per_second"]["bare"], f"ratio {part['of_bare']}"])
        rows.append(["  eventsourcing", part["per_second"]["eventsourcing"], f"ratio {part['of_eventsourcing']}"])
        rows.append(["  lag p50 / p99 ms", _pair(part["lag_ms"]), ""])
    rows += [
        [f"burst: {burst['events']:,} events appended in s", burst["append_seconds"], ""],
        ["  drained s after the last append", burst["drained_seconds_after_the_last_append"], ""],
        ["  worst sequencer call ms", burst["worst_sequencer_call_ms"], ""],
        ["  lag p50 / p99 ms", _pair(burst["lag_ms"]), ""],
    ]
    return [table("The event log, one foreign transaction held open", ["", "measured", "target"], rows)]


def _pair(lag: dict[str, float]) -> str:
    return f"{lag['p50']:,.0f} / {lag['p99']:,.0f}"


if __name__ == "__main__":
    main()
