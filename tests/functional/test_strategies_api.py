"""GET and PUT /v1/strategies, evaluate_policy and the admin's page: nothing goes live that nobody estimated."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from typing import Any, cast

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from eventlog.database import scalar
from eventlog.selectors import read_stream
from ranking.strategies.mixes import MIXES
from ranking.strategies.mixing import Mix
from tests.bandit_cast import later, log, visits
from tests.cast import SHOP_ID, Api, SmallShop, drain

WORTH = {"fresh": 0.1, "learned": 0.4, "plain": 0.2}


@pytest.fixture(autouse=True)
def mixes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three arms that a home page is made by."""
    made = tuple(Mix(name=name, coefficients={"popular": 1.0}, intercept=-6.0) for name in sorted(WORTH))
    monkeypatch.setitem(cast("dict[str, Any]", MIXES), "home", made)


@pytest.fixture
def visited(empty_shop: SmallShop, api: Api) -> Api:
    """A shop whose home showed three arms by chance to many."""
    log(*visits(WORTH, trials=1200), later(9000))
    return api


def put(api: Api, **body: Any) -> Any:
    answer = api.put("/v1/strategies", {"surface": "home"} | body)
    drain()
    return answer


def home(api: Api) -> dict[str, Any]:
    answer: dict[str, Any] = api.get("/v1/strategies").json()["surfaces"][0]
    return answer


def events() -> list[dict[str, Any]]:
    return [event.data for event in read_stream(shop_id=SHOP_ID, stream="bandit/home")]


def test_a_new_shop_has_arms_that_nobody_saw_yet(empty_shop: SmallShop, api: Api) -> None:
    answer = api.get("/v1/strategies").json()

    assert [each["surface"] for each in answer["surfaces"]] == ["home", "product", "basket"]
    assert home(api) == {
        "surface": "home", "explore": 0.05, "fixed": None, "off": [], "trials": 0, "segments": [],
        "arms": ["fresh", "learned", "plain"], "set_at": None,
        "estimate": None, "forced": None,
    }  # fmt: skip


def test_each_segment_says_what_is_believed_of_its_arms_and_how_likely_each_is_shown(visited: Api) -> None:
    found = home(visited)

    assert [each["segment"] for each in found["segments"]] == ["few", "known", "new"]
    for segment in found["segments"]:
        arms = {each["arm"]: each for each in segment["arms"]}
        assert all(arm["low"] < arm["mean"] < arm["high"] for arm in arms.values())
        assert arms["learned"]["propensity"] == max(arm["propensity"] for arm in arms.values())
        assert sum(arm["propensity"] for arm in arms.values()) == pytest.approx(1.0)
        assert sum(arm["trials"] for arm in arms.values()) == 400


def test_an_arm_is_fixed_with_the_estimate_of_what_it_earns(visited: Api) -> None:
    answer = put(visited, fixed="learned")

    estimate = answer.json()["estimate"]
    assert (answer.status_code, answer.json()["fixed"]) == (200, "learned")
    assert estimate["estimates"]["dr"]["low"] < 0.4 < estimate["estimates"]["dr"]["high"]
    assert estimate["differences"]["dr"]["low"] > 0
    assert events()[0]["estimate"] == estimate
    assert "forced" not in events()[0]
    assert home(visited) | {"segments": []} == home(visited) | {
        "segments": [],
        "fixed": "learned",
        "estimate": estimate,
    }
    assert [a["propensity"] for s in home(visited)["segments"] for a in s["arms"]] == [0, 1, 0] * 3


def test_what_it_says_is_visible_by_its_receipt(visited: Api) -> None:
    receipt = put(visited, explore=0.2).json()["receipt"]

    assert visited.get(f"/v1/receipts/{receipt}").json()["visible"]
    assert home(visited)["explore"] == 0.2


def test_what_is_left_out_stays_and_what_changes_nothing_is_not_recorded(visited: Api) -> None:
    put(visited, explore=0.2, off=["fresh"])
    put(visited, fixed="learned")
    put(visited, fixed="learned", explore=0.2)

    assert [(e["explore"], e.get("fixed"), e["off"]) for e in events()] == [
        (0.2, None, ["fresh"]),
        (0.2, "learned", ["fresh"]),
    ]


def test_an_arm_that_would_earn_less_is_refused_unless_somebody_says_why(visited: Api) -> None:
    refused = put(visited, fixed="fresh")
    nothing = events()
    forced = put(visited, fixed="fresh", force="a partner pays for it")

    assert (refused.status_code, refused.json()["code"], nothing) == (409, "estimated_worse", [])
    assert "force" in refused.json()["detail"]
    assert forced.status_code == 200
    assert events()[0]["forced"] == "a partner pays for it"
    assert home(visited)["forced"] == "a partner pays for it"


