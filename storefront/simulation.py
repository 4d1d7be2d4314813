"""Shoppers at work: search, look, click, and what their searches show about learning."""

import random
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from storefront.api_client import ApiClient
from storefront.shoppers import Action, Taste, ndcg_at_k, query_popularity, shopper_actions

SHOWN = 10
SHOPPERS = 400
BATCH_EVENTS = 200
BATCH_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One search of one shopper: how good the answer was by the taste of the moment, and what she did."""

    moment: float
    ndcg: float
    first_answer_ndcg: float
    clicked_in_top_3: bool
    actions: int
    age_seconds: float


@dataclass(frozen=True, kw_only=True)
class Window:
    """The visits of one stretch of the run, averaged."""

    start: float
    end: float
    visits: int
    ndcg: float
    first_answer_ndcg: float
    clicked_in_top_3: float
    age_seconds: float


class EventBuffer:
    """Collects events and posts them in batches; whoever uses it posts the rest with `flush`."""

    def __init__(self, *, client: ApiClient, clock: Callable[[], float]) -> None:
        self.accepted, self.rejected = 0, 0
        self._client, self._clock = client, clock
        self._events: list[dict[str, Any]] = []
        self._since = clock()

    def add(self, events: Sequence[dict[str, Any]]) -> None:
        """Keep events, and post all when there are many or the oldest has waited long enough."""
        self._events.extend(events)
        if len(self._events) >= BATCH_EVENTS or self._clock() - self._since >= BATCH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Post what is kept. Raises ApiRefused."""
        if self._events:
            answer = self._client.send_events(self._events)
            self.accepted += answer["accepted"]
            self.rejected += len(answer["rejected"])
        self._events, self._since = [], self._clock()


def visits(
    *, client: ApiClient, taste: Taste, seed: int, rate: float, progress: Callable[[int], float], events: EventBuffer
) -> Iterator[Visit]:
    """Let shoppers search until `progress(visits so far)` reaches 1, at most `rate` searches a second.

    `progress` is the moment in [0, 1] that tastes depend on: by the clock or by the number of searches.
    """
    rng = random.Random(seed)
    queries, weights = query_popularity(queries=list(taste.ratings), seed=seed)
    first_answers: dict[str, list[str]] = {}
    started, done = time.monotonic(), 0
    while (moment := progress(done)) < 1:
        query = rng.choices(queries, cum_weights=weights)[0]
        answer = client.search(query=query, k=SHOWN)
        visit, actions = _visit(query=query, answer=answer, taste=taste, moment=moment, first=first_answers, rng=rng)
        events.add(visit_events(query=query, answer=answer, actions=actions, shopper=rng.randrange(SHOPPERS)))
        yield visit
        done += 1
        time.sleep(max(0.0, started + done / rate - time.monotonic()))
    events.flush()


def _visit(
    *, query: str, answer: dict[str, Any], taste: Taste, moment: float, first: dict[str, list[str]], rng: random.Random
) -> tuple[Visit, list[Action]]:
    shown = [item["product_id"] for item in answer["items"]]

    def relevance(product_id: str) -> float:
        return taste.relevance(query=query, product_id=product_id, moment=moment)

    def quality(product_ids: Sequence[str]) -> float:
        ideal = taste.ideal(query=query, moment=moment)
        return ndcg_at_k(gains=[relevance(product_id) for product_id in product_ids], ideal=ideal, k=SHOWN)

    actions = shopper_actions(shown=shown, relevance=relevance, rng=rng)
    visit = Visit(
        moment=moment,
        ndcg=quality(shown),
        first_answer_ndcg=quality(first.setdefault(query, shown)),
        clicked_in_top_3=any(action.rank <= 3 for action in actions),
        actions=len(actions),
        age_seconds=answer["ranking"]["age_seconds"],
    )
    return visit, actions


def visit_events(
    *, query: str, answer: dict[str, Any], actions: Sequence[Action], shopper: int
) -> list[dict[str, Any]]:
    """Return the impression of an answer and what followed, in the format of `POST /v1/events`."""
    token, prices = answer["ranking"]["token"], {item["product_id"]: item.get("price") for item in answer["items"]}
    common = {"shopper_id": f"simulated-{shopper}", "session_id": uuid.uuid4().hex, "ranking_token": token}
    events: list[dict[str, Any]] = [{"kind": "impression", "items": list(prices)}] if prices else []
    for action in actions:
        event = {"kind": action.kind, "product_id": action.product_id, "query": query, "rank": action.rank}
        if action.kind == "purchase" and prices[action.product_id] is not None:
            event |= {"quantity": 1, "price": prices[action.product_id]}
        events.append(event)
    now = datetime.now(UTC).isoformat()
    return [{"event_id": uuid.uuid4().hex, "occurred_at": now} | common | event for event in events]


def windows(seen: Sequence[Visit], *, count: int) -> list[Window]:
    """Average visits over `count` equal stretches of the run; a stretch without visits is left out."""
    stretches: list[list[Visit]] = [[] for _ in range(count)]
    for visit in seen:
        stretches[min(count - 1, int(visit.moment * count))].append(visit)
    return [
        Window(
            start=place / count,
            end=(place + 1) / count,
            visits=len(stretch),
            ndcg=_mean([visit.ndcg for visit in stretch]),
            first_answer_ndcg=_mean([visit.first_answer_ndcg for visit in stretch]),
            clicked_in_top_3=_mean([float(visit.clicked_in_top_3) for visit in stretch]),
            age_seconds=_mean([visit.age_seconds for visit in stretch]),
        )
        for place, stretch in enumerate(stretches)
        if stretch
    ]


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)
