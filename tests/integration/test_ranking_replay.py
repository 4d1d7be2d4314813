"""Old answers where it is easily got wrong: words met twice, ranks far down, feedback that is not in the history yet."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from eventlog.consume import drain as drain_projection
from eventlog.services import sequence
from feedback.ranking_token import token_read
from feedback.services import events_record
from ranking import versions
from ranking.old_items import AnswerNotReady
from ranking.projections.weights import weights
from ranking.query_text import shop_languages
from ranking.serving import SearchRequest, search
from ranking.versions import ranking_again
from tests.cast import SHOP_ID, Shopper, SmallShop, drain


@pytest.fixture
def now_shop(shop: SmallShop) -> SmallShop:
    """The small shop in the present, for searches by the real clock."""
    shop.clock.now = datetime.now(UTC)
    return shop


def asked(text: str, shop: SmallShop, *, k: int = 20, offset: int = 0) -> SearchRequest:
    return SearchRequest(shop_id=SHOP_ID, q=text, k=k, offset=offset, now=shop.clock.now.timestamp())


def assert_made_again(request: SearchRequest) -> None:
    answer = search(request)
    again = ranking_again(shop_id=SHOP_ID, token=answer["ranking"]["token"])
    assert answer["items"]
    assert [item["product_id"] for item in again["items"]] == [item["product_id"] for item in answer["items"]]
    scores = [item["score"] for item in answer["items"]]
    assert [item["score"] for item in again["items"]] == pytest.approx(scores, abs=1e-6)


def test_two_words_that_share_a_stem_in_one_of_the_languages(now_shop: SmallShop) -> None:
    now_shop.offer({"product_id": "lauf", "title": "Laufschuh", "language": "de"})
    cached = shop_languages.cache  # for seconds, from the test before
    assert cached is not None
    cached.clear()

    request = asked("running run shoes", now_shop)
    answer = search(request)

    terms = [term for group in token_read(answer["ranking"]["token"], SHOP_ID).terms for term in group]
    assert len(terms) > len(set(terms))
    assert_made_again(request)


def test_a_word_that_was_corrected_to_another_one_of_the_query(now_shop: SmallShop) -> None:
    request = asked("headphones headphnes", now_shop)

    answer = search(request)

    assert answer["corrected_query"] is not None
    assert len(token_read(answer["ranking"]["token"], SHOP_ID).terms) == 1
    assert_made_again(request)


def test_exposure_of_ranks_that_nobody_scrolls_to(now_shop: SmallShop, alice: Shopper) -> None:
    now_shop.record(
        *(alice.sees(["mug"], query="mug", rank=900_000) for _ in range(200)), alice.clicks("mug", query="mug")
    )

    assert_made_again(asked("mug", now_shop))


def test_an_answer_waits_for_the_feedback_it_was_made_from(
    now_shop: SmallShop, alice: Shopper, monkeypatch: pytest.MonkeyPatch
) -> None:
    events_record(shop_id=SHOP_ID, items=[alice.buys("mug", query="mug")], now=now_shop.clock.now)
    sequence()
    drain_projection(weights)
    monkeypatch.setattr(versions, "WAIT_SECONDS", 0.05)
    token = search(asked("mug", now_shop))["ranking"]["token"]

    with pytest.raises(AnswerNotReady):
        ranking_again(shop_id=SHOP_ID, token=token)

    drain()
    assert_made_again(asked("mug", now_shop))


def test_a_page_beyond_the_end_is_made_again(now_shop: SmallShop) -> None:
    answer = search(asked("mug", now_shop, offset=900))

    again = ranking_again(shop_id=SHOP_ID, token=answer["ranking"]["token"])

    assert answer["items"] == again["items"] == []


def test_the_longest_query_without_spaces_has_a_token_that_is_taken_back(now_shop: SmallShop) -> None:
    chance = random.Random(1)
    text = "".join(chr(chance.randrange(0x4E00, 0x9FA5)) for _ in range(1000))

    token = search(asked(text, now_shop, k=100))["ranking"]["token"]

    assert token_read(token, SHOP_ID).query == text, len(token)
