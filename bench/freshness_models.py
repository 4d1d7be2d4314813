"""Promoting minor versions: how long until no process answers with the version before."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psutil

from bench.running import wait_for
from bench.shop import SHOP
from bench.traffic import Client

CONNECTIONS = 24  # kept ones stay with the process that took them; so many meet every process
QUERY = "a query that every process is asked"


def versions_register(count: int) -> list[str]:
    """Register untrained minor versions that differ in their heads; return their numbers when they can be promoted."""
    from eventlog.database import scalar
    from eventlog.receipts import row_visible
    from ranking.events import ModelVersionTrained
    from ranking.learning.artefact import artefact_read, artefact_write
    from ranking.registry import artefact_hash, artefact_load, model_next_minor, model_register, model_serving

    serving = model_serving(shop_id=SHOP)
    assert serving is not None, "the embedding worker registered 1.0"
    parent = artefact_read(artefact_load(serving.artefact))
    numbers = []
    for n in range(count):
        head = replace(parent.head, lexical=parent.head.lexical * (1.0 + 0.01 * (n + 1)))
        content = artefact_write(replace(parent, head=head))
        number = f"{serving.major}.{model_next_minor(shop_id=SHOP, major=serving.major)}"
        trained = ModelVersionTrained(
            version=number,
            encoder=serving.encoder,
            artefact=artefact_hash(content),
            parent=serving.version,
            config=serving.config,
        )
        model_register(shop_id=SHOP, trained=trained, artefact=content, now=datetime.now(UTC))
        numbers.append(number)
    newest = int(scalar("SELECT max(id) FROM eventlog_event"))
    wait_for(lambda: row_visible(newest)["visible"], 60, "the model versions do not come")
    return numbers


@contextmanager
def every_process(url: str, key: str, *, web_workers: int) -> Iterator[list[Client]]:
    """Connections of which every process of gunicorn holds at least one. Raises RuntimeError when one holds none."""
    clients = [Client(url, key) for _ in range(CONNECTIONS)]
    for client in clients:
        client.search(QUERY, k=1)
    holders = _holders({client.local_port for client in clients}, url)
    if len(holders) < web_workers:
        raise RuntimeError(f"{len(holders)} of {web_workers} processes hold a connection")
    try:
        yield clients
    finally:
        for client in clients:
            client.close()


def _holders(local_ports: set[int], url: str) -> set[int]:
    port = int(url.rpartition(":")[2])
    return {
        process.pid
        for process in psutil.process_iter()
        for connection in _connections(process)
        if connection.laddr
        and connection.raddr
        and connection.laddr.port == port
        and connection.raddr.port in local_ports
    }


def _connections(process: psutil.Process) -> list[Any]:
    try:
        return list(process.net_connections("tcp"))
    except psutil.Error:  # it ended, or is somebody else's: then it is none of ours
        return []


def promote(operator: Client, clients: list[Client], version: str) -> float:
    """Promote by REST; seconds from that answer until every connection was answered by this version."""
    operator.post(f"/v1/models/{version}/promote", b"")
    since = time.perf_counter()
    left = clients
    while left:
        left = [client for client in left if client.search(QUERY, k=1)["ranking"]["model"] != version]
        if time.perf_counter() - since > 60:
            raise RuntimeError(f"{len(left)} connections do not answer with {version}")
    return time.perf_counter() - since
