"""Simulated shoppers: what they look at, what they click, how tastes change, and that a shop that learns is seen to."""

import json
import random
from collections import Counter, defaultdict
from datetime import datetime
from typing import Any

import httpx
import pytest

from storefront.api_client import ApiClient, ApiRefused
from storefront.management.commands.simulate_shoppers import summary
from storefront.shoppers import (
    FAVOURITE_APPEAL,
    OTHER_APPEAL,
    Product,
    appeals,
    examination,
    flipped,
    ndcg_at_k,
    new_share,
    query_popularity,
    sample_taste,
    shopper_actions,
)
from storefront.simulation import EventBuffer, Visit, Window, visits, windows

BOOTS = [Product(product_id=f"boots-{n}", kind="boots", released_at=f"2025-01-{n:02d}") for n in range(1, 9)]


def test_the_first_result_is_always_looked_at_and_the_third_half_the_time() -> None:
    assert examination(1) == 1.0
    assert examination(3) == 0.5


def test_every_looked_at_product_that_is_surely_liked_is_clicked() -> None:
    actions = shopper_actions(shown=["a"], relevance=lambda _: 1.0, rng=random.Random(1))

    assert (actions[0].kind, actions[0].product_id, actions[0].rank) == ("click", "a", 1)


def test_nothing_is_clicked_that_nobody_likes() -> None:
    assert shopper_actions(shown=list("abc"), relevance=lambda _: 0.0, rng=random.Random(1)) == []


def test_clicks_follow_examination_and_relevance() -> None:
    rng, clicks = random.Random(3), Counter[int]()
    for _ in range(20_000):
        for action in shopper_actions(shown=list("abc"), relevance=lambda _: 0.4, rng=rng):
            clicks[action.rank] += action.kind == "click"

    assert clicks[1] / 20_000 == pytest.approx(0.4, abs=0.02)
    assert clicks[3] / 20_000 == pytest.approx(0.2, abs=0.02)


def test_a_purchase_follows_a_basket_and_a_basket_follows_a_click() -> None:
    rng = random.Random(5)
    stories = {tuple(a.kind for a in shopper_actions(shown=["a"], relevance=lambda _: 1, rng=rng)) for _ in range(200)}

    assert stories == {("click",), ("click", "add_to_cart"), ("click", "add_to_cart", "purchase")}


@pytest.mark.parametrize(
    ("trend", "moment", "share"),
    [("none", 1.0, 0.0), ("flip", 0.49, 0.0), ("flip", 0.5, 1.0), ("drift", 0.25, 0.25), ("drift", 2.0, 1.0)],
)
def test_a_trend_decides_how_much_of_the_new_taste_holds(trend: Any, moment: float, share: float) -> None:
    assert new_share(trend=trend, moment=moment) == share


def test_a_flipped_kind_likes_its_two_newest_products() -> None:
    before = appeals(products=BOOTS, rng=random.Random(1))
    flips = [flipped(products=BOOTS, before=before, rng=random.Random(seed)) for seed in range(50)]
    changed = next(new for new in flips if new != before)

    assert changed.keys() == before.keys()
    assert {key for key, appeal in changed.items() if appeal == FAVOURITE_APPEAL} == {"boots-7", "boots-8"}
    assert set(changed.values()) == {FAVOURITE_APPEAL, OTHER_APPEAL}


def test_the_taste_is_the_same_for_the_same_seed_and_moves_in_the_middle() -> None:
    taste = sample_taste(seed=7, trend="flip")
    query = "hiking boots"

    assert taste == sample_taste(seed=7, trend="flip")
    assert taste != sample_taste(seed=8, trend="flip")
    assert taste.ideal(query=query, moment=0.0) == sorted(taste.ideal(query=query, moment=0.0), reverse=True)
    assert taste.relevance(query=query, product_id="no such product", moment=0.0) < 0.01


def test_few_queries_are_asked_often() -> None:
    queries, weights = query_popularity(queries=[str(n) for n in range(100)], seed=1)
    asked = Counter(random.Random(1).choices(queries, cum_weights=weights, k=10_000))

    assert asked.most_common(1)[0][0] == queries[0]
    assert 0.15 < asked[queries[0]] / 10_000 < 0.35


def test_ndcg_is_one_for_the_ideal_order_and_less_for_any_other() -> None:
    assert ndcg_at_k(gains=[3, 2, 1], ideal=[3, 2, 1], k=10) == 1.0
    assert ndcg_at_k(gains=[1, 2, 3], ideal=[3, 2, 1], k=10) < 1.0
    assert ndcg_at_k(gains=[0, 1], ideal=[1], k=2) == pytest.approx(0.6309, abs=1e-4)
    assert ndcg_at_k(gains=[], ideal=[], k=10) == 0.0


