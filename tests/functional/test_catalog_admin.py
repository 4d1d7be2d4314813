"""Editors at work in the admin: what they save becomes events, and nobody's work is overwritten unseen."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.test import Client

from catalog import admin
from catalog.models import Product
from catalog.selectors import head_of, product_read
from catalog.services import products_upsert
from eventlog.database import scalar
from tests.cast import PRODUCTS, SHOP_ID, TEN_O_CLOCK, SmallShop, drain

LIST = "/admin/catalog/product/"
HOSTILE = "<script>alert(1)</script>'; DROP TABLE x; -- 🎉 مرحبا 青花瓷"


@pytest.fixture
def editor(db: None, monkeypatch: pytest.MonkeyPatch) -> Client:
    """An editor who does not wait for a worker, since there is none."""
    monkeypatch.setattr(admin, "WAIT_SECONDS", 0.0)
    client = Client()
    client.force_login(User.objects.create_superuser("editor"))
    return client


def page(product_id: str = "mug") -> str:
    return f"{LIST}{Product.objects.get(product_id=product_id).pk}/change/"


def form_of(editor: Client, path: str) -> dict[str, Any]:
    """What a browser would send back from a form that nobody touched."""
    sent = {}
    for bound in editor.get(path).context["adminform"].form:
        value = bound.value()
        if value is not None and value is not False:
            sent[bound.html_name] = str(value).replace("\r\n", "\n").replace("\n", "\r\n")
    return sent


def versions(product_id: str = "mug") -> tuple[int, int]:
    head = head_of(shop_id=SHOP_ID, product_id=product_id)
    return head.description_version, head.offer_version


def messages(answer: Any) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def test_saving_a_form_that_nobody_touched_appends_nothing(shop: SmallShop, editor: Client) -> None:
    shop.offer({"product_id": "odd", "title": "Two\nlines", "description": "a\r\nb\n", "category": ["A > B", "C"],
                "attributes": {"n": 1.5, "l": [1, "x"]}, "released_at": "2019-03-01"})  # fmt: skip
    before = scalar("SELECT count(*) FROM eventlog_event")

    for product_id in ("odd", "mug", "茶杯", "novel"):
        assert editor.post(page(product_id), form_of(editor, page(product_id))).status_code == 302

    assert scalar("SELECT count(*) FROM eventlog_event") == before


def test_saving_appends_what_changed(shop: SmallShop, editor: Client) -> None:
    editor.post(page(), form_of(editor, page()) | {"title": "Blue mug", "price": "15"})

    assert versions() == (2, 2)
    mug = product_read(shop_id=SHOP_ID, product_id="mug")
    assert (mug["title"], mug["price"], mug["brand"]) == ("Blue mug", 15.0, "Tonwerk")


def test_a_stale_form_overwrites_nothing_and_keeps_what_was_typed(shop: SmallShop, editor: Client) -> None:
    form = form_of(editor, page())
    shop.revise_description("mug", "Somebody was faster.")

    answer = editor.post(page(), form | {"title": "Blue mug"})

    assert "Somebody else changed this product" in answer.content.decode()
    assert "Blue mug" in answer.content.decode()
    assert versions() == (2, 1)


def test_a_price_that_changed_meanwhile_makes_a_form_stale(shop: SmallShop, editor: Client) -> None:
    form = form_of(editor, page())
    shop.offer(PRODUCTS[0] | {"price": 15.0})

    editor.post(page(), form | {"title": "Blue mug"})

    assert versions() == (1, 2)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("price", "-1"),
        ("price", "nan"),
        ("title", "   "),
        ("title", "bell \x07"),
        ("title", "nul \x00"),
        ("language", "plain English"),
        ("released_at", "soon"),
        ("image_url", "javascript:alert(1)"),
        ("attributes", "{bad"),
        ("attributes", "[1]"),
        ("attributes", '{"a": {"b": 1}}'),
        ("attributes", '{"a": "\\ud800"}'),
        ("relations", '[{"kind": "x"}]'),
    ],
)
def test_a_bad_value_is_shown_at_its_field(shop: SmallShop, editor: Client, field: str, value: str) -> None:
    answer = editor.post(page(), form_of(editor, page()) | {field: value})

    assert list(answer.context["adminform"].form.errors) == [field]
    assert versions() == (1, 1)


def test_the_history_shows_what_changed_and_restores_it(shop: SmallShop, editor: Client) -> None:
    shop.revise_description("mug", "A hand-thrown cup for coffee or tea, 300 ml.")
    html = editor.get(page()).content.decode()
    assert "<del>mug</del><ins>cup</ins>" in html
    assert "Restore this version" in html

    restore = page().replace("change/", "restore/1/")
    assert editor.get(restore).status_code == 405
    answer = editor.post(restore, {"current": "2"})

    assert "Version 1 is current again, as version 3" in messages(answer)
    assert product_read(shop_id=SHOP_ID, product_id="mug")["description"] == PRODUCTS[0]["description"]


def test_restoring_from_an_outdated_page_is_refused(shop: SmallShop, editor: Client) -> None:
    shop.revise_description("mug", "New words.")
    answer = editor.post(page().replace("change/", "restore/1/"), {"current": "1"})

    assert "Nothing was restored" in messages(answer)
    assert versions() == (2, 1)


@pytest.mark.parametrize("path", ["0/restore/1/", "x/restore/1/", "999/restore/1/"])
def test_restoring_what_is_not_there_is_not_found(shop: SmallShop, editor: Client, path: str) -> None:
    assert editor.post(LIST + path, {"current": "1"}).status_code == 404


def test_retiring_asks_first(shop: SmallShop, editor: Client) -> None:
    chosen = {"action": "retire", "_selected_action": [Product.objects.get(product_id="mug").pk]}
    assert "Retire 1" in editor.post(LIST, chosen).content.decode()
    assert versions() == (1, 1)

    editor.post(LIST, chosen | {"confirmed": "yes"})
    drain()

    assert head_of(shop_id=SHOP_ID, product_id="mug").retired
    assert editor.post(page(), {"title": "x"}).status_code == 403


def test_a_product_can_be_added_once(shop: SmallShop, editor: Client) -> None:
    new = {"product_id": "jug", "title": "Jug", "in_stock": "on"}
    editor.post(f"{LIST}add/", new)

    assert versions("jug") == (1, 1)
    answer = editor.post(f"{LIST}add/", new)
    assert answer.context["adminform"].form.errors == {"product_id": ["There is a product of this id already."]}


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({"q": "mug stoneware"}, 1),
        ({"q": "茶"}, 1),
        ({"q": "' OR 1=1 --"}, 0),
        ({"brand": "Trevi"}, 2),
        ({"category": "Cups"}, 2),
        ({"language": "zh"}, 2),
        ({"in_stock__exact": "0"}, 1),
        ({"retired": "yes"}, 0),
        ({"retired": "no"}, 12),
    ],
)
def test_products_are_found_by_words_and_filters(
    shop: SmallShop, editor: Client, asked: dict[str, str], count: int
) -> None:
    assert editor.get(LIST, asked).context["cl"].result_count == count


def test_hostile_text_is_text(empty_shop: SmallShop, editor: Client) -> None:
    item = {"product_id": HOSTILE, "title": HOSTILE, "description": HOSTILE, "brand": HOSTILE, "category": [HOSTILE],
            "attributes": {HOSTILE: HOSTILE}}  # fmt: skip
    products_upsert(shop_id=SHOP_ID, items=[item], origin="api", now=TEN_O_CLOCK)
    drain()

    for path in (LIST, page(HOSTILE), "/admin/catalog/descriptionversion/"):
        answer = editor.get(path)
        assert answer.status_code == 200
        assert "<script>alert" not in answer.content.decode()


def test_a_clerk_without_permission_sees_and_changes_nothing(shop: SmallShop) -> None:
    clerk = Client()
    clerk.force_login(User.objects.create_user("clerk", is_staff=True))

    assert clerk.get(page()).status_code == 403
    assert clerk.post(page().replace("change/", "restore/1/"), {"current": "1"}).status_code == 403
