"""The gate: a candidate serves only if no criterion speaks against it. A new criterion is a function in CRITERIA.

Each gets the figures of the serving version and of the candidate on the newest click-throughs, which neither was trained
on, on some older ones, and on the shop's judgement list; it returns the reason to refuse, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, Literal, TypeAlias

import numpy as np

from ranking.counterfactual import Compared, figures_of
from ranking.learning.evaluate import Doubles, Judged, mean_known
from ranking.learning.paired import by_query, least_gain

LEAST = 20  # click-throughs: fewer cannot tell a better version from a lucky one
LEAST_QUERIES = 8  # judged ones, each with many products: a shop's first list is short
NOISE = 1.0  # standard errors of the paired difference that a figure may fall and still count as not worse
CHANCE = 0.025  # how often a major version may pass by luck alone, at most
LOSS_SHARE = 0.02  # how much of the log loss a probability may lose: the head is refitted on few pairs
Teacher: TypeAlias = Literal["clicks", "judgements"]


@dataclass(frozen=True, slots=True)
class Trial:
    """What a candidate is judged by: both models on the newest click-throughs, and on those from before the range.

    The lists are nDCG@10 of each query that the shop judged, (Q,), empty where it judged none. What taught the candidate
    decides where it has to be better: on newer click-throughs, or on judged queries that were kept from it. `queries` are
    those of the newest click-throughs, one for each.
    `overlaps` are of the first ten products of both, (Q,); `day_overlaps` of the candidate's and those of what served a
    day before. `counterfactual`: the clicks a page would have had, by estimator; empty where no page was shown. `crowding`:
    the product that comes from far to most first pages, and to what share of those of the queries that judge. `unasked` is
    the MRR of what searches would answer to queries that never teach, as if nobody had asked them before, of both models,
    (N,) each. `folds` is the pair accuracy of what searches would answer by the versions that a query never taught, (Q,) each;
    empty where a kind has no folds.
    """

    serving: Judged
    candidate: Judged
    serving_past: Judged
    candidate_past: Judged
    serving_list: Doubles = field(default_factory=lambda: np.zeros(0))
    candidate_list: Doubles = field(default_factory=lambda: np.zeros(0))
    queries: Sequence[str] = ()
    taught_by: Teacher = "clicks"
    overlaps: Doubles = field(default_factory=lambda: np.zeros(0))
    least_overlap: float = 0.0
    day_overlaps: Doubles = field(default_factory=lambda: np.zeros(0))
    least_day_overlap: float = 0.0
    counterfactual: Mapping[str, Compared] = field(default_factory=dict)
    crowding: tuple[str | None, float] = (None, 0.0)
    most_crowding: float = 1.0
    personal: bool = False  # newer click-throughs say beyond chance that its shopper tower helps those it knows
    costly: bool = False  # it makes every product be embedded anew: clicks must speak for it beyond chance
    replaces: bool = False  # it takes the serving version's place for another reason than being better
    unasked: tuple[Doubles, Doubles] = field(default_factory=lambda: (np.zeros(0), np.zeros(0)))
    folds: tuple[Doubles, Doubles] = field(default_factory=lambda: (np.zeros(0), np.zeros(0)))


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
        "judged_queries": len(trial.serving_list),
        "serving_list": mean_known(trial.serving_list),
        "candidate_list": mean_known(trial.candidate_list),
        "overlap": mean_known(trial.overlaps),
        "day_overlap": mean_known(trial.day_overlaps),
        "unasked_click_throughs": len(trial.unasked[0]),
        "serving_unasked": mean_known(trial.unasked[0]),
        "candidate_unasked": mean_known(trial.unasked[1]),
    }
    figures |= {
        "fold_queries": len(trial.folds[0]),
        "serving_folds": mean_known(trial.folds[0]),
        "candidate_folds": mean_known(trial.folds[1]),
    }
    product, share = trial.crowding
    figures["crowding"] = {"product": product, "share": round(share, 4)}
    if trial.counterfactual:
        figures["counterfactual"] = figures_of(trial.counterfactual)
    return Verdict("; ".join(reasons) or None, figures)


def judged_by_enough(trial: Trial) -> str | None:
    """Too little evidence keeps what serves."""
    if trial.taught_by == "judgements":
        queries = len(trial.serving_list)
        enough = queries >= LEAST_QUERIES
        return None if enough else f"only {queries} judged queries judge it, {LEAST_QUERIES} are needed"
    count = int((~np.isnan(trial.serving.mrr)).sum())
    return None if count >= LEAST else f"only {count} click-throughs judge it, {LEAST} are needed"


def orders_shown_no_worse(trial: Trial) -> str | None:
    """Among the products that shoppers saw, those they wanted must not stand lower."""
    return _falls("pair accuracy among shown products", trial.serving.accuracy, trial.candidate.accuracy)


def finds_clicked_no_worse(trial: Trial) -> str | None:
    """Among all that either version finds, the product wanted must not stand lower."""
    return _falls("MRR of the clicked product", trial.serving.mrr, trial.candidate.mrr)


def orders_judged_no_worse(trial: Trial) -> str | None:
    """What the shop itself judged must not stand lower in the whole catalogue, whatever the candidate learned from."""
    if len(trial.serving_list) < LEAST_QUERIES:
        return None
    return _falls("nDCG@10 on the judgement list", trial.serving_list, trial.candidate_list)


def better_somewhere(trial: Trial) -> str | None:
    """Two figures that both fall, each within its noise, are no progress."""
    if trial.replaces or trial.personal:
        return None
    if trial.taught_by == "judgements":
        gained = mean_known(trial.candidate_list - trial.serving_list)
        return None if gained is None or gained > 0 else "nDCG@10 on the judgement list is not better"
    pairs = ((trial.serving.accuracy, trial.candidate.accuracy), (trial.serving.mrr, trial.candidate.mrr))
    changes = [(after - before)[~np.isnan(before)] for before, after in pairs if not np.isnan(before).all()]
    fell = changes and max(float(change.mean()) for change in changes) < 0
    return "no figure is better than the serving version's" if fell else None


def worth_embedding_everything(trial: Trial) -> str | None:
    """A major version must gain more than chance explains, paired over queries, in the figure that says so most clearly."""
    if not trial.costly or trial.replaces or trial.taught_by == "judgements":
        return None
    pairs = ((trial.serving.accuracy, trial.candidate.accuracy), (trial.serving.mrr, trial.candidate.mrr))
    changes = [by_query(after - before, trial.queries) for before, after in pairs if not np.isnan(before).all()]
    certainty = 1 - CHANCE / max(1, len(changes))  # Bonferroni: each figure is another chance
    if any(least_gain(change, certainty=certainty) > 0 for change in changes):
        return None
    return "no figure is better than the serving version's beyond chance, query by query"


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


def moves_little(trial: Trial) -> str | None:
    """One version must not turn first pages over: a range that does is odd, and shoppers lose what they knew."""
    overlap = mean_known(trial.overlaps)
    if overlap is None or overlap >= trial.least_overlap:
        return None
    return f"first pages move too far: their rank-biased overlap is {overlap:.3f}, {trial.least_overlap:g} is the least"


def drifts_little(trial: Trial) -> str | None:
    """Many small steps in a day may go as far as one that is refused; shops that mind say so (least_day_overlap)."""
    overlap = mean_known(trial.day_overlaps)
    if overlap is None or overlap >= trial.least_day_overlap:
        return None
    return (
        f"first pages drift too far in a day: their rank-biased overlap is {overlap:.3f}, "
        f"{trial.least_day_overlap:g} is the least"
    )


def would_be_clicked_no_less(trial: Trial) -> str | None:
    """Had it ordered what was shown, shoppers must not have clicked less: refused where 95 % of the resampled say so.

    Unlike pair accuracy, this weighs a click by how seldom its rank is looked at.
    """
    found = trial.counterfactual.get("dr")
    if found is None or found.ess < LEAST or found.high >= 0:
        return None
    return f"clicks a page, estimated, fall from {found.serving:.4f} to {found.candidate:.4f}"


def lets_nobody_crowd_in(trial: Trial) -> str | None:
    """One product must not come from nowhere to many first pages at once: somebody pushes it."""
    product, share = trial.crowding
    if share <= trial.most_crowding:
        return None
    return f"{product} comes from far to {share:.0%} of the first pages, {trial.most_crowding:.0%} is the most"


def serves_unasked_no_worse(trial: Trial) -> str | None:
    """What searches answer to queries nobody asked must not fall at all: the same queries judge every version, so that what
    each may lose within its noise would add up."""
    change = trial.unasked[1] - trial.unasked[0]
    change = change[~np.isnan(change)]
    bound = -_noise(change) if trial.replaces else 0.0
    if len(change) < LEAST or change.mean() >= bound:
        return None
    before, after = (float(np.nanmean(each)) for each in trial.unasked)
    return f"MRR of searches nobody asked before falls from {before:.4f} to {after:.4f}"


def helps_what_never_taught_it(trial: Trial) -> str | None:
    """Trained without them, the recipe must order better what queries' shoppers preferred, beyond their standard error: what
    helps only those that teach is learned by heart, and weights know it already."""
    gain = trial.folds[1] - trial.folds[0]
    gain = gain[~np.isnan(gain)]
    if not len(trial.folds[0]):
        return None
    if len(gain) < LEAST_QUERIES:
        return f"only {len(gain)} queries judge what it does for others, {LEAST_QUERIES} are needed"
    if gain.mean() >= -_noise(gain) if trial.replaces else gain.mean() > _noise(gain):
        return None
    before, after = (float(np.nanmean(each)) for each in trial.folds)
    return f"pair accuracy of queries that never taught it goes from {before:.4f} to {after:.4f}: no more than chance"


CRITERIA: Sequence[Criterion] = (
    judged_by_enough,
    orders_shown_no_worse,
    finds_clicked_no_worse,
    orders_judged_no_worse,
    better_somewhere,
    worth_embedding_everything,
    learns_more_than_it_forgets,
    stays_calibrated,
    moves_little,
    drifts_little,
    would_be_clicked_no_less,
    lets_nobody_crowd_in,
    serves_unasked_no_worse,
    helps_what_never_taught_it,
)


def _falls(name: str, before: Doubles, after: Doubles) -> str | None:
    change = (after - before)[~np.isnan(before)]
    if not len(change):
        return None
    if change.mean() >= -_noise(change):
        return None
    return f"{name} falls from {np.nanmean(before):.4f} to {np.nanmean(after):.4f}"


def _noise(change: Doubles) -> float:
    return NOISE * float(change.std(ddof=1)) / sqrt(len(change)) if len(change) > 1 else 0.0