def test_windows_average_the_visits_of_their_stretch() -> None:
    def visit(moment: float, ndcg: float) -> Visit:
        return Visit(
            moment=moment, ndcg=ndcg, first_answer_ndcg=0.5, clicked_in_top_3=ndcg > 0.5, actions=1, age_seconds=0.0
        )

    first, last = windows([visit(0.1, 0.4), visit(0.4, 0.8), visit(0.99, 1.0)], count=2)

    assert (first.visits, first.clicked_in_top_3) == (2, 0.5)
    assert first.ndcg == pytest.approx(0.6)
    assert (last.visits, last.ndcg) == (1, 1.0)


def test_the_summary_keeps_the_two_tastes_apart() -> None:
    quality = [0.5, 0.6, 0.3, 0.7]
    stretches = [
        Window(
            start=n / 4,
            end=(n + 1) / 4,
            visits=9,
            ndcg=ndcg,
            first_answer_ndcg=0.4,
            clicked_in_top_3=0.5,
            age_seconds=0.0,
        )
        for n, ndcg in enumerate(quality)
    ]

    before, after, end = summary(stretches, trend="flip")

    assert "+0.100 nDCG@10 in the first part and +0.200 in the last" in before
    assert "-0.100 nDCG@10 in the first part and +0.300 in the last" in after
    assert "score 0.700" in end
    assert "+0.100 nDCG@10 in the first part and +0.300 in the last" in summary(stretches, trend="drift")[0]


class CountingShop:
    """An API that ranks the judged products of a query by the clicks it has been sent."""

    def __init__(self, *, learns: bool) -> None:
        self.taste = sample_taste(seed=7, trend="none")
        self.learns = learns
        self.clicks: dict[str, Counter[str]] = defaultdict(Counter)
        self.events: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/events":
            return httpx.Response(200, json=self._take(json.loads(request.content)["events"]))
        query = request.url.params["q"]
        ranked = sorted(self.taste.ratings[query], key=lambda p: (-self.clicks[query][p], p))
        items = [{"product_id": p, "price": 1.0} for p in ranked[: int(request.url.params["k"])]]
        return httpx.Response(200, json={"ranking": {"token": query, "age_seconds": 0.0}, "items": items})

    def _take(self, events: list[dict[str, Any]]) -> dict[str, Any]:
        self.events += events
        for event in events:
            if self.learns and event["kind"] == "click":
                self.clicks[event["query"]][event["product_id"]] += 1
        return {"accepted": len(events), "rejected": [], "receipt": "r"}


def walk(shop: CountingShop, *, searches: int) -> tuple[list[Visit], EventBuffer]:
    client = ApiClient(url="http://shop", key="k", transport=httpx.MockTransport(shop))
    events = EventBuffer(client=client, clock=lambda: 0.0)
    run = visits(
        client=client, taste=shop.taste, seed=7, rate=1e6, progress=lambda done: done / searches, events=events
    )
    return list(run), events


def test_a_shop_that_learns_is_seen_to_and_one_that_does_not_is_not() -> None:
    learned = windows(walk(CountingShop(learns=True), searches=3000)[0], count=4)
    stayed = windows(walk(CountingShop(learns=False), searches=1000)[0], count=4)

    assert learned[-1].ndcg > learned[-1].first_answer_ndcg + 0.05
    assert stayed[-1].ndcg == stayed[-1].first_answer_ndcg


def test_every_event_has_an_id_of_its_own_and_what_the_api_asks_for() -> None:
    shop = CountingShop(learns=True)
    seen, events = walk(shop, searches=150)
    clicks = [event for event in shop.events if event["kind"] == "click"]

    assert events.accepted == len(shop.events) == len({event["event_id"] for event in shop.events})
    assert sum(event["kind"] == "impression" for event in shop.events) == len(seen)
    assert all(event["rank"] >= 1 and event["ranking_token"] == event["query"] for event in clicks)
    assert all(datetime.fromisoformat(event["occurred_at"]).tzinfo for event in shop.events)


def test_the_client_waits_as_long_as_it_is_asked_to() -> None:
    answers = [httpx.Response(429, headers={"Retry-After": "3"}), httpx.Response(200, json={"position": 1})]
    waited: list[float] = []
    client = ApiClient(
        url="http://shop", key="k", transport=httpx.MockTransport(lambda _: answers.pop(0)), sleep=waited.append
    )

    assert client.freshness() == {"position": 1}
    assert waited == [3.0]


def test_a_refusal_says_what_the_api_answered() -> None:
    refuse = httpx.MockTransport(lambda _: httpx.Response(403, json={"code": "wrong_scope"}))

    with pytest.raises(ApiRefused, match="wrong_scope"):
        ApiClient(url="http://shop", key="k", transport=refuse).search(query="boots", k=10)


def test_an_api_that_stays_away_is_given_up_on() -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    client = ApiClient(url="http://shop", key="k", transport=httpx.MockTransport(away), sleep=lambda _: None)

    with pytest.raises(ApiRefused, match="after 6 tries"):
        client.send_events([{"event_id": "1"}])
