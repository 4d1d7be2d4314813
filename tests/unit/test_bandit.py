"""The bandit: what it believes, how likely it shows each arm, and that it says so truly."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta, chisquare

from ranking.bandit.best import best_probabilities
from ranking.bandit.choosing import Choice, NoArms, Setting, State, choose
from ranking.bandit.options import DEFAULTS, BanditOptions
from ranking.bandit.posterior import Posterior, posterior
from ranking.bandit.sums import ArmSums, Tally
from ranking.choices import ArmName
from tests.bandit_cast import ARMS

REMEMBERS = BanditOptions(half_life_trials=1e12, half_life_seconds=1e12)


def sums(trials: float, reward: float) -> ArmSums:
    """Of rewards of 0 and 1."""
    return ArmSums(trials=trials, reward=reward, squares=reward, count=int(trials))


def state(segment: str = "known", setting: Setting | None = None, **arms: tuple[float, float]) -> State:
    """A surface whose arms were shown so often, and earned so much."""
    known = {ArmName("home", segment, arm): sums(*each) for arm, each in arms.items()}
    return State(known, settings={"home": setting} if setting else {})


LEARNED = state(fresh=(400, 22), learned=(500, 34), plain=(300, 9))


def chances(of: State, segment: str = "known", arms: tuple[str, ...] = ARMS) -> dict[str, float]:
    return dict(of.chances(surface="home", segment=segment, arms=arms))


def betas() -> st.SearchStrategy[list[tuple[float, float]]]:
    return st.lists(st.tuples(st.floats(0.05, 2000), st.floats(0.5, 2000)), min_size=1, max_size=6)


@given(betas())
@settings(deadline=None, max_examples=60)
def test_chances_of_being_best_are_a_distribution(pairs: list[tuple[float, float]]) -> None:
    found = best_probabilities(Posterior(*np.array(pairs).T))

    assert found.sum() == pytest.approx(1.0)
    assert (found >= 0).all()


@pytest.mark.parametrize("pairs", [
    [(3, 97), (5, 95)], [(0.04, 1.96), (20, 380)], [(1, 1), (1, 1)], [(900, 9100), (950, 9050)], [(2e5, 8e5), (2.004e5, 8e5)],
])  # fmt: skip
def test_chances_of_two_arms_are_those_of_the_integral(pairs: list[tuple[float, float]]) -> None:
    one, other = (beta(*pair) for pair in pairs)
    middles = sorted([one.mean(), other.mean()])
    truth, _ = quad(lambda x: one.pdf(x) * other.cdf(x), 0, 1, points=middles, limit=500)

    assert best_probabilities(Posterior(*np.array(pairs, dtype=float).T))[0] == pytest.approx(truth, abs=0.004)


def test_chances_of_many_arms_are_those_that_draws_have() -> None:
    a, b = np.array([2.0, 3.0, 0.5, 30.0, 31.0]), np.array([60.0, 70.0, 10.0, 900.0, 880.0])
    drawn = np.random.default_rng(1).beta(a, b, size=(300_000, 5)).argmax(axis=1)

    assert best_probabilities(Posterior(a, b)) == pytest.approx(np.bincount(drawn) / 300_000, abs=0.004)


def test_rewards_of_yes_and_no_give_the_beta_posterior() -> None:
    found = posterior(state(learned=(1000, 80)).arms, segment="known", names=["learned"])

    assert float(found.means[0]) == pytest.approx(0.08, abs=0.001)
    assert float(found.a[0] + found.b[0]) == pytest.approx(1000, rel=0.01)


def test_rewards_that_vary_less_are_known_better() -> None:
    tenths = {
        ArmName("home", "known", "learned"): ArmSums(trials=1000, reward=8.0, squares=0.8)
    }  # 80 clicks of a tenth
    found = posterior(tenths, segment="known", names=["learned"])

    error = float(np.sqrt(found.a * found.b / (found.a + found.b) ** 2 / (found.a + found.b + 1))[0])
    assert error == pytest.approx(0.1 * np.sqrt(0.08 * 0.92 / 1000), rel=0.05)


def test_a_segment_starts_from_what_the_others_taught_and_ends_with_its_own() -> None:
    others = {ArmName("home", "known", arm): sums(2000, reward) for arm, reward in (("learned", 160), ("plain", 80))}
    own = {ArmName("home", "new", arm): sums(5000, reward) for arm, reward in (("learned", 150), ("plain", 300))}

    begins = posterior(others, segment="new", names=["learned", "plain"])
    ends = posterior(others | own, segment="new", names=["learned", "plain"])

    assert begins.means[0] == pytest.approx(2 * begins.means[1], rel=0.1)
    assert float(begins.a[0] + begins.b[0]) < DEFAULTS.pooled_trials + 5
    assert ends.means == pytest.approx([0.03, 0.06], abs=0.004)


def test_an_arm_is_not_better_for_having_been_shown_to_those_who_buy_more() -> None:
    arms = {
        ArmName("home", "known", "learned"): sums(1900, 190), ArmName("home", "known", "plain"): sums(100, 10),
        ArmName("home", "few", "learned"): sums(100, 2), ArmName("home", "few", "plain"): sums(1900, 38),
    }  # fmt: skip
    found = posterior(arms, segment="new", names=["learned", "plain"])

    assert found.means[0] == pytest.approx(found.means[1], rel=0.05)  # 9.6 % and 2.4 % over all


def test_an_arm_that_nobody_tried_is_tried() -> None:
    assert chances(state(learned=(5000, 400), plain=(5000, 350)), arms=("learned", "plain", "untried"))["untried"] > 0.1


def test_without_exploration_the_best_arm_is_certain() -> None:
    assert choose(LEARNED, surface="home", segment="known", arms=ARMS, explore=0, seed=1) == Choice("learned", 1.0)


def test_with_nothing_but_exploration_all_are_alike() -> None:
    all_alike = replace(LEARNED, settings={"home": Setting(explore=1.0)}, _chances={})
    assert chances(all_alike) == pytest.approx(dict.fromkeys(ARMS, 1 / 3))


@given(st.floats(0.001, 1), st.lists(st.tuples(st.integers(1, 3000), st.floats(0, 1)), min_size=3, max_size=3))
@settings(deadline=None, max_examples=50)
def test_no_propensity_is_below_its_share_of_exploration(explore: float, shown: list[tuple[int, float]]) -> None:
    of = state("few", Setting(explore=explore), **{a: (n, n * p) for a, (n, p) in zip(ARMS, shown, strict=True)})

    found = chances(of, "few")

    assert min(found.values()) >= explore / 3 - 1e-12
    assert sum(found.values()) == pytest.approx(1.0)


def test_arms_are_shown_as_often_as_their_propensity_says() -> None:
    made = [choose(LEARNED, surface="home", segment="known", arms=ARMS, seed=seed) for seed in range(20_000)]
    counts, said = Counter(each.arm for each in made), chances(LEARNED)

    assert {each.arm: each.propensity for each in made} == said
    assert chisquare([counts[arm] for arm in ARMS], [20_000 * said[arm] for arm in ARMS]).pvalue > 1e-4


def test_the_same_seed_chooses_the_same() -> None:
    asked = {"surface": "home", "segment": "new", "arms": ARMS, "seed": 7}
    assert choose(LEARNED, **asked) == choose(replace(LEARNED, _chances={}), **asked)  # type: ignore[arg-type]


def test_what_is_fixed_is_shown_and_what_is_off_is_not() -> None:
    fixed, off = Setting(fixed="plain"), Setting(off=("learned",))

    assert chances(replace(LEARNED, settings={"home": fixed}, _chances={})) == {"plain": 1.0}
    assert set(chances(replace(LEARNED, settings={"home": off}, _chances={}))) == {"fresh", "plain"}


def test_an_answer_there_must_be_though_all_is_off_or_what_was_fixed_is_gone() -> None:
    gone = Setting(fixed="deleted", off=ARMS)
    assert set(chances(replace(LEARNED, settings={"home": gone}, _chances={}))) == set(ARMS)
    with pytest.raises(NoArms):
        choose(LEARNED, surface="home", segment="new", arms=[], seed=1)


def test_a_shop_that_nobody_visited_shows_all_alike() -> None:
    assert chances(State(), "new") == pytest.approx(dict.fromkeys(ARMS, 1 / 3), abs=0.01)


def test_evidence_is_halved_by_so_many_trials_and_by_so_long() -> None:
    name, other = ArmName("home", "new", "plain"), ArmName("home", "new", "fresh")
    tally = Tally(options=BanditOptions(half_life_trials=10, half_life_seconds=100))
    tally.add(name, 1.0, 0.0)
    for _ in range(10):
        tally.add(other, 0.0, 0.0)
    after_trials = tally.surface("home")[name].trials
    tally.add(other, 0.0, 90.0)  # and a trial more, a tenth of a half-life

    assert after_trials == pytest.approx(0.5)
    assert tally.surface("home")[name].trials == pytest.approx(0.25)
    assert tally.surface("home")[name].count == 1


def test_surfaces_do_not_share_their_turns() -> None:
    tally = Tally()
    tally.add(ArmName("home", "new", "plain"), 1.0, 0.0)
    tally.add(ArmName("basket", "new", "plain"), 0.0, 0.0)

    assert [tally.turns[each].number for each in ("home", "basket")] == [1, 1]
    assert set(tally.surface("home")) == {ArmName("home", "new", "plain")}
