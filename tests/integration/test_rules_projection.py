"""The rules of a shop as tables: what the log says, however it is cut, rebuilt the same, readable as of any position."""

from __future__ import annotations

import random
from typing import Any

import pytest

from eventlog.database import query, rows, scalar
from eventlog.rebuild import rebuild
from eventlog.selectors import last_position, read
from eventlog.services import sequence
from ranking.projections.rules import rules
from ranking.rules.selectors import rules_at, rules_standing, rules_version
from ranking.rules.services import arrangement_put, rule_end, rules_put
from tests.cast import SHOP_ID, TEN_O_CLOCK, SmallShop, drain

NOW = TEN_O_CLOCK.timestamp()


def put(*items: dict[str, Any]) -> None:
    assert not rules_put(shop_id=SHOP_ID, items=items, now=TEN_O_CLOCK).rejected


def hide(rule_id: str, product_id: str = "mug", **more: Any) -> dict[str, Any]:
    return {"id": rule_id, "kind": "hide", "product_id": product_id, **more}


def tables() -> tuple[list[Any], list[Any]]:
    return (
        rows("SELECT * FROM ranking_rule ORDER BY position"),
        rows("SELECT * FROM ranking_arrangement ORDER BY shop_id"),
    )


def a_busy_week(seed: int = 3) -> None:
    """Rules set, set anew, ended, and settings between them; sequenced at random moments."""
    chance = random.Random(seed)
    ids = ["a", "b", "c", "d"]
    for n in range(60):
        match chance.randrange(5):
            case 0 if n > 10:
                rule_end(shop_id=SHOP_ID, rule_id=chance.choice(ids), now=TEN_O_CLOCK)
            case 1:
                body = {"search": {"variants": chance.choice(["all", "one"])}}
                arrangement_put(shop_id=SHOP_ID, body=body, now=TEN_O_CLOCK)
            case _:
                put(
                    *(
                        hide(each, chance.choice(["mug", "novel", "茶杯"]), note=str(n))
                        for each in chance.sample(ids, 2)
                    )
                )
        if chance.random() < 0.3:
            sequence()
    drain()


@pytest.mark.django_db
def test_a_rebuilt_table_equals_the_live_one() -> None:
    put(*(hide(each) for each in "abcd"))
    a_busy_week()
    live = tables()

    assert rebuild("rules") == last_position()
    assert tables() == live
    assert len(live[0]) > 40


@pytest.mark.django_db
@pytest.mark.parametrize("batch", [1, 3, 7])
def test_it_does_not_matter_how_the_log_is_cut(batch: int) -> None:
    put(*(hide(each) for each in "abcd"))
    a_busy_week()
    live = tables()
    query("TRUNCATE ranking_rule, ranking_arrangement")

    for after in range(0, last_position(), batch):
        if events := read(after=after, to=min(after + batch, last_position()), types=rules.event_types):
            rules.apply(events)

    assert tables() == live


@pytest.mark.django_db
def test_the_rules_of_a_past_position_can_be_read() -> None:
    put(hide("a"))
    drain()
    first = last_position()
    put(hide("a", "novel"), hide("b"))
    drain()
    second = last_position()
    rule_end(shop_id=SHOP_ID, rule_id="a", now=TEN_O_CLOCK)
    drain()

    def then(position: int) -> set[tuple[str, str | None]]:
        return {(rule.id, rule.product_id) for rule in rules_at(shop_id=SHOP_ID, position=position)}

    assert then(first - 1) == set()
    assert then(first) == {("a", "mug")}
    assert then(second) == {("a", "novel"), ("b", "mug")}
    assert then(last_position()) == {("b", "mug")} == {(each.id, each.product_id) for each in rules_at(shop_id=SHOP_ID)}


@pytest.mark.django_db
def test_a_process_reads_the_rules_again_only_when_they_changed() -> None:
    put(hide("a"))
    drain()

    def standing() -> list[str]:
        version = rules_version(shop_id=SHOP_ID)
        found = rules_standing(shop_id=SHOP_ID, version=version, surface="search", key="tea", now=NOW)
        return [rule.id for rule in found.rules]

    assert standing() == ["a"]
    query("UPDATE ranking_rule SET rule_id = 'never read'")  # a process that read again would see it
    assert standing() == ["a"]
    put(hide("b"))
    drain()
    assert "b" in standing()


@pytest.mark.django_db
def test_a_shop_does_not_see_the_rules_of_another(shop: SmallShop) -> None:
    put(hide("a"))
    drain()

    assert rules_version(shop_id=2) is None
    assert rules_at(shop_id=2) == []


@pytest.mark.django_db
def test_two_operators_who_meet_on_a_rule_leave_one_of_it() -> None:
    put(hide("a", "mug"))
    put(hide("a", "novel"))
    drain()

    assert scalar("SELECT count(*) FROM ranking_rule WHERE closed_position IS NULL") == 1
    assert rules_at(shop_id=SHOP_ID)[0].product_id == "novel"
