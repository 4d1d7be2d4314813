"""Ranking's read models are the same rows live, rebuilt, and however the log is cut into batches."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from catalog.services import description_revise, product_retire, products_upsert
from eventlog.consume import drain as drain_projection
from eventlog.database import query, rows
from eventlog.events import NewEvent
from eventlog.projection import Projection
from eventlog.rebuild import rebuild
from eventlog.selectors import last_position
from eventlog.services import append, sequence
from feedback.services import events_record
from ranking.cadence import learning_set
from ranking.events import ExaminationEstimated
from ranking.judgements import judgements_record
from ranking.policies import shop_embed
from ranking.privacy import Privacy, privacy_set
from ranking.projections.contexts import contexts
from ranking.projections.judgements import judgements
from ranking.projections.models import models
from ranking.projections.postings import postings
from ranking.projections.privacy import privacy
from ranking.projections.result_lists import result_lists
from ranking.projections.vectors import vectors
from ranking.projections.visits import visits
from ranking.projections.weights import weights
from ranking.query_refresh import result_lists_refresh
from ranking.registry import model_promote
from ranking.services import lexical_statistics_publish, weights_put
from ranking.signal_setting import signals_set
from ranking.visits.asked import joined
from ranking.visits.companions import SUMS
from ranking.visits.reading import items_by_number
from tests.cast import PRODUCTS, SHOP_ID, drain

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)  # so that the events' own times count, not that of the test
QUERIES = ("red shoes", "red shoe", "tea cup", "cup of tea", "蓝牙耳机", "music", "!!!", "waterproof coat", "teacup")
KINDS = ("view", "click", "click", "add_to_cart", "purchase", "favourite", "dismiss")
WORDS = [
    "red", "blue", "tea", "cup", "coat", "shoe", "music", "winter", "summer", "light", "heavy", "耳机", "茶杯", "old", "new",
    "300ml", "mbs-100",
]  # fmt: skip
PROJECTIONS: tuple[Projection, ...] = (
    postings, weights, vectors, contexts, models, result_lists, judgements, privacy, visits,
)  # fmt: skip
BY_NAME = {projection.name: projection for projection in PROJECTIONS}


class History:
    """A random past of the small shop: everything that changes a ranking, in any order."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.versions = {product["product_id"]: 1 for product in PRODUCTS}
        self.now = LONG_AGO
        products_upsert(shop_id=SHOP_ID, items=PRODUCTS, origin="api", now=self.now)
        drain()
        shop_embed(shop_id=SHOP_ID, now=self.now)

    def live(self, steps: int) -> None:
        """Let so many things happen; sequenced at random moments, so that runs of the log vary."""
        acts = (self.click, self.click, self.click, self.see, self.see, self.weigh, self.revise, self.revise,
                self.publish, self.bring, self.retire, self.refresh, self.judge, self.pace, self.estimate, self.hide,
                self.signal)  # fmt: skip
        for _ in range(steps):
            self.now += timedelta(seconds=self.chance.choice([0, 1, 60, 3600, 86_400]))
            self.chance.choice(acts)()
            if self.chance.random() < 0.3:
                sequence()
        drain()
        shop_embed(shop_id=SHOP_ID, now=self.now)
        model_promote(shop_id=SHOP_ID, version="1.0", reason="again", now=self.now)
        drain()

    def product(self) -> str:
        return str(self.chance.choice([*self.versions, "unknown"]))

    def event(self, **members: Any) -> None:
        late = timedelta(seconds=self.chance.choice([0, 0, 30, 10_000, 1_000_000]))
        event = {"event_id": f"e-{self.chance.random()}", "occurred_at": (self.now - late).isoformat(), **members}
        if self.chance.random() < 0.8:
            event["query"] = self.chance.choice(QUERIES)
        assert not events_record(shop_id=SHOP_ID, items=[event], now=self.now).rejected

    def click(self) -> None:
        self.event(kind=self.chance.choice(KINDS), product_id=self.product(), shopper_id="alice")

    def see(self) -> None:
        items = self.chance.sample([*self.versions, "unknown"], 4)
        self.event(kind="impression", items=items, rank=self.chance.choice([1, 5]), shopper_id="bob")

    def weigh(self) -> None:
        weight = {"product_id": self.product(), "weight": self.chance.uniform(0, 3)}
        more = self.chance.choice([{}, {"query": self.chance.choice(QUERIES[:5])}, {"until": "2026-06-01T00:00:00Z"}])
        weights_put(shop_id=SHOP_ID, body={"weights": [weight | more]}, now=self.now)

    def judge(self) -> None:
        query, rating = self.chance.choice(QUERIES[:3]), self.chance.choice([0, 1, 2, 3])
        items = [{"query": query, "product_id": self.product(), "rating": rating}]
        assert not judgements_record(shop_id=SHOP_ID, items=items, now=self.now).rejected

    def pace(self) -> None:
        learning_set(shop_id=SHOP_ID, learning=self.chance.choice(["live", "daily", "frozen"]), now=self.now)

    def estimate(self) -> None:
        curve = [1.0, *sorted((self.chance.uniform(0.05, 1) for _ in range(self.chance.randrange(1, 6))), reverse=True)]
        estimated = ExaminationEstimated(curve=curve, method="em", clicks=500, to_position=1)
        append(shop_id=SHOP_ID, events=[NewEvent(event=estimated, occurred_at=self.now)])

    def hide(self) -> None:
        asked = Privacy(self.chance.choice([None, 1.0, 3.0]), 1e-6, budget=self.chance.choice([3.0, 8.0]))
        privacy_set(shop_id=SHOP_ID, privacy=asked, now=self.now)

    def signal(self) -> None:
        signals = {
            "click": self.chance.choice([0.5, 1.0, 2.0]),
            "context_half_life_seconds": self.chance.choice([3600.0, 1e6]),
            "breadth_half_life_seconds": self.chance.choice([3600.0, 1e6]),
        }
        signals_set(shop_id=SHOP_ID, signals=signals, forced_because="a test", now=self.now)

    def text(self) -> str:
        return " ".join(self.chance.choices(WORDS, k=6))

    def revise(self) -> None:
        product_id = self.chance.choice(list(self.versions))
        revised = description_revise(
            shop_id=SHOP_ID, product_id=product_id, fields={"description": self.text()},
            expected_version=self.versions[product_id], now=self.now,
        )  # fmt: skip
        self.versions[product_id] = revised.version

    def bring(self) -> None:
        product_id = f"new-{len(self.versions)}-{self.chance.randrange(1000)}"
        item = {"product_id": product_id, "title": self.text(), "language": self.chance.choice(["en", "de", "zh"])}
        products_upsert(shop_id=SHOP_ID, items=[item], origin="import", now=self.now)
        self.versions[product_id] = 1

    def retire(self) -> None:
        if len(self.versions) > 8:
            product_id = self.chance.choice(list(self.versions))
            del self.versions[product_id]
            product_retire(shop_id=SHOP_ID, product_id=product_id, now=self.now)

    def refresh(self) -> None:
        drain()
        result_lists_refresh(shop_id=SHOP_ID, now=self.now)

    def publish(self) -> None:
        drain()  # what is due is asked of the index
        lexical_statistics_publish(now=self.now)


