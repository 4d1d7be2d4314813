"""The sample shop is big enough, reads well, and judges by structure."""

import re
import subprocess
import sys
from collections import Counter, defaultdict

from storefront.sample_shop.judgments import judged_queries, sample_judgments, sample_queries
from storefront.sample_shop.products import sample_listings, sample_products

PRODUCTS = sample_products()
CHINESE = re.compile("[一-鿿]")


def test_it_has_enough_products_categories_and_chinese_listings() -> None:
    assert len(PRODUCTS) >= 420
    assert len({tuple(product["category"]) for product in PRODUCTS}) >= 14
    assert sum(product["language"] == "zh" for product in PRODUCTS) >= 90


def test_no_two_products_have_the_same_id_or_title() -> None:
    assert len({product["product_id"] for product in PRODUCTS}) == len(PRODUCTS)
    assert len({product["title"] for product in PRODUCTS}) == len(PRODUCTS)


def test_it_is_the_same_shop_in_every_process() -> None:
    code = "from storefront.sample_shop import judgments as j; print(j.sample_listings(), j.sample_judgments())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8")

    assert run.stdout.strip() == f"{sample_listings()} {sample_judgments()}"


def test_every_product_is_written_out_in_its_own_language() -> None:
    for product in PRODUCTS:
        text = product["title"] + product["description"]

        assert 1 <= len(re.findall(r"[.。!?]", product["description"])) <= 5, text
        assert not re.search(r"[{}]|  ", text), text
        assert bool(CHINESE.search(product["title"])) == (product["language"] == "zh"), text
        assert bool(CHINESE.search(product["description"])) == (product["language"] == "zh"), text
        assert product["price"] > 0


def test_some_products_are_out_of_stock_and_all_relations_lead_somewhere() -> None:
    ids = {product["product_id"] for product in PRODUCTS}
    relations = [relation for product in PRODUCTS for relation in product["relations"]]

    assert 10 < sum(not product["in_stock"] for product in PRODUCTS) < len(PRODUCTS) / 5
    assert {relation["kind"] for relation in relations} == {"accessory_of", "variant_of"}
    assert {relation["product_id"] for relation in relations} <= ids


def test_conditions_keep_nonsense_out() -> None:
    for listing in sample_listings():
        assert not (listing.kind.key == "chef_knife" and listing.facts["steel"] == "ceramic"
                    and listing.facts["handle"] == "composite")  # fmt: skip
        assert not (listing.kind.key == "earbuds" and listing.use == "running" and listing.facts["sweatproof"] == "no")


def test_every_query_has_an_exact_answer_and_a_wrong_one() -> None:
    ratings: defaultdict[str, set[int]] = defaultdict(set)
    for query, _, rating in sample_judgments():
        ratings[query].add(rating)

    assert len(ratings) >= 150
    assert list(ratings) == sample_queries()
    assert all({0, 3} <= found <= {0, 1, 2, 3} for found in ratings.values())


def test_a_query_and_product_are_judged_once_and_every_product_exists() -> None:
    pairs = Counter((query, product_id) for query, product_id, _ in sample_judgments())

    assert set(pairs.values()) == {1}
    assert {product_id for _, product_id in pairs} <= {product["product_id"] for product in PRODUCTS}


def test_what_a_query_asks_for_decides_its_ratings() -> None:
    listings = {listing.product_id: listing for listing in sample_listings()}
    query = next(query for query in judged_queries() if query.text == "waterproof hiking boots")
    boots = {product_id: listings[product_id] for product_id in query.ratings if product_id.startswith("hiking-boots")}

    assert all((query.ratings[key] == 3) == (boot.facts["waterproof"] == "yes") for key, boot in boots.items())


def test_an_accessory_is_not_the_thing() -> None:
    query = next(query for query in judged_queries() if query.text == "headphones")

    assert {rating for key, rating in query.ratings.items() if key.startswith("headphone-case")} == {1}


def test_queries_come_in_both_languages() -> None:
    chinese = [query for query in sample_queries() if CHINESE.search(query)]

    assert 60 < len(chinese) < len(sample_queries()) - 150
