"""The embedded servers: passwords, ports, and what happens after kill -9."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from workers.servers.endpoints import Endpoints, choose_endpoints
from workers.servers.readiness import wait_for_servers
from workers.servers.secret_files import read_json, write_secret_json
from workers.supervision.records import end_leftovers, living
from workers.throwaway import start_server

PROJECT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that no other user can reach, with a space and signs that configuration files give a meaning."""
    home = tmp_path_factory.mktemp("a shop") / "50% off; #1"
    home.mkdir(mode=0o700)
    return home


@pytest.fixture(scope="module")
def endpoints(home: Path) -> Endpoints:
    return choose_endpoints(home)


@pytest.fixture(scope="module")
def start(home: Path, endpoints: Endpoints) -> Iterator[Callable[[], dict[str, int]]]:
    """Starts both servers, waits until they answer and returns their pids; called again, it starts them again."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> dict[str, int]:
        processes = {name: start_server(name, home) for name in ("postgres", "valkey")}
        started.extend(processes.values())
        wait_for_servers(endpoints, silence_seconds=30)
        return {name: process.pid for name, process in processes.items()}

    yield start
    end_leftovers(home)
    for process in started:
        process.wait()


@pytest.fixture(scope="module")
def pids(start: Callable[[], dict[str, int]]) -> dict[str, int]:
    return start()


def test_both_refuse_a_wrong_password(pids: dict[str, int], endpoints: Endpoints) -> None:
    wrong = endpoints.database_url.replace(endpoints.postgres_password, "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=endpoints.valkey_port, retry=Retry(NoBackoff(), 0)).ping()


def test_what_holds_a_password_is_for_the_owner_only(pids: dict[str, int], home: Path) -> None:
    assert (home / "embedded.json").stat().st_mode & 0o777 == 0o600
    assert (home / "postgres").stat().st_mode & 0o777 == 0o700


def test_the_role_may_create_the_extensions(pids: dict[str, int], endpoints: Endpoints) -> None:
    with psycopg.connect(endpoints.database_url) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute("CREATE EXTENSION pg_trgm")
        assert connection.execute("SELECT '[1,2]'::vector <=> '[1,2]'").fetchone() == (0.0,)


def test_they_listen_on_loopback_only(pids: dict[str, int]) -> None:
    listening = [entry.laddr.ip for pid in pids.values() for entry in psutil.Process(pid).net_connections("inet")]
    assert set(listening) == {"127.0.0.1"}


def test_nothing_is_lost_when_both_are_killed(
    start: Callable[[], dict[str, int]], pids: dict[str, int], endpoints: Endpoints, home: Path
) -> None:
    with psycopg.connect(endpoints.database_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    redis.Redis.from_url(endpoints.cache_url).set("kept", "7")
    time.sleep(1.1)  # Valkey's log reaches the disk once a second

    for name in pids:
        os.kill(read_json(home / "run" / f"{name}.json")["pid"], signal.SIGKILL)
    start()

    with psycopg.connect(endpoints.database_url) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)
    assert redis.Redis.from_url(endpoints.cache_url).get("kept") == b"7"


def test_a_pid_file_that_names_a_stranger_does_not_keep_postgres_down(
    start: Callable[[], dict[str, int]], pids: dict[str, int], home: Path
) -> None:
    end_leftovers(home)
    # what a crash leaves when the pid has been given to another process of the same user since
    (home / "postgres" / "postmaster.pid").write_text(f"{os.getppid()}\n/elsewhere\n1000000000\n")

    assert set(start()) == {"postgres", "valkey"}


def test_passwords_and_free_ports_are_kept_and_a_taken_port_is_not(tmp_path: Path) -> None:
    first = choose_endpoints(tmp_path)
    assert choose_endpoints(tmp_path) == first

    with socket.create_server(("127.0.0.1", first.valkey_port)):
        second = choose_endpoints(tmp_path)

    assert second.valkey_port != first.valkey_port
    assert (second.postgres_port, second.valkey_password) == (first.postgres_port, first.valkey_password)


def test_leftovers_are_ended_but_not_a_stranger_with_a_recorded_pid(tmp_path: Path) -> None:
    sleepers = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) for _ in range(2)]
    ours, stranger = sleepers
    try:
        started_at = psutil.Process(ours.pid).create_time()
        write_secret_json(tmp_path / "run" / "web.json", {"pid": ours.pid, "started_at": started_at})
        write_secret_json(tmp_path / "run" / "beat.json", {"pid": stranger.pid, "started_at": started_at - 3600})

        assert living(tmp_path, "beat") is None
        assert end_leftovers(tmp_path) == ["web"]
        ours.wait(timeout=5)
        assert stranger.poll() is None
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()


def test_throw_away_servers_end_with_whoever_asked_for_them() -> None:
    program = (
        "import json, time\n"
        "from workers.throwaway import throwaway_servers\n"
        "with throwaway_servers(durable=False) as urls:\n"
        "    print(json.dumps(urls), flush=True)\n"
        "    time.sleep(60)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=PROJECT)
    with owner:
        assert owner.stdout is not None
        home = Path(json.loads(owner.stdout.readline())["FRESHET_HOME"])
        assert (home / "postgres").exists()
        owner.kill()

    deadline = time.monotonic() + 20
    while home.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not home.exists()