def test_without_enough_in_the_log_nothing_goes_live_unless_somebody_says_why(empty_shop: SmallShop, api: Api) -> None:
    log(*visits(WORTH, trials=90), later(9000))

    refused = put(api, off=["fresh"])

    assert (refused.status_code, refused.json()["code"], refused.json()["field"]) == (409, "no_estimate", "force")
    assert "100 are needed" in refused.json()["detail"]
    assert events() == []
    assert put(api, explore=0.5).status_code == 200  # shows no other arm
    assert put(api, off=["fresh"], force="it is broken").status_code == 200


def test_an_arm_is_fixed_before_anybody_saw_it_if_somebody_says_why(empty_shop: SmallShop, api: Api) -> None:
    refused = put(api, fixed="plain")

    assert (refused.status_code, refused.json()["code"]) == (409, "no_estimate")
    assert put(api, fixed="plain", force="we begin with it").status_code == 200
    assert api.get("/v1/recommendations", surface="home").json()["ranking"]["strategy"] == "home/new/plain"


@pytest.mark.parametrize(("body", "code", "field"), [
    ({"surface": "cellar"}, "bad_strategies", "surface"),
    ({"explore": 1.5}, "bad_strategies", "explore"),
    ({"explore": None}, "bad_strategies", "explore"),
    ({"explore": "0.1x"}, "bad_strategies", "explore"),
    ({"fixed": "no/slash"}, "bad_strategies", "fixed"),
    ({"explroe": 0.1}, "bad_strategies", "explroe"),
    ({"force": "x"}, "bad_strategies", "force"),
    ({"fixed": "lerned"}, "unknown_arm", "fixed"),
    ({"off": ["lerned"]}, "unknown_arm", "off"),
    ({"off": ["fresh", "learned", "plain"]}, "bad_strategies", "off"),
])  # fmt: skip
def test_a_mistake_is_named_and_nothing_is_written(visited: Api, body: dict[str, Any], code: str, field: str) -> None:
    answer = put(visited, **body)

    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (400, code, field)
    assert events() == []


@pytest.mark.parametrize("body", [[], "x", None, 7])
def test_what_is_no_object_is_refused(visited: Api, body: Any) -> None:
    assert visited.put("/v1/strategies", body).status_code == 400


def test_only_operators_may(visited: Api, api_with: Callable[..., Api]) -> None:
    others = api_with("search", "events", "catalog")

    assert (others.get("/v1/strategies").status_code, put(others, explore=0.1).status_code) == (403, 403)
    assert events() == []


def command(*arguments: str) -> tuple[str, int]:
    out, status = StringIO(), 0
    try:
        call_command("evaluate_policy", "--surface", "home", *arguments, stdout=out, stderr=out)
    except SystemExit as error:
        status = int(error.code or 0)
    return out.getvalue(), status


def test_the_command_says_what_a_policy_would_earn(visited: Api) -> None:
    found = json.loads(command("--policy", "learned", "--json")[0])
    said, status = command("--policy", "learned")

    assert found["estimates"].keys() == {"ips", "snips", "dr"}
    assert found["estimates"]["dr"]["low"] < 0.4 < found["estimates"]["dr"]["high"]
    assert (found["policy"], found["units"], status) == ("learned", 1200, 0)
    assert "doubly robust" in said
    assert f"{found['estimates']['dr']['value']:.5f}" in said


def test_the_command_takes_a_range_and_refuses_one_that_says_too_little(visited: Api) -> None:
    found, status = command("--policy", "uniform", "--from", "10", "--to", "200")

    assert status == 3
    assert "Not to be relied on" in found
    assert command("--policy", "uniform", "--from", "2026-01-01", "--to", "2999-01-01")[1] == 0


@pytest.mark.parametrize(("given", "said"), [
    (("--policy", "lerned"), "fresh, learned, plain"), (("--policy", "uniform", "--from", "soon"), "neither a position"),
    (("--policy", "uniform", "--from", "2999-01-01"), "nothing from"),
])  # fmt: skip
def test_the_command_says_what_it_cannot_do(visited: Api, given: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        command(*given)


def test_the_page_shows_each_surface_and_its_bars(visited: Api, admin_client: Client, client: Client) -> None:
    put(visited, fixed="learned")

    page = admin_client.get("/admin/strategies/").content.decode()

    assert "home: always learned" in page
    assert "product: the bandit, exploring 5%" in page
    assert "Reward a trial" in page
    assert "estimated to earn" in page
    assert (
        admin_client.get("/admin/strategies/?shop=7").status_code,
        client.get("/admin/strategies/").status_code,
    ) == (404, 302)
    assert scalar("SELECT count(*) FROM ranking_banditset") == 1
