"""What a shop's model versions may tell of a shopper, what they have told so far (the ledger), and when they stop.

The setting is an event; what a version cost is in the event that it was trained; nothing else is kept. What opacus computes
from these is imported where it is used, since it loads torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog
from django.conf import settings

from eventlog.database import rows
from eventlog.errors import FreshetError
from eventlog.events import NewEvent
from eventlog.services import append
from ranking.events import PrivacySet
from ranking.learning.options import DEFAULTS, PRIVATE_KINDS, TrainOptions, as_kind
from ranking.registry import ModelVersion, model_versions

if TYPE_CHECKING:
    from ranking.learning.accounting import Noise

log = structlog.get_logger(__name__)
STREAM = "privacy"


class BudgetSpent(FreshetError):
    """The shop's privacy budget is spent: no further model version is trained on its shoppers."""

    code = "privacy_budget_spent"
    status = 409


class BadPrivacy(FreshetError):
    """ε and the budget are numbers above 0, the budget at least ε, and δ lies between 0 and 1."""

    code = "bad_privacy"


@dataclass(frozen=True, slots=True)
class Privacy:
    """A version may tell at most ε of a shopper, all of them together the budget, each but for the chance δ.

    Without ε, versions are trained without noise.
    """

    epsilon: float | None
    delta: float
    budget: float


@dataclass(frozen=True, slots=True)
class Spent:
    """A version trained with noise: its own ε, and what all up to it cost together."""

    version: str
    state: str
    epsilon: float
    total: float


@dataclass(frozen=True, slots=True)
class Ledger:
    """What was spent, oldest first. `bare`: versions trained on click-throughs without noise, of which no ε is known.

    `refusal` says why nothing more is trained, where that is so.
    """

    privacy: Privacy
    spent: Sequence[Spent]
    bare: Sequence[str]
    refusal: str | None

    @property
    def total(self) -> float:
        return self.spent[-1].total if self.spent else 0.0


def privacy_of(shop_id: int) -> Privacy:
    """What was set for a shop, else what the environment says."""
    found = rows("SELECT epsilon, delta, budget FROM ranking_privacy WHERE shop_id = %s", [shop_id])
    if found:
        return Privacy(*found[0])
    return Privacy(
        settings.FRESHET_PRIVACY_EPSILON or None, settings.FRESHET_PRIVACY_DELTA, settings.FRESHET_PRIVACY_BUDGET
    )


def privacy_set(*, shop_id: int, privacy: Privacy, now: datetime) -> None:
    """Record what a shop asks of privacy. What was spent stays spent, also while it is off. Raises BadPrivacy."""
    most = float("inf")
    if not 0 < privacy.delta < 1 or not 0 < privacy.budget < most:
        raise BadPrivacy
    if privacy.epsilon is not None and not 0 < privacy.epsilon <= privacy.budget:
        raise BadPrivacy
    event = PrivacySet(epsilon=privacy.epsilon, delta=privacy.delta, budget=privacy.budget)
    append(shop_id=shop_id, events=[NewEvent(event=event, stream=STREAM, occurred_at=now)])


def options_allowed(options: TrainOptions, *, shop_id: int) -> TrainOptions:
    """The options with the shop's ε and δ, where it set them. Raises BudgetSpent when a version more would cost too much."""
    privacy = privacy_of(shop_id)
    if privacy.epsilon is None:
        return options
    private = _private(options, privacy)
    if refusal := _refusal(privacy, _noises(model_versions(shop_id=shop_id)), private):
        raise BudgetSpent(refusal)
    return private


def _private(options: TrainOptions, privacy: Privacy) -> TrainOptions:
    """The options with ε and δ; a kind of adapter that cannot learn under noise makes way for one that can."""
    learned = options if options.adapter in PRIVATE_KINDS else as_kind(options, "lora")
    return replace(learned, epsilon=privacy.epsilon, delta=privacy.delta)


def ledger_read(*, shop_id: int, options: TrainOptions = DEFAULTS) -> Ledger:
    """What a shop's versions have told so far, and why none more with these options may be trained, if so."""
    privacy, versions = privacy_of(shop_id), sorted(model_versions(shop_id=shop_id), key=_age)
    noised, noises = [each for each in versions if each.metrics.get("noise")], _noises(versions)
    spent = [
        Spent(each.version, each.state, each.metrics["epsilon"], _epsilon(noises[: n + 1], privacy.delta))
        for n, each in enumerate(noised)
    ]
    bare = [
        each.version for each in versions if each.to_position > each.from_position and not each.metrics.get("noise")
    ]
    private = _private(options, privacy)
    return Ledger(privacy, spent, bare, None if privacy.epsilon is None else _refusal(privacy, noises, private))


def _refusal(privacy: Privacy, noises: list[Noise], options: TrainOptions) -> str | None:
    from ranking.learning.accounting import noise_for

    assert privacy.epsilon is not None
    noise = noise_for(
        epsilon=privacy.epsilon, delta=privacy.delta, sample_rate=options.sample_rate, steps=options.private_steps
    )
    after = _epsilon([*noises, noise], privacy.delta)
    if after <= privacy.budget:
        return None
    spent = _epsilon(noises, privacy.delta)
    return (
        f"of the privacy budget {privacy.budget:g}, {spent:.3f} is spent; one more version of ε {privacy.epsilon:g} would "
        f"make it {after:.3f}"
    )


def _epsilon(noises: Sequence[Noise], delta: float) -> float:
    from ranking.learning.accounting import epsilon_of

    return epsilon_of(noises, delta=delta)


def _noises(versions: Sequence[ModelVersion]) -> list[Noise]:
    found: list[dict[str, Any]] = [
        each.metrics["noise"] for each in sorted(versions, key=_age) if each.metrics.get("noise")
    ]
    if not found:
        return []
    from ranking.learning.accounting import Noise

    return [Noise(each["multiplier"], each["sample_rate"], each["steps"]) for each in found]


def _age(version: ModelVersion) -> tuple[int, int]:
    return version.major, version.minor
