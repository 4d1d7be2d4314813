"""The real processes of the Procfile, for a bench: started by name, ended by pid, whatever happens in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.error import URLError

from bench.harness import PROJECT

_STOP_SECONDS = 10.0


class Fleet:
    """Processes of the Procfile in their own process groups; leaving the context ends them all."""

    def __init__(self, home: Path) -> None:
        self._logs = home / "logs"
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self._logs.mkdir(exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start_web(self, *, workers: int = 2, wait_seconds: float = 60.0) -> str:
        """Start gunicorn on a free port and return its URL as soon as it answers."""
        from workers.servers.ports import choose_port

        port = choose_port()
        self.start("web", PORT=str(port), WEB_CONCURRENCY=str(workers))
        url = f"http://127.0.0.1:{port}"
        self._wait("web", lambda: _answers(f"{url}/health/live"), wait_seconds)
        return url

    def start_projection_worker(self) -> None:
        """Start the Celery worker that sequences and drains. It is ready a few seconds later, when it loaded the apps."""
        self.start("projections")

    def start_embedding_worker(self) -> None:
        """Start the Celery worker of the `embedding` queue."""
        self.start("embedding")

    def start_training_worker(self) -> None:
        """Start the Celery worker of the `training` queue."""
        self.start("training")

    def start_beat(self) -> None:
        """Start Celery's clock."""
        self.start("beat")

    def start(self, name: str, **environment: str) -> int:
        """Start a process of the Procfile and return its pid."""
        from workers.supervision.procfile import read_procfile

        if name in self._running:
            raise ValueError(f"{name} runs already")
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        with (self._logs / f"bench-{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {read_procfile()[name]}"],
                cwd=PROJECT,
                env={**os.environ, "PATH": path, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self._running[name].pid

    def kill(self, name: str) -> None:
        """kill -9 a process and its children, as a crash would."""
        process = self._running.pop(name)
        _signal(process, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """End every process: politely, and after a while not."""
        processes = list(self._running.values())
        self._running.clear()
        for process in processes:
            _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
        for process in processes:
            _signal(process, signal.SIGKILL)  # the group: children that outlived their parent as well
            process.wait()

    def log(self, name: str) -> str:
        """The last lines a process wrote."""
        return "".join((self._logs / f"bench-{name}.log").read_text(errors="replace").splitlines(keepends=True)[-30:])

    def _wait(self, name: str, ready: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            if self._running[name].poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} did not get ready in {seconds:.0f} s; it said:\n{self.log(name)}")
            time.sleep(0.1)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # nobody of that group is left, which is what was wanted
        os.killpg(process.pid, number)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
