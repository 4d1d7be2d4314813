"""Arranging a list: what rules and relations promise, whatever the candidates are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ranking.rules.arrange import arrange
from ranking.rules.moves import Placed
from ranking.rules.rule import Rule, Shown, boost_of, rules_matched
from ranking.rules.settings import IDLE, RECOMMENDATIONS, ListSettings

MOST = 12
unhurried = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a busy machine too
names = st.sampled_from([f"p{n}" for n in range(MOST)])


def shop(*products: Shown) -> dict[int, Shown]:
    return dict(enumerate(products))


def product(name: str, **more: Any) -> Shown:
    return Shown(product_id=name, **more)


def pin(name: str, rank: int, **more: Any) -> Rule:
    return Rule(id=f"pin-{name}", kind="pin", product_id=name, rank=rank, **more)


def hide(**match: Any) -> Rule:
    return Rule(id="hide", kind="hide", **match)


def listed(shown: dict[int, Shown], rules: Sequence[Rule] = (), **more: Any) -> list[str]:
    """Product ids as they are listed, of candidates best first."""
    return [shown[each.item].product_id for each in placed(shown, rules, **more)]


def placed(shown: dict[int, Shown], rules: Sequence[Rule] = (), **more: Any) -> list[Placed]:
    asked: dict[str, Any] = {"k": 100, "surface": "home", "key": "home"} | more
    return arrange(list(shown), shown, rules, **asked)


A, B, C, D = (product(name) for name in "abcd")


def test_without_rules_and_relations_the_best_come_first() -> None:
    assert listed(shop(A, B, C), k=2) == ["a", "b"]


def test_a_pinned_product_has_its_rank_and_says_by_which_rule() -> None:
    found = placed(shop(A, B, C), [pin("c", 1)])

    assert [each.item for each in found] == [2, 0, 1]
    assert [move.as_dict() for move in found[0].moves] == [{"id": "pin-c", "kind": "pin", "rank": 1}]


def test_a_pin_behind_the_end_of_the_list_is_at_its_end() -> None:
    assert listed(shop(A, B, C), [pin("a", 50)]) == ["b", "c", "a"]


def test_of_two_pins_for_one_rank_the_newer_has_it_and_the_other_the_next() -> None:
    rules = [pin("b", 1, position=1), pin("c", 1, position=2)]

    assert listed(shop(A, B, C), rules) == ["c", "b", "a"]


def test_a_pin_for_this_query_counts_before_a_newer_one_for_all() -> None:
    rules = [pin("b", 1, position=1, key="tea"), pin("c", 1, position=2)]

    assert listed(shop(A, B, C), rules, surface="search", key="tea") == ["b", "c", "a"]
    assert listed(shop(A, B, C), rules, surface="search", key="coffee") == ["c", "a", "b"]


def test_a_rule_for_a_query_does_not_count_on_the_page_of_a_product_of_that_name() -> None:
    assert listed(shop(A, B), [pin("b", 1, key="tea")], surface="product", key="tea") == ["a", "b"]


def test_a_rule_counts_on_its_surfaces_only() -> None:
    rules = [hide(brand=None, product_id="a", surfaces=("basket",))]

    assert listed(shop(A, B), rules, surface="basket", key="a b") == ["b"]
    assert listed(shop(A, B), rules, surface="home") == ["a", "b"]


def test_hiding_goes_before_pinning() -> None:
    assert listed(shop(A, B), [pin("b", 1), hide(product_id="b")]) == ["a"]


def test_a_category_means_all_that_lies_below_it_and_nothing_beside() -> None:
    shown = shop(
        product("a", category=("Audio", "Speakers")), product("b", category=("Car", "Audio")), product("c", category=())
    )

    assert listed(shown, [hide(category=("Audio",))]) == ["b", "c"]


def test_all_that_a_rule_names_must_fit() -> None:
    shown = shop(product("a", brand="Trevi", category=("Audio",)), product("b", brand="Trevi", category=("Kitchen",)))

    assert listed(shown, [hide(brand="Trevi", category=("Audio",))]) == ["b"]


def test_boosts_of_one_product_multiply_and_are_told() -> None:
    rules = [Rule(id="x", kind="boost", factor=2.0, brand="T"), Rule(id="y", kind="boost", factor=0.25, product_id="a")]
    shown = shop(product("a", brand="T"), B)

    assert boost_of(rules_matched(shown, rules)[0]) == 0.5
    assert sorted(move.id or "" for move in placed(shown, rules)[0].moves) == ["x", "y"]


def test_of_the_variants_of_one_product_the_best_stays() -> None:
    found = placed(shop(product("a", family="f"), B, product("c", family="f")))

    assert [each.item for each in found] == [0, 1]
    assert found[0].moves[0].as_dict() == {"kind": "variants", "product_ids": ["c"]}


def test_of_the_variants_of_one_product_the_pinned_one_stays() -> None:
    shown = shop(product("a", family="f"), B, product("c", family="f"))

    assert listed(shown, [pin("c", 2)]) == ["b", "c"]


def test_what_is_of_the_family_of_the_page_is_not_listed() -> None:
    assert listed(shop(product("a", family="f"), B, C), taken={"f", "c"}) == ["b"]


def test_a_replaced_product_gives_its_place_to_its_successor() -> None:
    found = placed(shop(product("old", successors=("new",)), B, product("new")))

    assert [each.item for each in found] == [2, 1]
    assert found[0].moves[0].as_dict() == {"kind": "replaces", "product_ids": ["old"]}


def test_a_product_replaced_twice_gives_way_to_the_newest() -> None:
    shown = shop(
        product("old", successors=("new", "newer")), B, product("new", successors=("newer",)), product("newer")
    )

    assert listed(shown) == ["newer", "b"]


def test_products_that_replace_each_other_both_stay() -> None:
    shown = shop(product("a", successors=("a", "b")), product("b", successors=("a", "b")))

    assert listed(shown) == ["a", "b"]


def test_a_successor_that_is_sold_out_replaces_nothing_in_stock() -> None:
    shown = shop(product("old", successors=("new",)), product("new", in_stock=False))

    assert listed(shown) == ["old", "new"]


def test_a_replaced_product_stays_where_its_successor_is_no_candidate() -> None:
    assert listed(shop(product("old", successors=("new",)), B)) == ["old", "b"]


def test_what_is_out_of_stock_goes_behind_unless_it_is_pinned() -> None:
    gone = product("a", in_stock=False)

    assert listed(shop(gone, B, C)) == ["b", "c", "a"]
    assert listed(shop(gone, B, C), [pin("a", 1)]) == ["a", "b", "c"]
    assert listed(shop(gone, B, C), settings=IDLE) == ["a", "b", "c"]


def test_what_is_out_of_stock_goes_behind_what_fits_only() -> None:
    gone = product("a", in_stock=False)

    assert listed(shop(gone, B, C, D), fitting={0, 1}) == ["b", "a", "c", "d"]


def test_what_is_out_of_stock_is_hidden_where_the_shop_says_so_though_it_is_pinned() -> None:
    shown = shop(product("a", in_stock=False), B)

    assert listed(shown, [pin("a", 1)], settings=ListSettings(out_of_stock="hide")) == ["b"]


def test_a_list_by_price_keeps_its_order() -> None:
    shown = shop(product("old", in_stock=False, successors=("new",)), B, C, product("new"))

    assert listed(shown, [pin("c", 1), hide(product_id="b")], by_score=False) == ["c", "new"]


settings = st.builds(
    ListSettings,
    out_of_stock=st.sampled_from(["keep", "demote", "hide"]),
    variants=st.sampled_from(["all", "one"]),
    replaced=st.sampled_from(["keep", "successor"]),
)


@st.composite
def shops(draw: st.DrawFn) -> dict[int, Shown]:
    """Candidates best first with brands, stock, families and successors in any combination."""
    chosen = draw(st.lists(names, unique=True, max_size=MOST))
    return {
        n: Shown(
            product_id=name,
            brand=draw(st.sampled_from([None, "x", "y"])),
            in_stock=draw(st.booleans()),
            family=draw(st.sampled_from([name, "f", "g"])),
            successors=tuple(draw(st.lists(names, unique=True, max_size=2))),
        )
        for n, name in enumerate(chosen)
    }


@st.composite
def rule_sets(draw: st.DrawFn) -> list[Rule]:
    made = []
    for n in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(["pin", "boost", "hide"]))
        by_brand = kind != "pin" and draw(st.booleans())
        made.append(
            Rule(
                id=f"r{n}",
                kind=kind,  # type: ignore[arg-type]
                position=n,
                rank=draw(st.integers(1, MOST)) if kind == "pin" else None,
                factor=2.0 if kind == "boost" else None,
                brand=draw(st.sampled_from(["x", "y"])) if by_brand else None,
                product_id=None if by_brand else draw(names),
                key=draw(st.sampled_from([None, "tea", "coffee"])),
            )
        )
    return made


cases = st.tuples(shops(), rule_sets(), settings, st.integers(1, MOST), st.booleans())


def run(case: Any) -> list[int]:
    shown, rules, chosen, k, by_score = case
    found = arrange(list(shown), shown, rules, k=k, surface="search", key="tea", settings=chosen, by_score=by_score)
    return [each.item for each in found]


@unhurried
@given(cases)
def test_a_list_holds_candidates_only_none_twice_and_at_most_k(case: Any) -> None:
    found = run(case)

    assert len(set(found)) == len(found) <= case[3]
    assert set(found) <= set(case[0])


@unhurried
@given(cases)
def test_a_hidden_product_never_appears(case: Any) -> None:
    shown, rules, chosen, *_ = case
    hiding = [rule for rule in rules if rule.kind == "hide" and rule.key in (None, "tea")]

    for item in run(case):
        assert not any(rule.fits(shown[item]) for rule in hiding)
        assert shown[item].in_stock or chosen.out_of_stock != "hide"


@unhurried
@given(cases)
def test_no_two_variants_of_one_product_are_in_one_list(case: Any) -> None:
    shown, _, chosen, *_ = case
    families = [shown[item].family for item in run(case)]

    assert chosen.variants == "all" or len(set(families)) == len(families)


@unhurried
@given(cases)
def test_the_pin_that_counts_most_holds_its_rank_where_the_list_is_long_enough(case: Any) -> None:
    shown, rules, chosen, _, _ = case
    whole = run((shown, rules, chosen, MOST, True))
    matched = rules_matched(shown, [rule for rule in rules if rule.is_asked("search", "tea")])
    pins = {item: next((rule for rule in matched.get(item, ()) if rule.kind == "pin"), None) for item in whole}
    counting = [(rule.precedence, rule.rank or 1, item) for item, rule in pins.items() if rule is not None]

    if counting:
        _, rank, item = max(counting)
        assert len(whole) < rank + len(counting) - 1 or whole.index(item) + 1 == rank


@unhurried
@given(cases)
def test_arranging_a_list_again_changes_nothing(case: Any) -> None:
    shown, rules, chosen, k, by_score = case
    once = run(case)

    again = {item: shown[item] for item in once}

    assert run((again, rules, chosen, k, by_score)) == once


@unhurried
@given(shops(), st.integers(1, MOST))
def test_settings_that_are_idle_change_nothing(shown: dict[int, Shown], k: int) -> None:
    assert run((shown, [], IDLE, k, True)) == list(shown)[:k]


@unhurried
@given(shops())
def test_recommendations_list_what_is_in_stock_before_what_is_not(shown: dict[int, Shown]) -> None:
    stock = [shown[item].in_stock for item in run((shown, [], RECOMMENDATIONS, MOST, True))]

    assert stock == sorted(stock, reverse=True)
