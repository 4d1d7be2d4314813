"""Writing to the catalogue: repeats change nothing, races lose nothing, old descriptions come back."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.decisions import ProductIsRetired, ProductNotFound
from catalog.events import description_stream
from catalog.inputs import ProductIn
from catalog.selectors import (
    DescriptionVersionNotFound,
    description_at,
    descriptions_read,
    head_of,
    product_read,
    stream_through,
)
from catalog.services import (
    BadDescription,
    UpsertResult,
    description_restore,
    description_revise,
    product_edit,
    product_retire,
    products_upsert,
)
from eventlog.database import rows, scalar
from eventlog.errors import ConcurrentChange
from eventlog.receipts import receipt_read, receipt_visible
from tests.cast import PRODUCTS, SHOP_ID, TEN_O_CLOCK, SmallShop, drain

MUG = PRODUCTS[0]


def upsert(*items: Any) -> UpsertResult:
    return products_upsert(shop_id=SHOP_ID, items=items, origin="api", now=TEN_O_CLOCK)


def counts(result: UpsertResult) -> tuple[int, int, int]:
    return result.accepted, result.duplicates, len(result.rejected)


def log_length() -> int:
    return int(scalar("SELECT count(*) FROM eventlog_event"))


def versions(product_id: str = "mug") -> tuple[int, int]:
    head = head_of(shop_id=SHOP_ID, product_id=product_id)
    return head.description_version, head.offer_version


def revise(product_id: str = "mug", *, expected: int | None = None, **fields: Any) -> int:
    return description_revise(
        shop_id=SHOP_ID, product_id=product_id, fields=fields, expected_version=expected, now=TEN_O_CLOCK
    ).version


def restore(version: int, product_id: str = "mug") -> int:
    return description_restore(shop_id=SHOP_ID, product_id=product_id, version=version, now=TEN_O_CLOCK).version


def test_the_same_products_again_append_nothing(shop: SmallShop) -> None:
    before = log_length()

    assert counts(upsert(*PRODUCTS)) == (0, len(PRODUCTS), 0)
    assert log_length() == before


def test_a_price_change_leaves_the_description_version(shop: SmallShop) -> None:
    assert counts(upsert(MUG | {"price": 15.0})) == (1, 0, 0)
    assert versions() == (1, 2)


def test_a_bad_item_is_refused_alone(empty_shop: SmallShop) -> None:
    result = upsert(MUG, {"product_id": "x", "title": "a\x00b"}, 7, PRODUCTS[1])

    assert counts(result) == (2, 0, 2)
    assert [(each.index, each.code) for each in result.rejected] == [(1, "bad_text"), (2, "not_an_object")]


def test_of_one_product_twice_in_a_batch_the_later_counts_and_both_are_answered(empty_shop: SmallShop) -> None:
    result = upsert(MUG, MUG | {"title": "Later"}, MUG | {"price": -1})

    assert counts(result) == (1, 1, 1)
    assert product_read(shop_id=SHOP_ID, product_id="mug")["title"] == "Later"
    assert counts(upsert(MUG, MUG | {"title": "Later"})) == (0, 2, 0)


def test_a_retired_product_is_refused_and_nothing_is_written(shop: SmallShop) -> None:
    shop.retire("mug")
    before = log_length()

    assert upsert(MUG | {"price": 1.0}).rejected[0].code == "product_retired"
    with pytest.raises(ProductIsRetired):
        revise(title="Again")
    with pytest.raises(ProductIsRetired):
        restore(1)
    assert log_length() == before


def test_retiring_twice_is_retiring_once_and_the_receipt_names_the_first(shop: SmallShop) -> None:
    first = product_retire(shop_id=SHOP_ID, product_id="mug", now=TEN_O_CLOCK)

    assert product_retire(shop_id=SHOP_ID, product_id="mug", now=TEN_O_CLOCK) == first
    with pytest.raises(ProductNotFound):
        product_retire(shop_id=SHOP_ID, product_id="nobody", now=TEN_O_CLOCK)


def test_revising_replaces_what_is_given_and_null_empties(shop: SmallShop) -> None:
    assert revise(expected=1, title="Blue mug", brand=None) == 2

    mug = product_read(shop_id=SHOP_ID, product_id="mug")
    assert (mug["title"], mug["brand"], mug["description"]) == ("Blue mug", None, MUG["description"])


def test_revising_an_older_version_is_refused(shop: SmallShop) -> None:
    revise(expected=1, title="Blue mug")

    with pytest.raises(ConcurrentChange):
        revise(expected=1, title="Red mug")
    assert versions() == (2, 1)


@pytest.mark.parametrize("fields", [{"titel": "x"}, {"price": 1.0}, {"title": None}, {"title": "\x00"}])
def test_a_bad_revision_is_refused_and_nothing_is_written(shop: SmallShop, fields: dict[str, Any]) -> None:
    with pytest.raises(BadDescription) as caught:
        revise(**fields)

    assert caught.value.field in fields
    assert versions() == (1, 1)


def test_restoring_makes_a_new_version_that_says_where_it_is_from(shop: SmallShop) -> None:
    revise(title="Blue mug")

    assert restore(1) == 3
    newest = descriptions_read(shop_id=SHOP_ID, product_id="mug")[0]
    assert (newest.origin, newest.restored_from, newest.content["title"]) == ("restore", 1, MUG["title"])


def test_restoring_what_is_current_changes_nothing(shop: SmallShop) -> None:
    assert restore(1) == 1
    with pytest.raises(DescriptionVersionNotFound):
        restore(2)
    with pytest.raises(DescriptionVersionNotFound):
        restore(0)


def test_an_editor_who_looked_at_an_older_price_is_told(shop: SmallShop) -> None:
    upsert(MUG | {"price": 15.0})
    edited = ProductIn.model_validate(MUG | {"title": "Blue mug"})

    with pytest.raises(ConcurrentChange):
        product_edit(
            shop_id=SHOP_ID,
            product=edited,
            expected_description_version=1,
            expected_offer_version=1,
            now=TEN_O_CLOCK,
        )
    assert versions() == (1, 2)


titles = st.lists(
    st.text(st.characters(codec="utf-8", categories=("L", "N", "S", "P")), min_size=1), min_size=1, max_size=4
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=titles, data=st.data())
def test_restoring_any_version_gives_its_text(empty_shop: SmallShop, texts: list[str], data: st.DataObject) -> None:
    product_id = f"p{log_length()}"
    for text in texts:
        assert not upsert({"product_id": product_id, "title": text, "attributes": {text: text}}).rejected
    version = data.draw(st.integers(1, versions(product_id)[0]))
    wanted = description_at(shop_id=SHOP_ID, product_id=product_id, version=version).content

    restore(version, product_id)

    assert descriptions_read(shop_id=SHOP_ID, product_id=product_id)[0].content == wanted
    assert not upsert({"product_id": product_id, **{k: v for k, v in wanted.items() if v is not None}}).accepted


def test_a_product_reads_the_same_before_and_after_it_is_projected(empty_shop: SmallShop) -> None:
    upsert(*PRODUCTS)
    revise("speaker", title="Speaker")
    upsert(MUG | {"price": None, "in_stock": False})
    product_retire(shop_id=SHOP_ID, product_id="novel", now=TEN_O_CLOCK)
    everybody = [product["product_id"] for product in PRODUCTS]
    folded = [product_read(shop_id=SHOP_ID, product_id=each) for each in everybody]

    drain()

    assert [product_read(shop_id=SHOP_ID, product_id=each) for each in everybody] == folded


def test_a_receipt_turns_visible_when_every_projection_has_the_change(shop: SmallShop) -> None:
    receipt = upsert(MUG | {"price": 15.0}).receipt
    assert receipt_visible(shop_id=SHOP_ID, receipt=receipt)["visible"] is False

    drain()

    found = receipt_visible(shop_id=SHOP_ID, receipt=receipt)
    assert found["visible"] is True
    assert found["position"] == scalar("SELECT last FROM eventlog_sequencer")


def test_the_receipt_of_a_repeat_names_the_event_that_said_it_first(shop: SmallShop) -> None:
    changed = upsert(MUG | {"price": 15.0})

    again = upsert(MUG | {"price": 15.0})
    assert (again.accepted, receipt_read(again.receipt, shop_id=SHOP_ID)) == (0, changed.row_id)


def _race(*jobs: Any) -> list[BaseException]:
    """Run jobs at the same moment, each on a connection of its own; return what they raised."""
    start, failures = threading.Barrier(len(jobs)), []

    def run(job: Any) -> None:
        try:
            start.wait()
            job()
        except BaseException as error:  # noqa: BLE001  (a thread's failure is the test's to tell)
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def test_racing_upserts_of_the_same_products_all_get_through(real_db: None) -> None:
    writers, turns = 8, 8

    def writer(n: int) -> Any:
        def write() -> None:
            for turn in range(turns):
                items = [{"product_id": str(i), "title": f"{n}/{turn}", "price": n * 10 + turn} for i in range(20)]
                result = upsert(*items)
                assert counts(result) == (20, 0, 0)

        return write

    assert _race(*(writer(n) for n in range(writers))) == []
    drain()
    assert scalar("SELECT count(*) FROM eventlog_event") == writers * turns * 20 * 2
    assert rows("SELECT DISTINCT description_version, offer_version FROM catalog_product") == [(writers * turns,) * 2]
    # what a writer said at once stands in one piece: title and price come from the same item
    torn = "price <> split_part(title, '/', 1)::int * 10 + split_part(title, '/', 2)::int"
    assert scalar(f"SELECT count(*) FROM catalog_product WHERE {torn}") == 0


def test_an_upsert_that_lost_is_not_overtaken_by_those_that_come_later(
    real_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.services.ATTEMPTS", 2)  # alone at the second attempt, so that no third is needed

    def write() -> None:
        for turn in range(20):
            upsert({"product_id": "mug", "title": f"{threading.get_ident()}/{turn}"})

    assert _race(*[write] * 6) == []


def test_of_two_racing_editors_one_is_told(real_db: None) -> None:
    upsert(MUG)
    stream_through(shop_id=SHOP_ID, stream=description_stream("mug"), version=1)

    failures = _race(*(lambda text=text: revise(expected=1, title=text) for text in ("Red", "Blue")))

    assert [type(failure) for failure in failures] == [ConcurrentChange]
    assert versions() == (2, 1)
