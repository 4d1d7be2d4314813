"""A small HTTP client that asks searches over kept-alive connections, in a process of its own, the same for both sides.

usage: python -m bench.serve_load URL KEY CLIENTS FILE   (FILE: one query, or one path that begins with /v1/, a line);
prints JSON: seconds, latencies, failed
"""

from __future__ import annotations

import sys
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote, urlsplit

import orjson


def ask(url: str, key: str, queries: list[str], latencies: list[float], failed: list[str]) -> None:
    """Ask queries one after the other over one connection; latencies in seconds."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    headers = {"Authorization": f"Api-Key {key}"}
    for query in queries:
        path = query if query.startswith("/v1/") else f"/v1/search?q={quote(query)}&k=20"
        started = time.perf_counter()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        latencies.append(time.perf_counter() - started)
        if answer.status != 200:
            failed.append(f"{answer.status} {query!r} {body[:200]!r}")


def main(url: str, key: str, clients: int, file: Path) -> None:
    """Share the queries out among the clients and print what they saw."""
    queries = file.read_text().splitlines()
    latencies: list[float] = []
    failed: list[str] = []
    threads = [
        threading.Thread(target=ask, args=(url, key, queries[n::clients], latencies, failed)) for n in range(clients)
    ]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    result = {"seconds": time.perf_counter() - started, "latencies": latencies, "failed": failed[:5]}
    sys.stdout.buffer.write(orjson.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
