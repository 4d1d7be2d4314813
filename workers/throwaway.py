"""PostgreSQL and Valkey of one's own for a test session or a bench: empty, on free ports, gone afterwards.

A guardian process holds them and waits for the end of its standard input. That end comes when the one who asked is done
and also when it was interrupted or killed, so nothing is left behind.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workers.servers.embedded import switch_durability_off
from workers.servers.endpoints import choose_endpoints
from workers.servers.readiness import wait_for_servers

_SERVERS = {
    "postgres": signal.SIGQUIT,
    "valkey": signal.SIGKILL,
}  # the data is thrown away: the quickest end is the best


@contextmanager
def throwaway_servers(*, durable: bool = True) -> Iterator[dict[str, str]]:
    """Yield {"DATABASE_URL", "CELERY_BROKER_URL", "CACHE_URL", "FRESHET_HOME"} of fresh servers, ready to answer.

    `durable=False` skips fsync: right for tests, wrong for whatever measures writes.
    Raises RuntimeError with the servers' own words when they do not start.
    """
    arguments = [sys.executable, "-m", "workers.throwaway", "durable" if durable else "fast"]
    project = Path(__file__).resolve().parent.parent
    guardian = subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=project, start_new_session=True
    )
    with guardian:  # leaving closes its standard input, then waits for it
        assert guardian.stdout is not None
        line = guardian.stdout.readline()
        if not line:
            raise RuntimeError("The throw-away servers did not start; what they said stands above.")
        yield json.loads(line)


def main(*, durable: bool) -> None:
    """Start the servers, print their URLs as one JSON line, and stop them when standard input ends."""
    home = Path(tempfile.mkdtemp(prefix="freshet-servers-"))
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        if not durable:
            switch_durability_off(home)
        endpoints = choose_endpoints(home)
        processes = {name: start_server(name, home) for name in _SERVERS}
        wait_for_servers(endpoints, give_up=lambda: any(process.poll() is not None for process in processes.values()))
        urls = {name.upper(): url for name, url in endpoints.urls().items()}
        print(json.dumps({**urls, "FRESHET_HOME": str(home)}), flush=True)
        sys.stdin.read()
    except TimeoutError:
        for log in sorted((home / "logs").glob("*.log")):
            sys.stderr.write(log.read_text(errors="replace"))
        raise
    finally:
        for name, process in processes.items():
            process.send_signal(_SERVERS[name])
            process.wait()
        shutil.rmtree(home, ignore_errors=True)


def start_server(name: str, home: Path) -> subprocess.Popen[bytes]:
    """Start `postgres` or `valkey` with the endpoints kept in `home`; its log is `home`/logs/NAME.log."""
    (home / "logs").mkdir(exist_ok=True)
    with (home / "logs" / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "workers.supervision.launch", name],
            env={**os.environ, "FRESHET_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


if __name__ == "__main__":
    main(durable=sys.argv[1:] == ["durable"])
