"""A trial: all that the gate is told of two versions, whoever asks, for a new candidate as for one in shadow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ranking.judgements import JudgedQuery
from ranking.learning.catalogue import CatalogueAt
from ranking.learning.evaluate import Doubles, Ranker, clicks_compared, crowding_in, judge, overlaps
from ranking.learning.examples import Example
from ranking.learning.gate import Trial
from ranking.learning.judged import list_ndcg
from ranking.learning.options import TrainOptions

NOTHING = (np.zeros(0), np.zeros(0))


def trial_of(
    *,
    serving: Ranker,
    candidate: Ranker,
    newest: Sequence[Example],
    past: Sequence[Example],
    judged: Sequence[JudgedQuery],
    catalogue: CatalogueAt,
    curve: Sequence[float],
    options: TrainOptions,
    seed: int,
    day_before: Ranker | None = None,
    unasked: tuple[Doubles, Doubles] = NOTHING,
    folds: tuple[Doubles, Doubles] = NOTHING,
    replaces: bool = False,
    personal: bool = False,
) -> Trial:
    """Put two versions side by side on the newest click-throughs, on older ones (`past`) and on the judgement list.

    `day_before` is what served a day ago, `unasked` what both are worth to queries that never teach, `folds` how well they
    order what never taught their folds; `replaces`: the serving version is to go for another reason than the candidate's
    being better; `personal`: taste was found to help in the candidate.
    """
    new_before, new_after = judge(serving=serving, candidate=candidate, examples=newest, catalogue=catalogue)
    old_before, old_after = judge(serving=serving, candidate=candidate, examples=past, catalogue=catalogue)
    drifted = np.zeros(0)
    if day_before is not None:
        drifted = overlaps(serving=day_before, candidate=candidate, examples=newest, catalogue=catalogue)
    return Trial(
        serving=new_before,
        candidate=new_after,
        serving_past=old_before,
        candidate_past=old_after,
        serving_list=list_ndcg(serving, judged, catalogue),
        candidate_list=list_ndcg(candidate, judged, catalogue),
        overlaps=overlaps(serving=serving, candidate=candidate, examples=newest, catalogue=catalogue),
        least_overlap=options.least_overlap,
        day_overlaps=drifted,
        least_day_overlap=options.least_day_overlap,
        counterfactual=clicks_compared(
            serving=serving, candidate=candidate, examples=newest, catalogue=catalogue, curve=curve, seed=seed
        ),
        crowding=crowding_in(serving=serving, candidate=candidate, examples=newest, catalogue=catalogue),
        most_crowding=options.most_crowding,
        unasked=unasked,
        folds=folds,
        queries=[example.key for example in newest],
        replaces=replaces,
        personal=personal,
    )
