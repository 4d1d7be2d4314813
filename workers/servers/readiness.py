"""Waiting until the servers answer: after a crash they recover first, which takes what it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import closing
from enum import Enum

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from workers.servers.endpoints import Endpoints


class State(Enum):
    """What a server says when it is asked."""

    READY = "ready"
    RECOVERING = "recovering"  # it runs and reads its log; waiting longer will do
    SILENT = "silent"


def wait_for_servers(
    endpoints: Endpoints,
    *,
    servers: Collection[str] = ("postgres", "valkey"),
    silence_seconds: float = 30,
    give_up: Callable[[], bool] = lambda: False,
) -> None:
    """Return when these servers answer a client with the right password.

    Raises TimeoutError when one is silent for so long, or when `give_up` says that nothing is coming any more.
    """
    ask = {
        "postgres": lambda: _ask_postgres(endpoints.database_url),
        "valkey": lambda: _ask_valkey(endpoints.celery_broker_url),
    }
    for server in servers:
        _wait(server, ask[server], silence_seconds, give_up)


def _wait(server: str, ask: Callable[[], State], silence_seconds: float, give_up: Callable[[], bool]) -> None:
    deadline = time.monotonic() + silence_seconds
    while (state := ask()) is not State.READY:
        if state is State.RECOVERING:
            deadline = time.monotonic() + silence_seconds
        if give_up() or time.monotonic() > deadline:
            raise TimeoutError(server)
        time.sleep(0.05)


def _ask_postgres(url: str) -> State:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError as error:
        # it listens before it has recovered, and says so (in English: its messages have the locale C)
        return State.RECOVERING if "the database system is" in str(error) else State.SILENT
    return State.READY


def _ask_valkey(url: str) -> State:
    # the client's own retries wait for seconds; here the next question comes in a moment anyway
    with closing(redis.Redis.from_url(url, socket_timeout=2, retry=Retry(NoBackoff(), 0))) as client:
        try:
            client.ping()
        except redis.BusyLoadingError:
            return State.RECOVERING
        except (redis.ConnectionError, redis.TimeoutError):
            return State.SILENT
        return State.READY
