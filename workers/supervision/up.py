"""Everything that `manage.py up` does, from nothing to a stop that leaves nothing running."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psutil

from workers.servers.embedded import needed_servers, publish, withdraw
from workers.servers.endpoints import Endpoints, choose_endpoints
from workers.servers.ports import is_free
from workers.servers.readiness import wait_for_servers
from workers.supervision.procfile import PROJECT, read_procfile
from workers.supervision.records import end_leftovers, living, record
from workers.supervision.supervisord import Supervisor, start_supervisor
from workers.supervision.terminal import LogEcho, own_foreground

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_POLL_SECONDS = 0.2
# what a search and an event need; the others start when these are up, so that they do not share the cores with them
_FIRST = ("web", "projections")


class CannotStart(Exception):
    """Freshet cannot start; the message says what is in the way and what to do."""


class _StopRequested(BaseException):
    """Ctrl-C, SIGTERM or a closed terminal. Not an Exception: nothing on the way may take it for a failure."""


def run_everything(*, home: Path, port: int) -> None:
    """Run Freshet in the foreground until it is asked to stop; then stop all of it.

    Raises CannotStart.
    """
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)  # it holds passwords and the shop's data
    for folder in ("run", "logs", "static"):
        (home / folder).mkdir(exist_ok=True)
    with _only_one(home), own_foreground():
        for number in _STOP_SIGNALS:
            signal.signal(number, _request_stop)
        try:
            _run(home, port)
        except _StopRequested:
            print("\nStopping.", flush=True)
        finally:
            for number in _STOP_SIGNALS:
                signal.signal(number, signal.SIG_IGN)  # an impatient second Ctrl-C must not leave half of it running
            end_leftovers(home)
            withdraw(home)
    print("Stopped; nothing is left running.", flush=True)


def _run(home: Path, port: int) -> None:
    if left := end_leftovers(home):
        print(f"Ended what an earlier run left behind: {', '.join(left)}.", flush=True)
    if not is_free(port):
        raise CannotStart(f"Something else listens on port {port}. Choose another: PORT={port + 1} make run")
    echo = LogEcho(home / "logs", ["supervisord", *read_procfile()])
    begun = time.monotonic()
    supervisor = _start(home, first=True)
    while True:
        if _wait_until_ready(supervisor, port, echo):
            _tell_ready(home, port, seconds=time.monotonic() - begun)
        while supervisor.alive():
            echo.print_new()
            time.sleep(_POLL_SECONDS)
        print("supervisord died; starting everything again.", flush=True)
        end_leftovers(home)
        begun = time.monotonic()
        supervisor = _start(home, first=False)


def _start(home: Path, *, first: bool) -> Supervisor:
    """Start the servers, bring the database up to date, then start the processes."""
    servers = needed_servers()
    endpoints = choose_endpoints(home)
    supervisor = start_supervisor(home, servers=servers)
    if servers:
        _wait_for_servers(home, endpoints, servers, supervisor)
        publish(home, endpoints, servers=servers)
    if first and subprocess.run([sys.executable, "manage.py", "set_up"], cwd=PROJECT, check=False).returncode:
        raise CannotStart("The set-up failed; what it said stands above.")
    supervisor.start_processes(_FIRST)
    return supervisor


def _wait_for_servers(home: Path, endpoints: Endpoints, servers: tuple[str, ...], supervisor: Supervisor) -> None:
    try:
        wait_for_servers(endpoints, servers=servers, give_up=lambda: not supervisor.alive())
    except TimeoutError as error:
        log = home / "logs" / f"{error}.log"
        said = "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else "nothing"
        raise CannotStart(f"{error} does not start. The end of {log}:\n{said}") from None


def _wait_until_ready(supervisor: Supervisor, port: int, echo: LogEcho) -> bool:
    """Return when the API answers that it is ready, False when the supervisor died before."""
    hint_at = time.monotonic() + 120
    later = [name for name in read_procfile() if name not in _FIRST]
    while supervisor.alive():
        # alive, not ready: an event that waits since a crash may need the beat before it is applied
        if later and _answers(port, "live"):
            try:
                supervisor.start_processes(later)
            except OSError:
                continue  # it died this moment: the caller starts everything again
            later = []
        if not later and _answers(port, "ready"):
            return True
        echo.print_new()
        if time.monotonic() > hint_at:
            hint_at = float("inf")
            print(f"Not ready yet; http://127.0.0.1:{port}/health/ready says what is missing.", flush=True)
        time.sleep(_POLL_SECONDS)
    return False


def _answers(port: int, probe: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/{probe}", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _tell_ready(home: Path, port: int, *, seconds: float) -> None:
    key = home / "api_key"
    print(f"\nFreshet is ready after {seconds:.1f} s: http://127.0.0.1:{port}/")
    if key.exists():
        print(f"API key (search, events, catalog, operate; kept in {key}): {key.read_text().strip()}")
    print("Ctrl-C stops everything.\n", flush=True)


def _request_stop(number: int, frame: FrameType | None) -> NoReturn:
    raise _StopRequested


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    """Hold the home for this process: two would fight over one database."""
    with (home / "run" / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = living(home, "up")
            pid = other.pid if other else "?"
            raise CannotStart(f"Freshet runs here already (pid {pid}); `make stop` ends it.") from None
        record(home, name="up", pid=os.getpid())
        try:
            yield
        finally:
            (home / "run" / "up.json").unlink(missing_ok=True)


def stop_everything(*, home: Path, patience_seconds: float = 120) -> list[str]:
    """Stop a running `manage.py up`, then whatever a crash left behind; return the names of what was ended."""
    running = living(home, "up")
    if running:
        running.terminate()
        for stubborn in psutil.wait_procs([running], timeout=patience_seconds)[1]:
            stubborn.kill()
    left = end_leftovers(home)
    withdraw(home)
    return [*(["up"] if running else []), *left]
