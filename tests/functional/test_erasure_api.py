"""DELETE /v1/shoppers/{shopper_id} and `erase_shopper`: what is answered, what a token says afterwards, who had learned."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from eventlog.database import scalar
from eventlog.selectors import last_position
from ranking.events import ModelVersionTrained
from ranking.policies import shop_embed
from ranking.registry import artefact_hash, model_register
from tests.cast import SHOP_ID, Api, Shopper, SmallShop, drain


@pytest.fixture
def known_alice(shop: SmallShop, alice: Shopper) -> SmallShop:
    shop.record(alice.sees(["mug", "beaker"], query="mug"), alice.clicks("mug", query="mug", rank=1))
    return shop


def erased_count() -> Any:
    return scalar("SELECT count(*) FROM eventlog_event WHERE type = 'feedback.ShopperErased'")


def test_erasing_answers_a_receipt_that_says_when_nothing_links_the_shopper(known_alice: SmallShop, api: Api) -> None:
    answer = api.delete("/v1/shoppers/alice")

    assert (answer.status_code, list(answer.json())) == (202, ["receipt"])
    receipt = f"/v1/receipts/{answer.json()['receipt']}"
    assert api.get(receipt).json()["visible"] is False
    drain()
    assert api.get(receipt).json()["visible"] is True
    assert scalar("SELECT count(*) FROM feedback_interaction WHERE subject_id IS NOT NULL") == 0


def test_somebody_unknown_is_answered_alike(known_alice: SmallShop, api: Api) -> None:
    answers = [api.delete(f"/v1/shoppers/{name}") for name in ("alice", "alice", "nobody")]

    assert [(answer.status_code, list(answer.json())) for answer in answers] == [(202, ["receipt"])] * 3
    assert erased_count() == 1


def test_an_id_may_hold_a_slash_and_any_letters(shop: SmallShop, api: Api, alice: Shopper) -> None:
    shop.record(alice.clicks("mug") | {"shopper_id": "客户/7 ü"})

    assert api.delete("/v1/shoppers/%E5%AE%A2%E6%88%B7%2F7%20%C3%BC").status_code == 202
    assert erased_count() == 1


def test_only_operators_may_erase(known_alice: SmallShop, api_with: Callable[..., Api], uninvited: Api) -> None:
    refused = api_with("events", "search", "catalog").delete("/v1/shoppers/alice")

    assert (refused.status_code, refused.json()["code"]) == (403, "wrong_scope")
    assert uninvited.delete("/v1/shoppers/alice").status_code == 401
    assert erased_count() == 0


def test_what_cannot_be_a_shopper_is_refused(api: Api) -> None:
    for bad in ("x" * 201, "a%00b"):
        answer = api.delete(f"/v1/shoppers/{bad}")
        assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (
            400,
            "bad_shopper_id",
            "shopper_id",
        )
    assert api.delete("/v1/shoppers/").status_code == 404
    assert api.get("/v1/shoppers/alice").status_code == 405


def test_an_answer_made_for_an_erased_shopper_is_gone_and_others_stay(known_alice: SmallShop, api: Api) -> None:
    shop_embed(shop_id=SHOP_ID, now=datetime.now(UTC))
    drain()
    answers = [api.get("/v1/search", q="mug", shopper_id=name) for name in ("alice", "not seen yet")]
    tokens = [answer.json()["ranking"]["token"] for answer in [*answers, api.get("/v1/search", q="mug")]]
    assert [api.get(f"/v1/rankings/{token}").status_code for token in tokens] == [200, 200, 200]

    api.delete("/v1/shoppers/alice")

    answers = [api.get(f"/v1/rankings/{token}") for token in tokens]
    assert [answer.status_code for answer in answers] == [410, 200, 200]
    assert answers[0].json()["code"] == "erased"
    assert api.post("/v1/rankings", {"token": tokens[0]}).json()["code"] == "erased"


def trained_until(position: int, *, version: str, parent: str, after: int = 0) -> None:
    artefact = version.encode()
    event = ModelVersionTrained(
        version=version, parent=parent, encoder="of a test", artefact=artefact_hash(artefact), from_position=after,
        to_position=position,
    )  # fmt: skip
    model_register(shop_id=SHOP_ID, trained=event, artefact=artefact, now=datetime.now(UTC))
    drain()


def test_the_versions_that_learned_from_the_shopper_are_told(known_alice: SmallShop, api: Api) -> None:
    end = last_position()
    trained_until(end, version="1.1", parent="1.0")
    trained_until(end + 1, version="1.2", parent="1.1", after=end)
    said = StringIO()

    call_command("erase_shopper", "alice", stdout=said)
    drain()

    assert "trained on click-throughs of this shopper: 1.1 (1)." in said.getvalue()
    assert "go on from those: 1.2." in said.getvalue()
    listed = api.get("/v1/models").json()["versions"]
    assert {each["version"]: each["erased"] for each in listed} == {"1.1": 1, "1.2": 0}


def test_the_command_says_that_there_was_nobody(shop: SmallShop) -> None:
    said = StringIO()
    call_command("erase_shopper", "nobody", stdout=said)

    assert "nothing to erase" in said.getvalue()
    with pytest.raises(CommandError, match="There is no shop 99"):
        call_command("erase_shopper", "alice", "--shop", "99")
    with pytest.raises(CommandError, match="1 to 200 characters"):
        call_command("erase_shopper", "x" * 201)