@pytest.fixture
def lived(db: None) -> History:
    history = History(seed=7)
    history.live(140)
    return history


def content(projection: Projection) -> dict[str, list[Any]]:
    """The rows of all its tables, jsonb and vectors as text."""
    return {
        table: sorted((list(row) for row in rows(f"SELECT * FROM {table}")), key=repr)
        if table not in PACKED
        else companions()
        for table in projection.tables
    }


# how much of them waits beside the lists depends on the batches; what both say together does not
PACKED = ("ranking_covisited", "ranking_copending", "ranking_cosweep")


def companions() -> list[Any]:
    """Of each product that was visited, with which others, and how much."""
    numbers = [id_ for (id_,) in rows("SELECT id FROM ranking_visited ORDER BY id")]
    items = items_by_number(numbers)
    found = []
    for id_, each, total in zip(numbers, items.companions, items.totals, strict=True):
        of = joined([each])
        sums = [np.bincount(of.place, weights=of.sums[name], minlength=len(of.ids)).tolist() for name in SUMS]
        found.append([id_, of.ids.tolist(), float(total), *sums[0], *sums[1]])
    return found


def assert_same(again: dict[str, list[Any]], before: dict[str, list[Any]]) -> None:
    """Rows are equal, floating point numbers to 1e-9 of what they count (clicks)."""
    assert again.keys() == before.keys()
    for table, old in before.items():
        new = keyed(again[table])
        assert new.keys() == keyed(old).keys(), table
        for key, numbers in keyed(old).items():
            assert new[key] == pytest.approx(numbers, rel=1e-9, abs=1e-9), (table, key)


def keyed(found: list[Any]) -> dict[str, list[float]]:
    """Floating point numbers of each row by all that is exact in it."""
    by_key: dict[str, list[float]] = {}
    for row in found:
        key = repr([value for value in row if not isinstance(value, float)])
        by_key.setdefault(key, []).extend(value for value in row if isinstance(value, float))
    return by_key


@pytest.mark.parametrize("name", BY_NAME)
def test_a_rebuilt_projection_equals_the_live_one(lived: History, name: str) -> None:
    live = content(BY_NAME[name])

    position = rebuild(name)

    assert position == last_position()
    assert all(live.values()) or name in ("vectors", "visits"), {table: len(found) for table, found in live.items()}
    assert_same(content(BY_NAME[name]), live)


@pytest.mark.parametrize("cut", ["one by one", "all at once", "at random", "at random again"])
def test_batches_of_any_size_give_the_same_rows(lived: History, cut: str) -> None:
    live = {name: content(projection) for name, projection in BY_NAME.items()}
    chance = random.Random(cut)
    sizes = {"one by one": [1], "all at once": [100_000]}.get(cut, [1, 2, 5, 13, 40, 120])

    for projection in PROJECTIONS:
        for table in projection.tables:
            query(f"TRUNCATE {table}")
        query("DELETE FROM eventlog_drain WHERE consumer = %s", [projection.name])
        query("UPDATE eventlog_checkpoint SET position = 0 WHERE consumer = %s", [projection.name])
        while drain_projection(projection, batch=chance.choice(sizes)):
            pass

    for name, projection in BY_NAME.items():
        assert_same(content(projection), live[name])


def test_an_index_counts_what_its_postings_say(lived: History) -> None:
    counted: dict[str, int] = dict(rows("SELECT term, count(*)::integer FROM ranking_posting GROUP BY term"))
    lexicon = rows("SELECT documents, total_length FROM ranking_lexicon")[0]

    documents, length = rows("SELECT count(*), sum(length)::double precision FROM ranking_document WHERE NOT retired")[
        0
    ]
    assert dict(rows("SELECT term, documents FROM ranking_term WHERE documents <> 0")) == counted
    assert lexicon == (documents, pytest.approx(length))


def test_only_live_products_have_current_vectors(lived: History) -> None:
    embedded = {product_id for (product_id,) in rows("SELECT product_id FROM ranking_embedding_1_1")}

    assert embedded == set(lived.versions)
    assert dict(rows("SELECT product_id, description_version FROM ranking_embedding_1_1")) == lived.versions
