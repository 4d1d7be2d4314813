"""Running the bare view as Freshet's web runs: gunicorn, as many processes and threads."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.error import URLError

from bench.harness import PROJECT

_TABLE = """
CREATE TABLE bench_peer_event (
  event_id uuid PRIMARY KEY, kind text NOT NULL, occurred_at timestamptz NOT NULL, data jsonb NOT NULL)"""


@contextmanager
def bare_view(*, workers: int, threads: int = 8) -> Iterator[str]:
    """Make the peer's table, serve it, yield its URL, and end it. Raises RuntimeError when it does not answer."""
    from eventlog.database import query
    from workers.servers.ports import choose_port

    query(_TABLE)
    url = f"http://127.0.0.1:{(port := choose_port())}"
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", str(workers),
               "--worker-class", "gthread", "--threads", str(threads), "--keep-alive", "30",
               "--log-level", "warning", "bench.ingest_peer:application"]  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    process = subprocess.Popen(command, cwd=PROJECT, env=environment)
    try:
        _wait(f"{url}/v1/events", process)
        yield url
    finally:
        process.terminate()
        process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(URLError, OSError), urllib.request.urlopen(url, timeout=2):
            return
        time.sleep(0.1)
    raise RuntimeError("the bare view did not start")
