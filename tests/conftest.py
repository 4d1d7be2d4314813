"""The named cast. Tests that only compute use none of it; the others get a database of their own session.

`db`: each test runs in a transaction that is rolled back, and nothing wakes a worker: call `drain()`.
`real_db`: commits are real (races, other processes); the log and the read models are emptied before the test.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.cache import cache
from django.db import connection

from config.api.keys import api_key_create, forget_keys
from config.models import SCOPES
from eventlog.models import Shop
from ranking import product_vectors, towers
from ranking.rules import selectors as rules
from tests.cast import PRODUCTS, SHOP_ID, Api, Clock, Shopper, SmallShop

wake_ups: list[str] = []


def wake_up() -> None:
    """Stands in for the sender of Celery messages."""
    wake_ups.append("woken")


@pytest.fixture(autouse=True)
def _quiet_settings(settings: pytest.FixtureRequest) -> None:
    settings.EVENTLOG_WAKE_UP = "tests.conftest.wake_up"  # type: ignore[attr-defined]
    settings.FRESHET_ENCODER = "minilm"  # type: ignore[attr-defined]  # loads four times as fast as e5
    settings.FRESHET_MODEL_REFRESH_SECONDS = 0  # type: ignore[attr-defined]
    settings.FRESHET_TENSORBOARD = None  # type: ignore[attr-defined]
    settings.WANDB_API_KEY = ""  # type: ignore[attr-defined]
    wake_ups.clear()
    forget_keys()  # a key of an earlier test, rolled back since
    towers.serving._models.clear()  # and a model
    towers._model_at.cache_clear()
    rules._books.clear()
    product_vectors._kept.clear()  # numbers of products begin anew


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def real_db(transactional_db: None) -> None:
    """An empty log, default shop, real commits."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables WHERE schemaname = 'public'"
            " AND tablename ~ '^(eventlog|catalog|feedback|ranking|insights|config)_'"
        )
        cursor.execute(f"TRUNCATE {cursor.fetchone()[0]} RESTART IDENTITY CASCADE")
        cursor.execute("INSERT INTO eventlog_sequencer VALUES (1, 0)")
        # the encoder of the test before may have had other dimensions
        cursor.execute("SELECT tablename FROM pg_tables WHERE tablename ~ '^ranking_embedding_[0-9]+_[0-9]+$'")
        for (table,) in cursor.fetchall():
            cursor.execute(f"DROP TABLE {table}")
    Shop.objects.create(id=SHOP_ID, name="default")
    cache.clear()


@pytest.fixture
def empty_shop(db: None, clock: Clock) -> SmallShop:
    """A shop before its first product."""
    return SmallShop(clock=clock)


@pytest.fixture
def shop(empty_shop: SmallShop) -> SmallShop:
    """A shop of twelve products, two of them Chinese, found by their words."""
    empty_shop.offer(*PRODUCTS)
    return empty_shop


@pytest.fixture
def alice(clock: Clock) -> Shopper:
    return Shopper("alice", clock)


@pytest.fixture
def bob(clock: Clock) -> Shopper:
    return Shopper("bob", clock)


@pytest.fixture
def charlie(clock: Clock) -> Shopper:
    return Shopper("charlie", clock)


MakeKey = Callable[..., str]


@pytest.fixture
def make_key(db: None) -> MakeKey:
    """Make an API key with some scopes and return its text."""

    def make(*scopes: str, **options: object) -> str:
        shop = Shop.objects.get(id=SHOP_ID)
        return api_key_create(shop=shop, name="of a test", scopes=scopes, **options)[0]  # type: ignore[arg-type]

    return make


@pytest.fixture
def api(make_key: MakeKey) -> Api:
    """A caller who may do everything."""
    return Api(make_key(*(scope for scope in SCOPES if scope != "beacon")))


@pytest.fixture
def api_with(make_key: MakeKey) -> Callable[..., Api]:
    """Callers with some scopes: `api_with("search", public=True)`."""
    return lambda *scopes, **options: Api(make_key(*scopes, **options))


@pytest.fixture
def uninvited(db: None) -> Api:
    """A caller without a key."""
    return Api()
