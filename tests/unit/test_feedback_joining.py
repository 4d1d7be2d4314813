from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from feedback.joining import Acted, ClickThrough, Join, Moment, Shown

WINDOW = timedelta(minutes=30)

START = datetime(2020, 1, 1, tzinfo=UTC)
ALICE, BOB = UUID(int=1), UUID(int=2)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def shown(
    position: int, minutes: float, items: Sequence[str] = ("mug", "pot"), ref: str = "r", subject: UUID | None = None
) -> Moment:
    impression = Shown(position, at(minutes) + WINDOW, "query", "tea", "Tea", list(items), 1, ref, at(minutes), subject)
    return Moment(position, at(minutes), impression)


def acted(
    position: int,
    minutes: float,
    product: str = "mug",
    ref: str | None = "r",
    *,
    kind: str = "click",
    query: str | None = "tea",
    received: float | None = None,
    subject: UUID | None = None,
) -> Moment:
    due = at(minutes if received is None else received) + WINDOW
    interaction = Acted(position, due, kind, product, "query", query, query, 1, ref, at(minutes), subject)
    return Moment(position, at(minutes), interaction)


def tick(position: int, minutes: float) -> Moment:
    return Moment(position, at(minutes), None)


def settled(*moments: Moment) -> list[ClickThrough]:
    join = Join()
    for moment in moments:
        join.advance(moment)
    return join.settled


def test_an_impression_closes_at_the_first_position_that_reaches_its_window() -> None:
    [closed] = settled(shown(1, 0), tick(2, 29.9), tick(3, 30), tick(4, 31))

    assert (closed.impression_position, closed.closed_position, closed.outcomes) == (1, 3, {})
    assert (closed.implied, closed.late) == (False, False)


def test_what_followed_within_the_window_is_its_outcome() -> None:
    [closed] = settled(
        shown(1, 0), acted(2, 1), acted(3, 2, kind="purchase"), acted(4, 3, "pot"), acted(5, 3, "pan", "q"), tick(6, 30)
    )[:1]

    assert closed.outcomes == {"mug": ["click", "purchase"], "pot": ["click"]}


def test_a_click_that_arrives_before_its_impression_waits_for_it() -> None:
    [closed] = settled(acted(1, 1), shown(2, 0), tick(3, 30))

    assert (closed.impression_position, closed.outcomes) == (2, {"mug": ["click"]})


def test_a_click_that_waits_in_vain_is_a_positive_of_its_own() -> None:
    [own] = settled(acted(1, 0), tick(2, 29), tick(3, 30))

    assert (own.impression_position, own.closed_position, own.outcomes) == (1, 3, {"mug": ["click"]})
    assert (own.implied, own.late, own.ranking_ref) == (True, False, "r")


def test_a_click_sent_late_waits_from_when_it_was_received() -> None:
    [closed] = settled(tick(1, 120), acted(2, 1, received=120), tick(3, 121), shown(4, 0), tick(5, 122))

    assert (closed.impression_position, closed.outcomes) == (4, {"mug": ["click"]})


def test_a_click_after_the_window_is_late_and_a_positive_of_its_own() -> None:
    closed, late = settled(shown(1, 0), acted(2, 30))

    assert (closed.closed_position, closed.outcomes) == (2, {})
    assert (late.implied, late.late, late.closed_position, late.items) == (True, True, 2, ["mug"])


def test_a_click_with_a_query_and_no_token_is_implied_at_once() -> None:
    [implied] = settled(acted(1, 0, ref=None))

    assert (implied.closed_position, implied.implied, implied.late, implied.ranking_ref) == (1, True, False, None)


def test_a_click_with_neither_teaches_no_context() -> None:
    assert settled(acted(1, 0, ref=None, query=None), tick(2, 60)) == []


def test_of_an_answer_shown_twice_the_last_time_before_the_click_has_it() -> None:
    first, second = settled(shown(1, 0), shown(2, 20), acted(3, 25), tick(4, 50))

    assert (first.outcomes, second.outcomes) == ({}, {"mug": ["click"]})


def test_a_click_before_all_showings_of_an_answer_follows_from_the_first() -> None:
    first, second = settled(shown(1, 1), shown(2, 20), acted(3, 0), tick(4, 50))

    assert (first.outcomes, second.outcomes) == ({"mug": ["click"]}, {})


def test_an_answer_that_many_saw_keeps_their_clicks_apart() -> None:
    of_alice, of_bob = settled(
        shown(1, 0, subject=ALICE), shown(2, 0, subject=BOB), acted(3, 1, subject=ALICE), tick(4, 30)
    )

    assert (of_alice.outcomes, of_bob.outcomes) == ({"mug": ["click"]}, {})


minutes = st.integers(0, 100)
refs = st.sampled_from(["r", "s"])
products = st.sampled_from(["mug", "pot"])
subjects = st.sampled_from([None, ALICE, BOB])
happenings = st.lists(
    st.one_of(
        st.tuples(st.just("shown"), minutes, st.lists(products, min_size=1, unique=True), refs, subjects),
        st.tuples(st.just("acted"), minutes, products, refs | st.none(), subjects),
        st.tuples(st.just("tick"), minutes),
    ),
    max_size=40,
)


def moments_of(drawn: list[tuple]) -> list[Moment]:  # type: ignore[type-arg]
    made = []
    for position, (what, minute, *more) in enumerate(drawn, start=1):
        if what == "shown":
            made.append(shown(position, minute, more[0], more[1], more[2]))
        elif what == "acted":
            made.append(acted(position, minute, more[0], more[1], received=minute + 10, subject=more[2]))
        else:
            made.append(tick(position, minute))
    return made


@given(happenings, st.sets(st.integers(1, 40)))
def test_it_settles_alike_however_the_log_is_cut(drawn: list[tuple], cuts: set[int]) -> None:  # type: ignore[type-arg]
    moments = moments_of(drawn)
    join, found = Join(), []
    for moment in moments:
        join.advance(moment)
        if moment.position in cuts:  # start again from what is stored between two batches
            found += join.settled
            closed = [(each.ranking_ref or "", each.items) for each in found if not each.implied]
            join = Join.of(
                [each for each in join.open.values() if isinstance(each, Shown)],
                [each for each in join.open.values() if isinstance(each, Acted)],
                closed,
            )

    assert found + join.settled == settled(*moments)


@given(happenings)
def test_every_interaction_with_a_context_counts_exactly_once(drawn: list[tuple]) -> None:  # type: ignore[type-arg]
    moments = [*moments_of(drawn), tick(100, 200)]
    given_ = sum(isinstance(moment.what, Acted) for moment in moments)

    counted = sum(len(kinds) for closed in settled(*moments) for kinds in closed.outcomes.values())

    assert counted == given_
