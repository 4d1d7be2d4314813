"""Weights: exactly 1 when nothing is known, the model's order with little evidence, the shoppers' with much."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ranking.weights.decay import decay, decayed, merge_breadth, merge_decayed
from ranking.weights.evidence import Evidence, ShopEvidence, basis_of, no_evidence
from ranking.weights.factors import context_weight_from_clicks, examination, global_weight, prior_share
from ranking.weights.formula import global_factor, weights
from ranking.weights.near import context_similarity, near_share, neighbour_weight, unrelated_cosine
from ranking.weights.options import DAY_SECONDS, DEFAULTS

DAY = DAY_SECONDS
amounts = st.floats(min_value=-1e6, max_value=1e6, allow_nan=False)
times = st.floats(min_value=0.0, max_value=4e9, allow_nan=False)
half_lives = st.floats(min_value=60.0, max_value=1e9, allow_nan=False)
relevances = npst.arrays(np.float64, st.integers(1, 30), elements=st.floats(1e-9, 1.0))


def clicks(*rewards: float) -> Evidence:
    """A context of a click log: rewards of the candidates, no impressions anywhere."""
    reward = np.array(rewards)
    breadth = (reward > 0.0).astype(np.float64)
    shop = ShopEvidence(reward=float(reward.sum()), breadth=float(breadth.sum()), products=len(reward))
    return replace(
        no_evidence(len(reward)),
        product_reward=reward,
        product_breadth=breadth,
        context_reward=reward,
        context_reward_total=float(reward.sum()),
        recent_reward=reward,
        recent_reward_total=float(reward.sum()),
        shop=shop,
    )


def shown(rewards: list[float], exposures: list[float]) -> Evidence:
    """A context of a shop that sends impressions."""
    reward, exposure = np.array(rewards), np.array(exposures)
    shop = ShopEvidence(reward=float(reward.sum()), exposure=float(exposure.sum()), products=len(reward))
    return replace(
        no_evidence(len(reward)),
        context_reward=reward,
        context_exposure=exposure,
        context_reward_total=float(reward.sum()),
        context_exposure_total=float(exposure.sum()),
        shop=shop,
    )


# -- decayed sums


@given(st.lists(st.tuples(amounts, times), min_size=1, max_size=12), half_lives, st.randoms())
def test_the_order_of_events_does_not_change_a_decayed_sum(events, half_life, random):
    def total(order):
        value, at = np.zeros(()), np.zeros(())
        for amount, time in order:
            value, at = merge_decayed(value, at, amount, time, half_life)
        return value, at

    (one, one_at), (other, other_at) = total(events), total(random.sample(events, len(events)))

    assert one_at == other_at
    assert one == pytest.approx(other, abs=1e-9 * sum(abs(amount) for amount, _ in events))


@given(amounts, times, times, half_lives)
def test_a_decayed_sum_never_overflows_and_never_grows(value, at, now, half_life):
    left = decayed(value, at, now, half_life)

    assert np.isfinite(left)
    assert abs(left) <= abs(value)


def test_half_is_left_after_one_half_life():
    assert decayed(8.0, 0.0, 3 * DAY, 3 * DAY) == 4.0


def test_an_event_of_long_ago_adds_what_is_left_of_it():
    value, at = merge_decayed(1.0, 10 * DAY, 1.0, 7 * DAY, 3 * DAY)

    assert (float(value), float(at)) == (1.5, 10 * DAY)


@given(st.lists(st.tuples(st.integers(0, 4), times), min_size=1, max_size=20), half_lives, st.randoms())
def test_breadth_counts_each_context_once_in_any_order(events, half_life, random):
    def breadth(order):
        newest: dict[int, float] = {}
        total, at = np.zeros(()), np.zeros(())
        for context, time in order:
            before = newest.get(context, -np.inf)
            newest[context] = max(before, time)
            total, at = merge_breadth(total, at, before, time, half_life)
        return total, newest, at

    total, newest, at = breadth(random.sample(events, len(events)))

    assert total == pytest.approx(sum(decay(at - time, half_life) for time in newest.values()), abs=1e-9)


def test_examination_is_the_discount_of_dcg():
    assert examination([1, 3, 7]).tolist() == [1.0, 0.5, pytest.approx(1 / 3)]


def test_an_estimated_curve_goes_on_as_the_discount_falls():
    assert examination([1, 2, 3, 7, 15], [1.0, 0.8, 0.4]).tolist() == pytest.approx([1.0, 0.8, 0.4, 0.4 * 2 / 3, 0.2])


# -- nothing known


@given(relevances)
def test_without_feedback_every_weight_is_exactly_the_operators(relevance):
    operator = np.linspace(0.0, 100.0, len(relevance))

    found = weights(relevance=relevance, evidence=replace(no_evidence(len(relevance)), operator=operator))

    assert found.basis == "none"
    assert np.array_equal(found.global_, np.ones(len(relevance)))
    assert np.array_equal(found.query, np.ones(len(relevance)))
    assert np.array_equal(found.weight, operator)


def test_the_articles_three_products_hold_to_the_digit():
    relevance = np.array([0.83, 0.61, 0.47])
    evidence = replace(no_evidence(3), operator=np.array([0.9, 1.0, 0.5]))

    score = relevance * weights(relevance=relevance, evidence=evidence).weight

    assert score.tolist() == [0.83 * 0.9, 0.61 * 1.0, 0.47 * 0.5]


def test_an_operator_cannot_leave_the_range():
    evidence = replace(no_evidence(2), operator=np.array([-1.0, 1e9]))

    assert weights(relevance=np.array([0.5, 0.5]), evidence=evidence).operator.tolist() == [0.0, 100.0]


# -- global factor


def test_the_global_weight_compares_reward_with_what_the_exposure_earns():
    assert global_weight([15.0, 5.0, -3.0], [50.0, 50.0, 0.0], 0.1, 5.0).tolist() == [2.0, 1.0, 1.0]


def test_where_impressions_are_missing_one_busy_query_makes_no_product_popular():
    shop = ShopEvidence(reward=1000.0, breadth=6.0, products=3)
    evidence = replace(
        no_evidence(3),
        product_reward=np.array([990.0, 10.0, 0.0]),
        product_breadth=np.array([1.0, 5.0, 0.0]),
        shop=shop,
    )

    assert global_factor(evidence).tolist() == [2 / 3, 2.0, 1 / 3]


@given(relevances, st.floats(0.0, 1000.0))
def test_popularity_from_breadth_acts_on_the_odds_and_keeps_a_probability(relevance, breadth):
    count = len(relevance)
    shop = ShopEvidence(reward=1.0, breadth=breadth, products=count)
    evidence = replace(no_evidence(count), product_breadth=np.full(count, breadth), shop=shop)
    g = global_factor(evidence)
    found = relevance * weights(relevance=relevance, evidence=evidence).weight

    assert (found <= 1.0 + 1e-12).all()
    assert found * (1.0 - relevance) == pytest.approx((1.0 - found) * relevance * g, abs=1e-9)


# -- context factor from impressions


def test_a_product_that_earns_what_the_model_expected_keeps_weight_one():
    relevance = np.array([0.8, 0.4])
    found = weights(relevance=relevance, evidence=shown([8.0, 4.0], [100.0, 100.0]))

    assert found.basis == "impressions"
    assert found.query == pytest.approx([1.0, 1.0])


def test_with_many_impressions_the_score_is_the_click_rate_whatever_the_model_said():
    relevance = np.array([0.9, 0.1])
    found = weights(relevance=relevance, evidence=shown([1e4, 9e4], [1e6, 1e6]))
    score = relevance * found.weight

    assert score[1] / score[0] == pytest.approx(9.0, rel=1e-3)


# -- context factor from clicks


def test_the_posterior_is_the_prior_without_clicks_and_the_clicks_with_many():
    prior = np.array([0.7, 0.2, 0.1])
    none = context_weight_from_clicks(reward=np.zeros(3), reward_total=0.0, prior=prior, m=5.0)
    many = context_weight_from_clicks(reward=np.array([0.0, 0.0, 1e9]), reward_total=1e9, prior=prior, m=5.0)

    assert none.tolist() == [1.0, 1.0, 1.0]
    assert (prior * many) == pytest.approx([0.0, 0.0, 1.0], abs=1e-6)


@given(relevances, st.floats(0.1, 100.0))
def test_shares_stay_shares_under_the_posterior(relevance, reward):
    prior = prior_share(relevance, np.ones(len(relevance)))
    rewards = np.zeros(len(relevance))
    rewards[0] = reward
    found = context_weight_from_clicks(reward=rewards, reward_total=reward, prior=prior, m=5.0)

    assert (prior * found).sum() == pytest.approx(1.0)


@given(relevances, st.floats(0.0, 1e6))
def test_learned_factors_stay_within_bounds(relevance, reward):
    found = weights(relevance=relevance, evidence=clicks(reward, *([0.0] * (len(relevance) - 1))))

    for factor in (found.global_, found.query):
        assert (factor >= 0.001).all()
        assert (factor <= 1000.0).all()


@given(st.floats(0.0, 50.0), st.floats(0.1, 50.0))
def test_another_click_never_lowers_the_clicked_product(before, more):
    relevance = np.array([0.3, 0.5, 0.2])

    def share(evidence):
        score = relevance * weights(relevance=relevance, evidence=evidence).weight
        return score[0] / score.sum()

    assert share(clicks(before + more, 2.0, 0.0)) >= share(clicks(before, 2.0, 0.0)) - 1e-12


def test_a_turn_of_today_outweighs_the_habit_of_weeks():
    evidence = replace(
        no_evidence(2),
        context_reward=np.array([30.0, 20.0]),
        context_reward_total=50.0,
        recent_reward=np.array([0.0, 20.0]),
        recent_reward_total=20.0,
    )
    found = weights(relevance=np.array([0.5, 0.5]), evidence=evidence)

    assert found.query[1] > found.query[0]


@given(relevances, st.floats(0.1, 50.0))
def test_part_of_the_candidates_gets_the_weights_it_had_among_all(relevance, reward):
    evidence = clicks(reward, *([0.0] * (len(relevance) - 1)))
    every = weights(relevance=relevance, evidence=evidence)
    columns: dict[str, Any] = {field.name: getattr(evidence, field.name) for field in fields(evidence)}
    cut: dict[str, Any] = {name: one[:1] for name, one in columns.items() if isinstance(one, np.ndarray)}
    first = replace(evidence, **cut)
    alone = weights(relevance=relevance[:1], evidence=first, normaliser=every.normaliser)

    assert alone.weight[0] == every.weight[0]


# -- which basis


@pytest.mark.parametrize(
    ("reward", "exposure", "basis"),
    [(0, 0, "none"), (3, 0, "clicks"), (3, 1, "clicks"), (3, 3, "impressions"), (0, 9, "impressions")],
)
def test_a_context_with_missing_impressions_is_read_as_clicks(reward, exposure, basis):
    assert basis_of(reward, exposure) == basis


# -- neighbours


def test_a_neighbour_lends_by_the_square_of_its_similarity_above_the_floor():
    assert neighbour_weight([0.5, 0.6, 0.8, 1.0]) == pytest.approx([0.0, 0.0, 0.25, 1.0])


@given(st.floats(0.0, 1.0), st.floats(0.0, 1e9))
def test_a_busy_neighbour_lends_no_more_than_the_prior_weighs(similarity, total):
    assert neighbour_weight(similarity, total) * total <= DEFAULTS.pseudo_count


def test_unrelated_contexts_of_an_encoder_that_finds_everything_alike_are_not_near():
    assert context_similarity([0.79, 0.895, 1.0], unrelated=0.79) == pytest.approx([0.0, 0.5, 1.0])


def test_the_mean_cosine_leaves_out_each_vector_with_itself():
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]], dtype=np.float32)

    assert unrelated_cosine(vectors) == pytest.approx((0.0 + 0.6 + 0.8) / 3)


@given(st.floats(0.01, 1e6))
def test_neighbours_never_outweigh_ten_own_clicks(near):
    assert near_share(near) * near <= 10.0 + 1e-9


def test_what_a_near_context_taught_moves_this_one():
    evidence = replace(no_evidence(2), near_reward=np.array([0.0, 3.0]), near_reward_total=3.0)
    found = weights(relevance=np.array([0.5, 0.5]), evidence=evidence)

    assert found.query[1] > 1.0 > found.query[0]
