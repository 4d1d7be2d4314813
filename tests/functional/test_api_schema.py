"""Schemathesis: the API does what its OpenAPI document says, for requests that fit it and for requests that do not.

Everything runs in this process, on a database of its own, with a key of every scope. The random part is seeded.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import negative_data_rejection

from config.wsgi import application
from ranking.services import model_ensure_first
from tests.cast import PRODUCTS, Clock, Shopper, SmallShop, drain
from tests.conftest import MakeKey

# a bad item of a batch is refused alone, inside an answer of 200
BATCHES = {"products_upsert", "events_record", "weights_set", "judgments_record", "rules_put"}
# of a query string every value is a text: a number in place of a list of texts is one product id
TEXTS = {"recommendations"}
EXAMPLES = int(os.environ.get("SCHEMA_EXAMPLES", "12"))  # an operation; more finds more and takes longer


@pytest.fixture
def key(real_db: None, make_key: MakeKey) -> str:
    return make_key("search", "events", "catalog", "operate")


@pytest.fixture
def busy_shop(real_db: None, clock: Clock, alice: Shopper) -> SmallShop:
    """A shop where something has happened."""
    shop = SmallShop(clock=clock)
    shop.offer(*PRODUCTS)
    shop.record(alice.sees(["mug", "beaker"], query="mug"), alice.clicks("mug", query="mug", rank=1))
    return shop


_CONFIG = {
    "checks": {
        "missing_required_header": {"expected-statuses": [400, 401, 404, 428]},  # 428: If-Match
        # a token, a filter, a receipt is a text to the schema, and not any text will do
        "positive_data_acceptance": {"expected-statuses": ["2xx", 400, 404, 409, 412]},
    }
}
document = schemathesis.openapi.from_wsgi("/v1/schema", application, config=schemathesis.Config.from_dict(_CONFIG))


@document.parametrize()
@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
def test_no_request_breaks_the_contract(case: Any, key: str, busy_shop: SmallShop) -> None:
    operation = case.operation.definition.raw["operationId"]
    excluded = [negative_data_rejection] if operation in BATCHES | TEXTS else []
    case.call_and_validate(headers={"Authorization": f"Api-Key {key}"}, excluded_checks=excluded)


class Tour:
    """Calls operations by their id with real values; each answer must be 2xx and fit the document."""

    def __init__(self, key: str) -> None:
        self._headers = {"Authorization": f"Api-Key {key}"}
        operations = [each.ok() for each in document.get_all_operations() if isinstance(each, Ok)]
        self._operations = {operation.definition.raw["operationId"]: operation for operation in operations}
        self.left = set(self._operations)

    def call(self, operation_id: str, *, headers: dict[str, str] | None = None, **parts: Any) -> Any:
        case = self._operations[operation_id].Case(headers=headers or {}, **parts)
        response = case.call_and_validate(headers=self._headers)
        assert response.status_code < 300, response.content
        self.left.discard(operation_id)
        return response.json()


def test_real_answers_of_every_operation_fit_the_document(busy_shop: SmallShop, key: str, bob: Shopper) -> None:
    model_ensure_first(shop_id=busy_shop.shop_id, now=busy_shop.clock.now)
    drain()
    tour = Tour(key)

    tour.call("recommendations", query={"surface": "product", "product_id": "mug", "explain": "1"})
    answer = tour.call("search", query={"q": "mug", "explain": "1", "facets": "brand,category,price", "k": "3"})
    token = answer["ranking"]["token"]
    assert answer["items"][0]["product_id"] == "mug"
    assert tour.call("ranking_again", path_parameters={"token": token})["items"]
    tour.call("ranking_again_by_body", body={"token": token})

    events = [bob.sees(["mug"], ranking_token=token), bob.clicks("mug", ranking_token=token), {"kind": "nonsense"}]
    recorded = tour.call("events_record", body={"events": events}, media_type="application/json")
    assert (recorded["accepted"], len(recorded["rejected"])) == (2, 1)
    drain()
    assert tour.call("receipt_read", path_parameters={"receipt": recorded["receipt"]}, query={"wait": 1})["visible"]

    tour.call("products_upsert", body={"products": [PRODUCTS[0] | {"price": 12.0}, {"title": "no id"}]})
    drain()
    mug = {"product_id": "mug"}
    tour.call("product_get", path_parameters=mug)
    revised = {"description": "Stoneware beaker."}
    tour.call("description_revise", path_parameters=mug, headers={"If-Match": '"1"'}, body=revised)
    drain()
    tour.call("description_restore", path_parameters=mug | {"version": 1})
    drain()
    tour.call("descriptions_get", path_parameters=mug)
    tour.call("product_retire", path_parameters=mug)

    tour.call("weights_set", body={"weights": [{"product_id": "beaker", "query": "mug", "weight": 2.0}]})
    drain()
    tour.call("weights_get", query={"product_id": "beaker", "query": "mug"})
    rule = {"id": "spring", "kind": "boost", "factor": 2, "brand": "Emalia", "ends_at": "2090-01-01T00:00:00Z"}
    assert tour.call("rules_put", body={"rules": [rule, rule | {"kind": "bury"}]})["accepted"] == 1
    drain()
    assert tour.call("rules_get", query={"surface": "search", "query": "mug"})["rules"][0]["state"] == "in_force"
    assert tour.call("search", query={"q": "beaker", "explain": "1"})["items"][0]["explanation"]["rules"]
    tour.call("rule_end", path_parameters={"rule_id": "spring"})
    tour.call("arrangement_set", body={"search": {"variants": "one"}})
    drain()
    assert tour.call("arrangement_get")["search"]["variants"] == "one"
    judged = {"query": "mug", "product_id": "beaker", "rating": 2}
    tour.call("judgments_record", body={"judgments": [judged, judged | {"rating": 9}]})
    assert tour.call("models")["serving"] == "1.0"
    tour.call("learning_set", body={"learning": "daily"})
    drain()
    assert tour.call("learning_get")["learning"] == "daily"
    forced = {"signals": {"click": 2.0}, "force": True, "reason": "a tour"}
    assert tour.call("signals_set", body=forced)["signals"]["click"] == 2.0
    drain()
    assert tour.call("signals_get")["reason"] == "a tour"
    tour.call("diversity_set", body={"surface": "home", "strength": 0.3})
    assert tour.call("diversity_get")["surfaces"]["home"]["strength"] == 0.2  # not drained yet
    tour.call("strategies_set", body={"surface": "home", "explore": 0.1})
    drain()
    assert tour.call("strategies_get")["surfaces"][0]["explore"] == 0.1
    tour.call("model_promote", path_parameters={"version": "1.0"})
    variants = [{"name": "control"}, {"name": "popular", "settings": {"arm": "popular"}, "share": None}]
    started = tour.call("experiment_start", body={"name": "Popular", "surface": "home", "variants": variants})
    drain()
    tour.call("experiment", path_parameters={"id": started["id"]})
    tour.call("experiment_stop", path_parameters={"id": started["id"]}, body={"detail": "enough"})
    drain()
    assert tour.call("experiments")["experiments"][0]["state"] == "stopped"
    tour.call("freshness")
    assert tour.call("shopper_erase", path_parameters={"shopper_id": bob.name})["receipt"]

    # nothing served before the first version, and nothing has a vector: 409, which the fuzzing sees
    assert tour.left == {"model_rollback", "signals_preview"}
