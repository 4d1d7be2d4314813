"""The gate: a candidate serves only if no criterion speaks against it. A new criterion is a function in CRITERIA.

Each gets the figures of the serving version and of the candidate on the newest click-throughs, which neither was trained
on, and on some older ones; it returns the reason to refuse, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranking.learning.evaluate import Judged, mean_known

LEAST = 20  # click-throughs: fewer cannot tell a better version from a lucky one
NOISE = 1.0  # standard errors of the paired difference that a figure may fall and still count as not worse
LOSS_SHARE = 0.02  # how much of the log loss a probability may lose: the head is refitted on few pairs


@dataclass(frozen=True, slots=True)
class Trial:
    """What a candidate is judged by: both models on the newest click-throughs, and on those from before the range."""

    serving: Judged
    candidate: Judged
    serving_past: Judged
    candidate_past: Judged


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is None when the candidate may serve."""

    reason: str | None
    figures: dict[str, Any]


Criterion = Callable[[Trial], str | None]


def gate(trial: Trial) -> Verdict:
    """Put the candidate through every criterion; the reasons of all that refuse it are given."""
    reasons = [reason for criterion in CRITERIA if (reason := criterion(trial)) is not None]
    figures = {
        "click_throughs": len(trial.serving.mrr),
        "serving": trial.serving.means(),
        "candidate": trial.candidate.means(),
        "past_click_throughs": len(trial.serving_past.mrr),
        "serving_past": trial.serving_past.means(),
        "candidate_past": trial.candidate_past.means(),
    }
    return Verdict("; ".join(reasons) or None, figures)


def judged_by_enough(trial: Trial) -> str | None:
    """Too little evidence keeps what serves."""
    count = int((~np.isnan(trial.serving.mrr)).sum())
    return None if count >= LEAST else f"only {count} click-throughs judge it, {LEAST} are needed"


def orders_shown_no_worse(trial: Trial) -> str | None:
    """Among the products that shoppers saw, those they wanted must not stand lower."""
    return _falls("pair accuracy among shown products", trial.serving.accuracy, trial.candidate.accuracy)


def finds_clicked_no_worse(trial: Trial) -> str | None:
    """Among all that either version finds, the product wanted must not stand lower."""
    return _falls("MRR of the clicked product", trial.serving.mrr, trial.candidate.mrr)


def better_somewhere(trial: Trial) -> str | None:
    """Two figures that both fall, each within its noise, are no progress."""
    pairs = ((trial.serving.accuracy, trial.candidate.accuracy), (trial.serving.mrr, trial.candidate.mrr))
    changes = [float(np.nanmean(after - before)) for before, after in pairs if not np.isnan(before).all()]
    return "no figure is better than the serving version's" if changes and max(changes) < 0 else None


def learns_more_than_it_forgets(trial: Trial) -> str | None:
    """On older click-throughs it may fall by no more than it rises on the newest: clicks without sense teach nothing.

    When tastes change it must forget; then it rises.
    """
    for name in ("accuracy", "mrr"):
        newest = getattr(trial.candidate, name) - getattr(trial.serving, name)
        past = getattr(trial.candidate_past, name) - getattr(trial.serving_past, name)
        known, gain = past[~np.isnan(past)], max(0.0, mean_known(newest) or 0.0)
        if len(known) and -known.mean() > gain + _noise(known):
            return f"{name} on older click-throughs falls by {-known.mean():.4f}, on the newest it gains {gain:.4f}"
    return None


def stays_calibrated(trial: Trial) -> str | None:
    """ŷ must stay a probability: its log loss on what was shown must not grow."""
    before, after = trial.serving.means()["log_loss"], trial.candidate.means()["log_loss"]
    if before is None or after is None or after <= before * (1 + LOSS_SHARE):
        return None
    return f"log loss of ŷ rises from {before:.4f} to {after:.4f}"


CRITERIA: Sequence[Criterion] = (
    judged_by_enough,
    orders_shown_no_worse,
    finds_clicked_no_worse,
    better_somewhere,
    learns_more_than_it_forgets,
    stays_calibrated,
)


def _falls(name: str, before: NDArray[np.float64], after: NDArray[np.float64]) -> str | None:
    change = (after - before)[~np.isnan(before)]
    if not len(change):
        return None
    if change.mean() >= -_noise(change):
        return None
    return f"{name} falls from {np.nanmean(before):.4f} to {np.nanmean(after):.4f}"


def _noise(change: NDArray[np.float64]) -> float:
    return NOISE * float(change.std(ddof=1)) / sqrt(len(change)) if len(change) > 1 else 0.0
