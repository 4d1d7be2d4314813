"""The calls about experiments: start, search in one, read it out, stop it; what an answer in one says and that it is made again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from eventlog.database import scalar
from feedback.ranking_token import token_read
from ranking.events import ModelVersionTrained
from ranking.experiments.watching import experiments_watch
from ranking.learning.artefact import Artefact, artefact_write
from ranking.policies import shop_embed
from ranking.registry import artefact_hash, model_refuse, model_register
from ranking.relevance import head_default
from tests.cast import SHOP_ID, Api, SmallShop, drain

SEARCH = {
    "name": "Does 1.1 answer better?", "surface": "search",
    "variants": [{"name": "control"}, {"name": "new", "settings": {"model": "1.1"}}],
}  # fmt: skip
QUERY = "mug for tea"


def trained(version: str, **head: float) -> None:
    """Register a minor version whose head differs from the default one."""
    default = head_default("all-minilm-l6-v2")
    artefact = artefact_write(Artefact(type(default).from_dict(default.to_dict() | head)))
    event = ModelVersionTrained(
        version=version, parent="1.0", encoder="of a test", artefact=artefact_hash(artefact),
        config={"encoder_name": "minilm"},
    )  # fmt: skip
    model_register(shop_id=SHOP_ID, trained=event, artefact=artefact, now=datetime.now(UTC))
    drain()


@pytest.fixture
def two_models(shop: SmallShop, api: Api) -> Api:
    """A shop with vectors that 1.0 serves; 1.1 goes by words alone and orders otherwise."""
    shop.clock.now = datetime.now(UTC)
    shop_embed(shop_id=shop.shop_id, now=shop.clock.now)
    trained("1.1", lexical=9.0, dense=0.1)
    return api


def start(api: Api, **more: Any) -> str:
    answer = api.post("/v1/experiments", SEARCH | more)
    assert answer.status_code == 201, answer.content
    drain()
    return str(answer.json()["id"])


def ask(api: Api, shopper: str | None = None, **more: Any) -> dict[str, Any]:
    params: dict[str, Any] = {"shopper_id": shopper} if shopper else {}
    answer: dict[str, Any] = api.get("/v1/search", q=QUERY, k=6, **params, **more).json()
    return answer


def of_variant(api: Api, variant: str) -> tuple[str, dict[str, Any]]:
    """A shopper of a variant, who was never seen before, and what he is answered."""
    for name in (f"shopper {n}" for n in range(60)):
        answer = ask(api, name)
        if answer["ranking"].get("experiment", {}).get("variant") == variant:
            return name, answer
    raise AssertionError(f"no shopper is in {variant}")


def send(api: Api, shopper: str, answer: dict[str, Any], *done: str) -> None:
    common = {"occurred_at": datetime.now(UTC).isoformat(), "shopper_id": shopper,
              "ranking_token": answer["ranking"]["token"]}  # fmt: skip
    items = [item["product_id"] for item in answer["items"]]
    events: list[dict[str, Any]] = [{"kind": "impression", "items": items}]
    events += [{"kind": kind, "product_id": items[0], "price": 9.0} for kind in done]
    stamp = scalar("SELECT coalesce(max(id), 0) FROM eventlog_event")
    sent = api.post(
        "/v1/events", {"events": [{**common, "event_id": f"{stamp}-{n}", **e} for n, e in enumerate(events)]}
    )
    assert sent.json()["rejected"] == []


def same(again: dict[str, Any], answer: dict[str, Any]) -> bool:
    pairs = list(zip(again["items"], answer["items"], strict=True))
    return all(
        new["product_id"] == old["product_id"]
        and new["rank"] == old["rank"]
        and new["score"] == pytest.approx(old["score"], abs=1e-4, rel=1e-6)
        and new["relevance"] == pytest.approx(old["relevance"], abs=1e-6)
        for new, old in pairs
    )


def test_a_shopper_is_answered_by_the_version_of_her_variant_and_the_answer_says_so(two_models: Api) -> None:
    plain = ask(two_models)
    id_ = start(two_models)

    (_, control), (name, new) = of_variant(two_models, "control"), of_variant(two_models, "new")

    assert id_ == "search-1"
    assert (control["ranking"]["model"], new["ranking"]["model"]) == ("1.0", "1.1")
    assert new["ranking"]["experiment"] == {"id": "search-1", "variant": "new"}
    assert [i["product_id"] for i in control["items"]] == [i["product_id"] for i in plain["items"]]
    assert ask(two_models, name)["ranking"]["experiment"] == new["ranking"]["experiment"]
    assert token_read(new["ranking"]["token"], SHOP_ID).experiment == "search-1:new"


def test_who_asks_without_a_shopper_is_in_none(two_models: Api) -> None:
    start(
        two_models, variants=[{"name": "a", "settings": {"model": "1.1"}}, {"name": "b", "settings": {"model": "1.1"}}]
    )

    answer = ask(two_models)

    assert "experiment" not in answer["ranking"]
    assert answer["ranking"]["model"] == "1.0"


def test_a_journey_from_start_over_clicks_to_a_guard_that_stops_it(two_models: Api) -> None:
    id_ = start(two_models, guards={"ctr": 0.1})
    # what so many shoppers do, each with an answer of her own
    for n in range(330):
        answer = ask(two_models, f"shopper {n}")
        done = ("click", "add_to_cart") if answer["ranking"]["model"] == "1.0" and n % 3 else ()
        send(two_models, f"shopper {n}", answer, *done)
    drain()
    _, before = of_variant(two_models, "new")

    read = two_models.get(f"/v1/experiments/{id_}").json()
    ctr = read["readout"]["comparisons"][0]
    assert (read["state"], read["readout"]["requests"], ctr["metric"], ctr["verdict"]) == (
        "running",
        330,
        "ctr",
        "worse",
    )
    assert read["readout"]["breached"] == {"new": "ctr"}
    assert experiments_watch(shop_id=SHOP_ID, now=datetime.now(UTC)) == 1
    drain()

    ended = two_models.get(f"/v1/experiments/{id_}").json()
    assert (ended["state"], ended["reason"], len(ended["readings"])) == ("stopped", "guard_rail", 1)
    assert {ask(two_models, f"shopper {n}")["ranking"]["model"] for n in range(20)} == {"1.0"}
    again = two_models.get(f"/v1/rankings/{before['ranking']['token']}").json()
    assert same(again, before)
    assert again["ranking"]["experiment"] == before["ranking"]["experiment"]


INTERLEAVED = {"kind": "interleaving", "variants": [
    {"name": "old", "settings": {"model": "1.0"}}, {"name": "new", "settings": {"model": "1.1"}}]}  # fmt: skip


def test_an_interleaved_list_holds_the_best_of_both_and_is_made_again(two_models: Api) -> None:
    trained("1.2", lexical=0.5, intercept=-3.0)
    lists = [ask(two_models)["items"]]
    assert two_models.post("/v1/models/1.2/promote").status_code == 200
    drain()
    lists.append(ask(two_models)["items"])
    start(two_models, kind="interleaving", variants=[
        {"name": "old", "settings": {"model": "1.0"}}, {"name": "new", "settings": {"model": "1.2"}}])  # fmt: skip

    name, answer = of_variant(two_models, "interleaved")
    token = token_read(answer["ranking"]["token"], SHOP_ID)

    best = [{item["product_id"]: item["score"] for item in items} for items in lists]
    assert set(token.teams or "") <= set("AB=-")
    for item, team in zip(answer["items"], token.teams or "", strict=True):
        assert item["score"] == pytest.approx(best[team in "B-"][item["product_id"]], rel=1e-6)
    send(two_models, name, answer, "click")
    drain()
    trained("1.3", lexical=2.0)
    assert same(two_models.get(f"/v1/rankings/{answer['ranking']['token']}").json(), answer)


def test_the_second_page_of_an_interleaved_list_goes_on_from_the_first(two_models: Api) -> None:
    start(two_models, **INTERLEAVED)
    name, whole = of_variant(two_models, "interleaved")

    pages = [two_models.get("/v1/search", q=QUERY, k=3, offset=offset, shopper_id=name).json() for offset in (0, 3)]

    assert [item["product_id"] for page in pages for item in page["items"]] == [i["product_id"] for i in whole["items"]]
    assert pages[0]["total"] == pages[1]["total"] == whole["total"] == ask(two_models)["total"]
    assert same(two_models.get(f"/v1/rankings/{pages[1]['ranking']['token']}").json(), pages[1])


def test_a_list_by_price_is_not_interleaved(two_models: Api) -> None:
    start(two_models, **INTERLEAVED)

    assert "experiment" not in ask(two_models, "shopper 1", sort="price")["ranking"]


def test_clicks_on_interleaved_products_are_read_as_a_preference(two_models: Api) -> None:
    id_ = start(two_models, **INTERLEAVED)
    for n in range(6):
        send(two_models, f"shopper {n}", ask(two_models, f"shopper {n}"), "click")
    drain()

    found = two_models.get(f"/v1/experiments/{id_}").json()["readout"]

    assert found["variants"][0] | {"figures": None} == {
        "variant": "interleaved", "shoppers": 6, "requests": 6, "figures": None
    }  # fmt: skip
    assert found["comparisons"] == []


def test_an_operator_stops_it_and_says_why(two_models: Api) -> None:
    id_ = start(two_models)

    stopped = two_models.post(f"/v1/experiments/{id_}/stop", {"detail": "Christmas"})
    drain()

    listed = two_models.get("/v1/experiments").json()["experiments"][0]
    assert (stopped.status_code, list(stopped.json())) == (200, ["receipt"])
    assert (listed["id"], listed["state"], listed["reason"], listed["detail"]) == (
        id_,
        "stopped",
        "operator",
        "Christmas",
    )
    assert (again := two_models.post(f"/v1/experiments/{id_}/stop")).status_code == 409
    assert again.json()["code"] == "experiment_ended"
    assert "experiment" not in ask(two_models, "shopper 1")["ranking"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (SEARCH | {"surface": "hoem"}, 400, "bad_experiment"),
        (SEARCH | {"variants": [{"name": "a"}, {"name": "b", "settings": {"model": "9.9"}}]}, 404, "model_version_not_found"),
        (SEARCH | {"variants": [{"name": "a"}, {"name": "b", "settings": {"model": "1.2"}}]}, 409, "model_version_refused"),
        (SEARCH | {"variants": [{"name": "a"}, {"name": "b", "settings": {"model": "2.0"}}]}, 409, "model_version_refused"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_not_started_and_nothing_is_written(
    two_models: Api, body: Any, status: int, code: str
) -> None:
    for version in ("1.2", "2.0"):
        trained(version)
    model_refuse(shop_id=SHOP_ID, version="1.2", reason="it is worse", now=datetime.now(UTC))
    drain()
    before = scalar("SELECT count(*) FROM eventlog_event")

    answer = two_models.post("/v1/experiments", body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["field"]
    assert scalar("SELECT count(*) FROM eventlog_event") == before


def test_a_version_that_is_refused_meanwhile_ends_it(two_models: Api) -> None:
    id_ = start(two_models)
    model_refuse(shop_id=SHOP_ID, version="1.1", reason="it had learned from somebody erased", now=datetime.now(UTC))
    drain()

    experiments_watch(shop_id=SHOP_ID, now=datetime.now(UTC))
    drain()

    ended = two_models.get(f"/v1/experiments/{id_}").json()
    assert (ended["state"], ended["reason"]) == ("stopped", "model_gone")
    assert "model 1.1 of new" in ended["detail"]


@pytest.mark.parametrize("id_", ["search-1", "search-0", "search-01", "home", "x-1", "%00", "search-99999999999"])
def test_an_experiment_that_was_never_started_is_not_found(two_models: Api, id_: str) -> None:
    for answer in (two_models.get(f"/v1/experiments/{id_}"), two_models.post(f"/v1/experiments/{id_}/stop")):
        assert answer.status_code in (400, 404)
        assert answer.json()["code"] in ("experiment_not_found", "nul_character")


def test_only_operators_may(two_models: Api, api_with: Callable[..., Api]) -> None:
    shopkeeper = api_with("search", "events", "catalog")

    assert shopkeeper.get("/v1/experiments").status_code == 403
    assert shopkeeper.post("/v1/experiments", SEARCH).status_code == 403
