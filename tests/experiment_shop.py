"""A shop with an experiment, and shoppers whose requests count in it, by events alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import count
from typing import Any

from feedback.privacy import shopper_hash
from feedback.ranking_token import RankingToken, token_sign
from ranking.experiments.assignment import assignment_of
from ranking.experiments.experiment import Experiment, experiment_get
from ranking.experiments.inputs import experiment_read
from ranking.experiments.services import experiment_start
from tests.cast import SHOP_ID, SmallShop, drain

AB: dict[str, Any] = {
    "name": "Popular products at home", "surface": "home", "guards": {"ctr": 0.1},
    "variants": [{"name": "control"}, {"name": "popular", "settings": {"arm": "popular"}}],
}  # fmt: skip
_numbers = count()


def start(now: datetime, **more: Any) -> Experiment:
    """Start an experiment and let it be seen."""
    started = experiment_start(shop_id=SHOP_ID, given=experiment_read(AB | more), now=now)
    drain()
    return experiment_get(shop_id=SHOP_ID, id_=started.id)


def answer(shop: SmallShop, experiment: Experiment, shopper: str, **more: Any) -> str:
    """The token of an answer that a shopper got in an experiment."""
    found = assignment_of(experiment, shopper_hash(SHOP_ID, shopper))
    assert found is not None
    return token_sign(RankingToken(
        shop_id=SHOP_ID, context_kind="history", context_key="home", query=None,
        now=shop.clock.now.timestamp() + next(_numbers) / 1e6, model="1.0", experiment=found.label, **more,
    ))  # fmt: skip


def visit(shop: SmallShop, shopper: str, token: str, *done: str, **more: Any) -> list[dict[str, Any]]:
    """What a visit sends: the impression, and then what was done with the first product."""
    common = {"occurred_at": shop.clock.now.isoformat(), "shopper_id": shopper, "ranking_token": token}
    events: list[dict[str, Any]] = [{"kind": "impression", "items": ["mug", "beaker", "teapot"]}]
    events += [{"kind": kind, "product_id": "mug", "rank": 1} for kind in done]
    return [{**common, "event_id": f"v-{next(_numbers)}", **each, **(more if each["kind"] == "purchase" else {})}
            for each in events]  # fmt: skip


def visits(
    shop: SmallShop, experiment: Experiment, shoppers: int, *, clicks: Callable[[str | None, int], bool]
) -> Mapping[str | None, int]:
    """One visit of each shopper, with a click where `clicks(variant, number)`; how many of each variant there were."""
    events, met = [], dict[str | None, int]()
    for number in range(shoppers):
        name = f"shopper {number}"
        found = assignment_of(experiment, shopper_hash(SHOP_ID, name))
        variant = found.variant if found else None
        met[variant] = met.get(variant, 0) + 1
        token = answer(shop, experiment, name)
        events += visit(shop, name, token, *(["click"] if clicks(variant, met[variant]) else []))
    for begin in range(0, len(events), 1000):
        assert not shop.record(*events[begin : begin + 1000]).rejected
    return met
