"""GET /v1/models, promote and roll back: what serves, and what a search says it was made by."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from eventlog.database import scalar
from ranking.events import ModelVersionTrained
from ranking.learning.artefact import Artefact, artefact_write
from ranking.policies import shop_embed
from ranking.registry import artefact_hash, model_refuse_new, model_register
from ranking.relevance import head_default
from tests.cast import SHOP_ID, Api, SmallShop, drain


def now() -> datetime:
    return datetime.now(UTC)


def trained(version: str, **head: float) -> None:
    """Register a minor version whose head differs from the default one."""
    data = head_default("all-minilm-l6-v2").to_dict() | head
    artefact = artefact_write(Artefact(type(head_default("all-minilm-l6-v2")).from_dict(data)))
    event = ModelVersionTrained(
        version=version, parent="1.0", encoder="of a test", artefact=artefact_hash(artefact), from_position=3,
        to_position=9, metrics={"gate": {"mrr": 0.5}}, config={"encoder_name": "minilm"},
    )  # fmt: skip
    model_register(shop_id=SHOP_ID, trained=event, artefact=artefact, now=now())
    drain()


@pytest.fixture
def models(shop: SmallShop, api: Api) -> Api:
    """A shop with vectors, version 1.0 in service and 1.1 and 1.2 waiting."""
    shop_embed(shop_id=shop.shop_id, now=now())
    trained("1.1", lexical=9.0)
    trained("1.2", lexical=0.5)
    return api


def post(api: Api, path: str) -> Any:
    answer = api.post(path)
    drain()
    return answer


def state(api: Api) -> dict[str, str]:
    return {each["version"]: each["state"] for each in api.get("/v1/models").json()["versions"]}


def test_a_new_shop_has_no_versions_and_is_answered_by_the_pre_trained_one(shop: SmallShop, api: Api) -> None:
    answer = api.get("/v1/models").json()

    assert (answer["serving"], answer["rollout"], answer["versions"], answer["privacy"]) == (None, None, [], None)
    assert answer["learning"] == {
        "learning": "live", "refused_in_a_row": 0, "slowdown": 1, "waiting": 0, "wanted": 300, "shadow": None
    }  # fmt: skip
    assert api.get("/v1/search", q="mug").json()["ranking"]["model"] == "1.0"


def test_every_version_says_where_it_comes_from(models: Api) -> None:
    answer = models.get("/v1/models").json()

    newest = answer["versions"][0]
    assert answer["serving"] == "1.0"
    assert newest.pop("artefact")
    assert newest == {
        "version": "1.2", "parent": "1.0", "from_position": 3, "to_position": 9, "metrics": {"gate": {"mrr": 0.5}},
        "epsilon": None, "state": "candidate", "reason": None, "erased": 0, "forgetting": None,
    }  # fmt: skip


def test_a_promoted_version_answers_the_next_search(models: Api) -> None:
    before = models.get("/v1/search", q="stoneware mug").json()

    answer = post(models, "/v1/models/1.1/promote")

    after = models.get("/v1/search", q="stoneware mug").json()
    assert (answer.status_code, answer.json()) == (200, {"serving": "1.1"})
    assert (before["ranking"]["model"], after["ranking"]["model"]) == ("1.0", "1.1")
    assert after["ranking"]["version"].startswith("1.1@")
    assert after["items"][0]["relevance"] > before["items"][0]["relevance"]
    assert state(models) == {"1.0": "retired", "1.1": "serving", "1.2": "candidate"}


def test_an_answer_of_a_version_that_served_is_made_again_by_it(models: Api) -> None:
    before = models.get("/v1/search", q="stoneware mug").json()
    post(models, "/v1/models/1.2/promote")

    again = models.get(f"/v1/rankings/{before['ranking']['token']}").json()

    assert again["ranking"]["version"] == before["ranking"]["version"]
    assert [i["relevance"] for i in again["items"]] == pytest.approx([i["relevance"] for i in before["items"]])


def test_rolling_back_walks_to_the_version_that_served_before(models: Api) -> None:
    post(models, "/v1/models/1.1/promote")
    post(models, "/v1/models/1.2/promote")

    walked = [post(models, "/v1/models/rollback").json() for _ in range(3)]

    assert walked[:2] == [{"serving": "1.1"}, {"serving": "1.0"}]
    assert (walked[2]["status"], walked[2]["code"]) == (409, "nothing_to_roll_back_to")
    assert models.get("/v1/search", q="mug").json()["ranking"]["model"] == "1.0"


def test_promoting_what_serves_changes_nothing_about_it(models: Api) -> None:
    assert post(models, "/v1/models/1.0/promote").status_code == 200
    assert state(models) == {"1.0": "serving", "1.1": "candidate", "1.2": "candidate"}


def test_a_refused_version_is_not_promoted(models: Api) -> None:
    trained("1.3")
    model_refuse_new(shop_id=SHOP_ID, version="1.3", reason="it is worse", now=now())
    drain()

    answer = post(models, "/v1/models/1.3/promote")

    assert (answer.status_code, answer.json()["code"]) == (409, "model_version_refused")
    assert "it is worse" in answer.json()["detail"]
    assert state(models)["1.0"] == "serving"


def test_a_version_of_another_major_without_vectors_is_not_promoted(models: Api) -> None:
    trained("2.0")

    answer = post(models, "/v1/models/2.0/promote")

    assert (answer.status_code, answer.json()["code"]) == (409, "model_version_refused")


@pytest.mark.parametrize("version", ["9.9", "1", "latest", "1.0.0", "蓝", "%00", "'--", "-1.0", "1e9.0", "0" * 300])
def test_a_version_that_does_not_exist_is_not_found_and_nothing_is_written(models: Api, version: str) -> None:
    before = scalar("SELECT count(*) FROM eventlog_event")

    answer = post(models, f"/v1/models/{version}/promote")

    assert answer.status_code in (400, 404), answer.content
    assert answer.json()["code"] in ("model_version_not_found", "nul_character")
    assert scalar("SELECT count(*) FROM eventlog_event") == before


def test_without_a_version_there_is_nothing_to_roll_back_to(shop: SmallShop, api: Api) -> None:
    answer = api.post("/v1/models/rollback")

    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_roll_back_to")
