"""The embedded servers as a whole: which are needed, how each is run, and the file by which the settings find them."""

from __future__ import annotations

import os
from pathlib import Path

from workers.servers.endpoints import Endpoints, read_endpoints
from workers.servers.postgres import postgres_program
from workers.servers.program import ServerProgram
from workers.servers.secret_files import write_secret_json
from workers.servers.valkey import valkey_program

_NOT_DURABLE = "not_durable"  # a marker file in the home of throw-away servers


def needed_servers() -> tuple[str, ...]:
    """Names of the servers that no URL in the environment replaces."""
    postgres = () if os.environ.get("DATABASE_URL") else ("postgres",)
    valkey = () if os.environ.get("CELERY_BROKER_URL") and os.environ.get("CACHE_URL") else ("valkey",)
    return postgres + valkey


def server_program(name: str, home: Path) -> ServerProgram:
    """Say how to run `postgres` or `valkey` with the endpoints kept in `home`."""
    durable = not (home / _NOT_DURABLE).exists()
    make = {"postgres": postgres_program, "valkey": valkey_program}[name]
    return make(home, read_endpoints(home), durable=durable)


def switch_durability_off(home: Path) -> None:
    """Let the servers of this home skip fsync: only for tests, which throw the data away."""
    (home / _NOT_DURABLE).touch()


def publish(home: Path, endpoints: Endpoints, *, servers: tuple[str, ...]) -> None:
    """Write servers.json, by which the settings of every process find these servers."""
    of_server = {"postgres": ("database_url",), "valkey": ("celery_broker_url", "cache_url")}
    names = [name for server in servers for name in of_server[server]]
    write_secret_json(home / "servers.json", {name: endpoints.urls()[name] for name in names})


def withdraw(home: Path) -> None:
    """Take servers.json away, so that a command says `make run` is needed instead of `connection refused`."""
    (home / "servers.json").unlink(missing_ok=True)
