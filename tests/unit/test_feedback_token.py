from __future__ import annotations

import random
from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.ranking_token import LAYOUT, WITH_EXPERIMENT, BadToken, RankingToken, _pack, token_read, token_sign

SHOP = 7
ids = st.integers(1, 2**53)
doubles = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(codec="utf-8"), max_size=60)
tokens = st.builds(
    RankingToken,
    shop_id=st.just(SHOP),
    context_kind=st.none() | st.just("query"),
    context_key=st.none() | texts,
    query=st.none() | texts,
    terms=st.lists(st.lists(texts, max_size=3).map(tuple), max_size=4).map(tuple),
    filters=st.lists(texts, max_size=3).map(tuple),
    sort=st.sampled_from(["relevance", "price", "-price", "newest"]),
    offset=st.integers(0, 1000),
    k=st.integers(1, 100),
    now=doubles,
    model=st.just("3.14"),
    positions=st.dictionaries(st.sampled_from(["products", "weights", "vectors"]), ids),
    arm=st.none() | st.just("search"),
    propensity=st.none() | doubles,
    seed=st.none() | st.integers(0, 2**63 - 1),
    rules_version=st.integers(0, 10_000),
    items=st.lists(st.tuples(ids, st.integers(1, 500)), max_size=100).map(tuple),
    neighbours=st.lists(st.tuples(ids, doubles), max_size=20).map(tuple),
    scalars=st.dictionaries(texts, doubles, max_size=8),
    subject=st.none() | st.uuids(),
    experiment=st.none() | st.just("search-1:new"),
    teams=st.none() | st.text("AB=", max_size=8),
)


def a_token(items: int = 20, neighbours: int = 5, **changes: Any) -> RankingToken:
    dice = random.Random(3)
    token = RankingToken(
        shop_id=SHOP,
        context_kind="query",
        context_key="bluetooth speaker",
        query="Bluetooth speaker",
        terms=(("bluetooth",), ("speaker", "speakers")),
        filters=("brand:Trevi",),
        now=1795428000.123457,
        model="3.14",
        positions=dict.fromkeys(("products", "postings", "weights", "models", "vectors", "contexts"), 90211),
        arm="search",
        propensity=1.0,
        seed=123456,
        items=tuple((dice.randrange(10**6), dice.randrange(1, 4)) for _ in range(items)),
        neighbours=tuple((dice.randrange(10**6), dice.random()) for _ in range(neighbours)),
        scalars={name: dice.random() * 30 for name in ("normaliser", "shop_reward", "own_reward", "near_reward")},
    )
    return replace(token, **changes)


@given(tokens)
def test_a_token_comes_back_bit_by_bit(token: RankingToken) -> None:
    read = token_read(token_sign(token), SHOP)

    assert read == token
    assert read.ref == token.ref


@given(st.data())
def test_an_altered_token_is_refused(data: st.DataObject) -> None:
    text = token_sign(a_token())
    at = data.draw(st.integers(0, len(text) - 1))
    character = data.draw(st.characters(codec="utf-8").filter(lambda c: c != text[at]))

    with pytest.raises(BadToken):
        token_read(text[:at] + character + text[at + 1 :], SHOP)


@pytest.mark.parametrize("text", ["", ":", "a:b", "x" * 9_000, "\x00", "\ud800:\ud800", "蓝牙:音箱"])
def test_what_was_never_a_token_is_refused(text: str) -> None:
    with pytest.raises(BadToken) as refused:
        token_read(text, SHOP)

    assert (refused.value.code, refused.value.status) == ("bad_token", 400)


@given(st.integers(1, 300))
def test_a_token_cut_short_is_refused(cut: int) -> None:
    with pytest.raises(BadToken):
        token_read(token_sign(a_token())[:-cut], SHOP)


def test_another_shops_token_is_refused() -> None:
    with pytest.raises(BadToken):
        token_read(token_sign(a_token()), SHOP + 1)


def test_a_token_fits_an_address_line() -> None:
    assert len(token_sign(a_token())) < 700
    assert len(token_sign(a_token(items=100, neighbours=20))) < 2500


def test_every_answer_has_a_ref_of_its_own() -> None:
    assert a_token().ref != a_token(now=1795428000.123458).ref


def test_an_answer_is_as_old_as_the_projection_that_is_furthest_behind() -> None:
    assert a_token(positions={"products": 12, "weights": 9}).as_of_position == 9


def test_without_a_shopper_a_token_is_what_it_always_was() -> None:
    layout, *values = orjson.loads(_pack(a_token()))

    assert (layout, len(values)) == (LAYOUT, 21)
    assert orjson.loads(_pack(a_token(subject=UUID(int=7))))[1:] == [*values, UUID(int=7).hex]


def test_an_experiment_is_said_at_the_end_and_nothing_else_moves() -> None:
    layout, *values = orjson.loads(_pack(a_token(experiment="search-1:new", teams="AB=")))

    assert layout == WITH_EXPERIMENT
    assert values == [*orjson.loads(_pack(a_token()))[1:], None, "search-1:new", "AB="]
