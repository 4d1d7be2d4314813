"""Which click-throughs teach and which judge."""

from datetime import UTC, datetime

from feedback.joining import ClickThrough
from ranking.learning.ranges import AT_ONCE, needed, split


def closed(position: int, *, clicked: bool = True) -> ClickThrough:
    return ClickThrough(
        impression_position=position,
        closed_position=position,
        context_kind="query",
        context_key="mug",
        context_text="mug",
        items=["a", "b"],
        first_rank=1,
        ranking_ref=None,
        outcomes={"a": ["click"]} if clicked else {},
        shown_at=datetime(2026, 1, 1, tzinfo=UTC),
        implied=False,
        late=False,
    )


def at(position: int, count: int) -> list[ClickThrough]:
    return [closed(position) for _ in range(count)]


def test_too_few_make_no_version() -> None:
    assert split([closed(n) for n in range(1, needed(10))], from_position=0, every=10) is None


def test_the_next_version_starts_where_this_one_stopped_learning() -> None:
    part = split([closed(n) for n in range(1, 16)], from_position=0, every=10)

    assert part is not None
    assert (part.from_position, part.trained_to, part.to_position) == (0, 10, 15)
    assert [len(part.train), len(part.calibrate), len(part.gate)] == [10, 2, 3]


def test_only_those_with_an_outcome_are_counted_and_the_others_come_along() -> None:
    many = [closed(n, clicked=n % 2 == 0) for n in range(1, 31)]

    part = split(many, from_position=0, every=10)

    assert part is not None
    assert part.trained_to == 20
    assert sum(bool(each.outcomes) for each in part.train) == 10
    assert len(part.train) == 20


def test_a_backlog_is_taken_in_larger_parts_up_to_a_bound() -> None:
    part = split([closed(n) for n in range(1, 1001)], from_position=0, every=10)

    assert part is not None
    assert len(part.train) == AT_ONCE * 10


def test_a_backlog_that_rounding_makes_too_short_for_two_is_taken_as_one() -> None:
    assert 2 * needed(67) == needed(2 * 67) - 1

    part = split([closed(n) for n in range(1, 2 * needed(67) + 1)], from_position=0, every=67)

    assert part is not None
    assert len(part.train) == 67


def test_those_that_closed_at_one_position_are_not_parted() -> None:
    part = split([*at(3, 7), *at(5, 8)], from_position=0, every=10)

    assert part is not None
    assert part.trained_to == 3
    assert len(part.train) == 7


def test_one_position_alone_teaches_and_judges_and_is_then_done_with() -> None:
    part = split(at(9, 15), from_position=0, every=10)

    assert part is not None
    assert part.trained_to == 9
    assert [len(part.train), len(part.calibrate), len(part.gate)] == [10, 2, 3]


def test_no_click_through_both_teaches_and_judges() -> None:
    many = [*at(3, 7), *at(5, 8), *at(6, 4)]

    part = split(many, from_position=0, every=12)

    assert part is not None
    taught = {id(each) for each in part.train}
    assert not taught & {id(each) for each in (*part.calibrate, *part.gate)}
