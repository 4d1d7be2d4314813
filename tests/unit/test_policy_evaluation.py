"""What a policy would have earned: true values within the intervals, and a refusal where the log cannot say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import md5

import numpy as np
import pytest

from ranking.bandit.choosing import Setting
from ranking.bandit.policies import UnknownPolicy, policy_of, setting_policy
from ranking.policy_evaluation import Chooser, Evaluation, Policy, Unit, evaluate

ARMS = ("fresh", "learned", "plain")
SEGMENTS = ("known", "new")
WORTH = {"known": (0.10, 0.25, 0.15), "new": (0.10, 0.05, 0.08)}
LOGGED = (0.2, 0.5, 0.3)


Worth = Mapping[str, Sequence[float]]


def units(count: int, *, seed: int = 0, chances: Sequence[float] = LOGGED, worth: Worth = WORTH) -> list[Unit]:
    """Trials whose arm was drawn with these chances; rewards of 0 and 1."""
    rng, made = np.random.default_rng(seed), []
    for n in range(count):
        segment, arm = SEGMENTS[n % 2], int(rng.choice(3, p=chances))
        reward = float(rng.random() < worth[segment][arm])
        key = md5(f"{seed}/{n}".encode(), usedforsecurity=False).hexdigest()
        made.append(Unit(key, segment, ARMS[arm], chances[arm], reward, float(n)))
    return made


def always(**of_segment: str) -> Policy:
    def learned(_: Sequence[Unit]) -> Chooser:
        return lambda segment: {of_segment[segment]: 1.0}

    return learned


BEST = always(known="learned", new="fresh")
TRUTH = (0.25 + 0.10) / 2


def values(found: Evaluation) -> dict[str, float]:
    return {name: each.value for name, each in found.estimates.items()}


def test_the_policy_that_chose_is_worth_what_it_earned() -> None:
    logged = units(1000)
    found = evaluate(logged, lambda _: lambda segment: dict(zip(ARMS, LOGGED, strict=True)))

    earned = float(np.mean([unit.reward for unit in logged]))
    assert found.logged.value == pytest.approx(earned)
    assert (values(found)["ips"], values(found)["snips"]) == pytest.approx((earned, earned))
    assert (found.ess, found.mean_weight) == pytest.approx((1000, 1.0))
    assert found.refusal is None


def test_a_better_policy_is_found_better_and_its_true_value_is_in_the_interval() -> None:
    found = evaluate(units(4000), BEST)

    assert all(each.low < TRUTH < each.high for each in found.estimates.values())
    assert all(each.low > 0 for each in found.differences.values())
    assert not found.is_worse


def test_a_worse_policy_is_found_worse() -> None:
    assert evaluate(units(4000), always(known="fresh", new="learned")).is_worse


def test_the_same_units_give_the_same_figures() -> None:
    assert evaluate(units(500), BEST).as_dict() == evaluate(units(500), BEST).as_dict()


@pytest.mark.parametrize(("logged", "policy", "said"), [
    ([], BEST, "no choice was logged"),
    (units(100), BEST, "100 are needed"),
    (units(2000, worth={"known": (0.01,) * 3, "new": (0.001,) * 3}), BEST, "rewarded trials"),
    ([unit._replace(propensity=1.0) for unit in units(500)], BEST, "by chance"),
    (units(2000), always(known="untried", new="learned"), "never chose"),
    ([unit for unit in units(2000) if (unit.segment, unit.arm) != ("new", "fresh")], BEST, "never chose there (fresh)"),
    (units(1000) + units(1000, seed=1, chances=(0.0, 0.6, 0.4)), BEST, "could not be chosen all the time"),
])  # fmt: skip
def test_what_the_log_cannot_say_is_refused(logged: list[Unit], policy: Policy, said: str) -> None:
    found = evaluate(logged, policy)

    assert found.refusal is not None
    assert said in found.refusal


def test_choices_without_chance_are_left_out() -> None:
    certain = [unit._replace(propensity=1.0) for unit in units(300, seed=1)]
    found = evaluate(units(1000) + certain, BEST)

    assert (found.units, found.without_chance) == (1000, 300)


def test_what_a_bandit_learns_from_some_trials_is_valued_on_others() -> None:
    alike = {segment: (0.1, 0.1, 0.1) for segment in SEGMENTS}  # no policy is better than another
    greedy = setting_policy(Setting(explore=0.0), surface="home", arms=ARMS)

    found = [evaluate(units(600, seed=seed, worth=alike), greedy, resamples=2) for seed in range(40)]

    assert abs(np.mean([each.differences["dr"].difference for each in found])) < 0.005


def test_policies_are_read_by_name() -> None:
    def chances(text: str, setting: Setting | None = None) -> Mapping[str, float]:
        return policy_of(text, surface="home", arms=ARMS, setting=setting or Setting())(units(3000))("known")

    assert chances("plain") == {"plain": 1.0}
    assert chances("uniform") == pytest.approx(dict.fromkeys(ARMS, 1 / 3))
    assert chances("uniform", Setting(off=("plain",))) == pytest.approx({"fresh": 0.5, "learned": 0.5})
    assert chances("explore=0") == {"learned": 1.0}
    assert min(chances("explore=0.3").values()) == pytest.approx(0.1, abs=0.001)
    assert chances("bandit", Setting(fixed="fresh")) == {"fresh": 1.0}


@pytest.mark.parametrize("text", ["unknown", "explore=2", "explore=x", "explore=nan", "", "蓝"])
def test_a_policy_that_does_not_exist_is_refused_with_those_that_do(text: str) -> None:
    with pytest.raises(UnknownPolicy, match="fresh, learned, plain"):
        policy_of(text, surface="home", arms=ARMS, setting=Setting())
