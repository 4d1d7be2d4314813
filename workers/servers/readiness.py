"""Waiting until the servers answer: after a crash they recover first, which takes what it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import closing

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from workers.servers.endpoints import Endpoints


def wait_for_servers(
    endpoints: Endpoints,
    *,
    servers: Collection[str] = ("postgres", "valkey"),
    timeout_seconds: float = 120,
    give_up: Callable[[], bool] = lambda: False,
) -> None:
    """Return when these servers answer a client with the right password.

    Raises TimeoutError, also when `give_up` says that nothing is coming any more.
    """
    answers = {
        "postgres": lambda: _postgres_answers(endpoints.database_url),
        "valkey": lambda: _valkey_answers(endpoints.celery_broker_url),
    }
    for server in servers:
        _wait(answers[server], server, timeout_seconds, give_up)


def _wait(answers: Callable[[], bool], server: str, timeout_seconds: float, give_up: Callable[[], bool]) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not answers():
        if give_up() or time.monotonic() > deadline:
            raise TimeoutError(f"{server} does not answer; its log says why.")
        time.sleep(0.05)


def _postgres_answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _valkey_answers(url: str) -> bool:
    # the client's own retries wait for seconds; here the next question comes in a moment anyway
    with closing(redis.Redis.from_url(url, socket_timeout=2, retry=Retry(NoBackoff(), 0))) as client:
        try:
            return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):  # BusyLoadingError is a ConnectionError
            return False
