"""`manage.py up`, which `make run` becomes: ready, survives kill -9, stops at Ctrl-C and leaves nothing running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import psutil
import pytest

from workers.servers.ports import choose_port
from workers.supervision.records import end_leftovers, living

PROJECT = Path(__file__).resolve().parent.parent.parent
# what would point it to this session's throw-away servers and settings
ELSEWHERE = ("DATABASE_URL", "CELERY_BROKER_URL", "CACHE_URL", "DJANGO_SETTINGS_MODULE")
PROCESSES = ("postgres", "valkey", "web", "projections", "embedding", "training", "beat")


class Running:
    """A `manage.py up` of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = choose_port()
        self._output = (home.parent / "output").open("a+")
        environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up"],
            cwd=PROJECT,
            env={**environment, "FRESHET_HOME": str(home), "PORT": str(self.port), "FRESHET_SAMPLE_SHOP": "0"},
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def said(self) -> str:
        self._output.seek(0)
        return self._output.read()

    def pid(self, name: str) -> int | None:
        process = living(self.home, name)
        return process.pid if process else None

    def ready(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/health/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def wait_until(self, condition: Callable[[], bool], *, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.1)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("up") / "home of a shop")
    try:
        running.wait_until(lambda: "Freshet is ready" in running.said(), seconds=120)
        yield running
    finally:
        running.process.kill()
        running.process.wait()
        end_leftovers(running.home)


def test_it_prints_a_key_that_works(running: Running) -> None:
    key = (running.home / "api_key").read_text().strip()
    assert key in running.said()
    address = f"http://127.0.0.1:{running.port}/v1/freshness"
    assert httpx.get(address, headers={"Authorization": f"Api-Key {key}"}, timeout=10).status_code == 200


def test_a_long_chinese_query_is_served_and_a_longer_one_answered_with_a_problem(running: Running) -> None:
    address = f"http://127.0.0.1:{running.port}/v1/search?q="
    key = {"Authorization": f"Api-Key {(running.home / 'api_key').read_text().strip()}"}
    assert httpx.get(address + quote("茶" * 890), headers=key, timeout=60).status_code == 200

    refused = httpx.get(address + quote("茶" * 1000), headers=key, timeout=10)

    assert refused.status_code == 414
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json()["code"] == "query_too_long"


@pytest.mark.parametrize("name", PROCESSES)
def test_what_is_killed_comes_back(running: Running, name: str) -> None:
    before = running.pid(name)
    assert before is not None
    os.kill(before, signal.SIGKILL)

    running.wait_until(lambda: running.pid(name) not in {None, before})
    running.wait_until(running.ready)


def test_a_second_one_in_the_same_home_is_refused(running: Running) -> None:
    second = Running(running.home)
    assert second.process.wait(timeout=30) == 1
    assert "runs here already" in second.said()


def test_it_survives_its_supervisor(running: Running) -> None:
    before = running.pid("supervisord")
    assert before is not None
    os.kill(before, signal.SIGKILL)

    running.wait_until(lambda: running.pid("supervisord") not in {None, before})
    running.wait_until(running.ready)


def test_ctrl_c_stops_all_of_it(running: Running) -> None:
    running.wait_until(lambda: all(running.pid(name) for name in PROCESSES))
    pids = [json.loads(file.read_text())["pid"] for file in (running.home / "run").glob("*.json")]
    assert len(pids) == len(PROCESSES) + 2  # supervisord and the command itself

    running.process.send_signal(signal.SIGINT)

    assert running.process.wait(timeout=60) == 0
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    assert not (running.home / "servers.json").exists()
