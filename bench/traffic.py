"""A shop's server as Freshet meets it: connections that are kept, and batches of what shoppers saw and did."""

from __future__ import annotations

import http.client
import random
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

import orjson
from tqdm import tqdm

from bench.shop import SHOP

INTERACTIONS = ("click", "view", "add_to_cart", "purchase", "favourite")
SHOWN = 10  # products of an impression
Answered = tuple[str, str, list[str]]  # query, ranking token, products of the answer


class Client:
    """One kept connection with an API key. Not for two threads at once."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        self._headers = {"Authorization": f"Api-Key {key}", "Content-Type": "application/json"}

    @property
    def local_port(self) -> int:
        """Our end of the connection, once something was asked."""
        return int(self._connection.sock.getsockname()[1])

    def close(self) -> None:
        self._connection.close()

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> dict[str, Any]:
        """Return the JSON of an answer. Raises RuntimeError for an error."""
        self._connection.request(method, path, body=body, headers={**self._headers, **headers})
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:500].decode(errors='replace')}")
        return orjson.loads(content) if content else {}

    def get(self, path: str) -> dict[str, Any]:
        return self.call("GET", path)

    def post(self, path: str, body: bytes) -> dict[str, Any]:
        return self.call("POST", path, body)

    def search(self, q: str, *, k: int = 20, explain: bool = False) -> dict[str, Any]:
        return self.get(f"/v1/search?q={quote(q)}&k={k}" + ("&explain=1" if explain else ""))


def api_key(*scopes: str) -> str:
    """A key of the shop with these scopes."""
    from config.api.keys import api_key_create
    from eventlog.models import Shop

    return api_key_create(shop=Shop.objects.get(id=SHOP), name="bench", scopes=scopes)[0]


@dataclass(frozen=True, slots=True)
class Goods:
    """What shoppers look for and what there is."""

    product_ids: list[str]
    queries: list[str]


def goods_read(*, seed: int, queries: int = 500) -> Goods:
    """All products of the shop, and queries of one to three words out of their titles."""
    from eventlog.database import rows

    found = rows("SELECT product_id, title FROM catalog_product WHERE retired_at IS NULL ORDER BY id")
    chance = random.Random(seed)
    made: dict[str, None] = {}
    for _ in range(20 * queries):
        words = chance.choice(found)[1].split()[:8]
        start = chance.randrange(len(words))
        made.setdefault(" ".join(words[start : start + chance.randint(1, 3)])[:200])
        if len(made) == queries:
            break
    return Goods([product_id for product_id, _ in found], list(made))


def tokens_gather(client: Client, goods: Goods) -> list[Answered]:
    """Ask every query once and keep what was answered."""
    found: list[Answered] = []
    for query in tqdm(goods.queries, desc="searches", file=sys.stderr):
        answer = client.search(query, k=SHOWN)
        if answer["items"]:
            found.append((query, answer["ranking"]["token"], [item["product_id"] for item in answer["items"]]))
    return found


def events_make(answers: Sequence[Answered], *, count: int, seed: int) -> list[Any]:
    """`count` events of 20,000 shoppers: each was given an answer of their own, saw it, and some did something with it.

    All happened at one moment, so that decayed sums can be counted exactly. An answer's token differs from every other
    in when it was made, as those of searches do.
    """
    from feedback.ranking_token import token_read, token_sign

    chance = random.Random(seed)
    at = datetime.now(UTC).isoformat()
    made = [(query, token_read(token, SHOP), items) for query, token, items in answers]
    events: list[Any] = []
    while len(events) < count:
        query, token, items = chance.choice(made)
        own = token_sign(replace(token, now=token.now - 60.0 * chance.random()))
        person = chance.randrange(20_000)
        about = {
            "occurred_at": at,
            "shopper_id": f"u-{person}",
            "session_id": f"s-{person}-{chance.randrange(3)}",
            "query": query,
            "ranking_token": own,
        }
        events.append({"event_id": _uuid(chance), "kind": "impression", **about, "items": items})
        for _ in range(chance.choice((0, 1, 1, 2))):
            rank = min(int(chance.expovariate(0.4)), len(items) - 1)
            kind = chance.choices(INTERACTIONS, (70, 15, 8, 4, 3))[0]
            acted = {"event_id": _uuid(chance), "kind": kind, "product_id": items[rank], "rank": rank + 1}
            events.append(acted | about)
    return events[:count]


def _uuid(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def bodies_make(events: Sequence[Any], size: int) -> list[bytes]:
    """Bodies of POST /v1/events with `size` events each."""
    return [orjson.dumps({"events": events[start : start + size]}) for start in range(0, len(events), size)]


@dataclass(slots=True)
class Sent:
    """What came of sending batches: answers counted, seconds of each call, when the first began and the last ended."""

    counts: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    started_at: float = 0.0
    ended_at: float = 0.0

    @property
    def per_second(self) -> float:
        return self.counts["accepted"] / (self.ended_at - self.started_at)


def send(url: str, key: str, bodies: Sequence[bytes], *, threads: int, done: Any = None) -> Sent:
    """Send every body once, over as many connections at once; `done` is called after each."""
    sent, lock, left = Sent(), threading.Lock(), iter(bodies)
    failures: list[BaseException] = []

    def run() -> None:
        client = Client(url, key)
        try:
            for body in _shared(left, lock):
                began = time.perf_counter()
                answer = client.post("/v1/events", body)
                took = time.perf_counter() - began
                with lock:
                    sent.counts.update(
                        accepted=answer["accepted"], duplicates=answer["duplicates"], rejected=len(answer["rejected"])
                    )
                    sent.seconds.append(took)
                if done is not None:
                    done()
        except BaseException as error:  # noqa: BLE001 - raised again below, by the thread that waits
            failures.append(error)

    sent.started_at = time.perf_counter()
    running = [threading.Thread(target=run, daemon=True) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    sent.ended_at = time.perf_counter()
    if failures:
        raise failures[0]
    return sent


def _shared(bodies: Iterator[bytes], lock: threading.Lock) -> Iterator[bytes]:
    while True:
        with lock:
            body = next(bodies, None)
        if body is None:
            return
        yield body
