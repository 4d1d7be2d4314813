"""Metrics by hand, what a click-through says, and what the gate refuses."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ranking.counterfactual import Compared
from ranking.learning.catalogue import CatalogueAt
from ranking.learning.evaluate import Judged, Ranker, log_loss, mrr_at_k, ndcg_at_k, overlaps, pair_accuracy
from ranking.learning.examples import Example, gain, looked_at
from ranking.learning.gate import LEAST, LEAST_QUERIES, Trial, gate
from ranking.overlap import rank_biased_overlap
from ranking.relevance import head_default

HEAD = head_default("minilm")
ONES = np.ones(3, dtype=np.float32)


def numbers(*values: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array(values, dtype=np.float64)


def test_pair_accuracy_counts_pairs_by_weight_and_ties_half() -> None:
    assert pair_accuracy(numbers(3, 2, 1), numbers(0, 1, 0), ONES) == 0.5
    assert pair_accuracy(numbers(2, 2, 1), numbers(0, 1, 0), ONES) == 0.75
    assert pair_accuracy(numbers(3, 2, 1), numbers(0, 1, 0), np.array([1, 1, 0], dtype=np.float32)) == 0.0
    assert np.isnan(pair_accuracy(numbers(3, 2, 1), numbers(0, 0, 0), ONES))


def test_mrr_is_one_over_the_rank_and_an_undecided_model_gains_nothing() -> None:
    assert mrr_at_k(numbers(1, 3, 2), np.array([False, False, True]), k=5) == 0.5
    assert mrr_at_k(numbers(1, 3, 2), np.array([True, False, False]), k=2) == 0.0
    assert mrr_at_k(numbers(1, 1, 1), np.array([True, False, False]), k=5) == 0.5
    assert np.isnan(mrr_at_k(numbers(1, 2), np.array([False, False]), k=5))


def test_ndcg_is_one_for_the_ideal_order() -> None:
    assert ndcg_at_k(numbers(3, 2, 1), numbers(2, 1, 0), k=10) == 1.0
    assert ndcg_at_k(numbers(1, 2), numbers(1, 0), k=10) == pytest.approx(1 / np.log2(3))


def test_log_loss_of_a_coin_is_log_two() -> None:
    assert log_loss(numbers(0.5, 0.5, 0.5), np.array([True, False, True]), ONES) == pytest.approx(np.log(2))


def test_all_above_the_last_click_were_looked_at_and_less_and_less_below() -> None:
    weights = looked_at([1, 2, 3, 4, 5], [False, True, False, False, False])

    assert weights[:2].tolist() == [1.0, 1.0]
    assert weights[2:].tolist() == pytest.approx([np.log2(3) / np.log2(rank + 1) for rank in (3, 4, 5)])
    assert looked_at([1, 2, 3], [True, False, False], [1.0, 0.5, 0.2]).tolist() == pytest.approx([1.0, 0.5, 0.2])
    assert looked_at([1, 3], [False, False]).tolist() == pytest.approx([1.0, 0.5])


def test_a_purchase_gains_more_than_a_click_and_a_dismissal_nothing() -> None:
    assert gain(["click"]) == 1.0
    assert gain(["click", "add_to_cart", "purchase"]) == 4.0
    assert gain(["dismiss"]) == gain([]) == 0.0


def judged(*, accuracy: float, mrr: float, loss: float = 0.5, count: int = 100) -> Judged:
    rng = np.random.default_rng(0)
    wave = rng.normal(0, 0.05, count)
    return Judged(accuracy + wave, accuracy + wave, mrr + wave, np.full(count, loss))


NOTHING = Judged(*(np.zeros(0) for _ in range(4)))


def trial(serving: Judged, candidate: Judged, *, past: tuple[Judged, Judged] = (NOTHING, NOTHING)) -> Trial:
    return Trial(serving, candidate, *past)


def test_a_better_version_passes_with_its_figures() -> None:
    verdict = gate(trial(judged(accuracy=0.6, mrr=0.5), judged(accuracy=0.65, mrr=0.5)))

    assert verdict.reason is None
    assert verdict.figures["candidate"]["accuracy"] - verdict.figures["serving"]["accuracy"] == pytest.approx(0.05)


def test_what_costs_a_catalogues_embedding_must_gain_beyond_chance_query_by_query() -> None:
    before, better = judged(accuracy=0.6, mrr=0.5), judged(accuracy=0.6, mrr=0.55)
    one_favourite = replace(before, mrr=before.mrr + np.where(np.arange(100) < 60, 0.1, 0.0))  # of the query asked most
    asked: dict[str, Any] = {"costly": True, "queries": ["mug"] * 60 + [f"query {n}" for n in range(40)]}

    assert gate(trial(before, one_favourite)).reason is None
    assert "beyond chance" in (gate(replace(trial(before, one_favourite), **asked)).reason or "")
    assert gate(replace(trial(before, better), **asked)).reason is None


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        (judged(accuracy=0.5, mrr=0.5), "pair accuracy"),
        (judged(accuracy=0.6, mrr=0.4), "MRR"),
        (judged(accuracy=0.599, mrr=0.499), "no figure is better"),
        (judged(accuracy=0.7, mrr=0.6, loss=0.6), "log loss"),
    ],
)
def test_a_worse_version_is_refused_for_its_reason(candidate: Judged, reason: str) -> None:
    verdict = gate(trial(judged(accuracy=0.6, mrr=0.5), candidate))

    assert reason in (verdict.reason or "")


def test_too_few_click_throughs_keep_what_serves() -> None:
    few = LEAST - 1

    verdict = gate(trial(judged(accuracy=0.6, mrr=0.5, count=few), judged(accuracy=0.9, mrr=0.9, count=few)))

    assert "only 19" in (verdict.reason or "")


def test_click_throughs_without_negatives_are_judged_by_what_is_found() -> None:
    unknown = np.full(50, np.nan)
    before = Judged(unknown, unknown, np.full(50, 0.5), unknown)

    assert gate(trial(before, Judged(unknown, unknown, np.full(50, 0.6), unknown))).reason is None
    assert gate(trial(before, Judged(unknown, unknown, np.full(50, 0.4), unknown))).reason is not None


@pytest.mark.parametrize(("gained", "reason"), [(0.0, "older click-throughs"), (0.2, None)])
def test_it_may_forget_no_more_than_it_learns(gained: float, reason: str | None) -> None:
    past = (judged(accuracy=0.6, mrr=0.5), judged(accuracy=0.5, mrr=0.4))

    verdict = gate(trial(judged(accuracy=0.6, mrr=0.5), judged(accuracy=0.6 + gained, mrr=0.5 + gained), past=past))

    assert verdict.reason is None if reason is None else reason in (verdict.reason or "")


def listed(*, before: float, after: float, queries: int = 30) -> dict[str, Any]:
    """A trial of two versions on a judgement list, each query with a little noise of its own."""
    wave = np.random.default_rng(1).normal(0, 0.02, queries)
    return {"serving_list": np.full(queries, before), "candidate_list": after + wave - wave.mean()}


def test_learning_from_clicks_must_not_cost_what_the_shop_judged() -> None:
    clicks = judged(accuracy=0.6, mrr=0.5), judged(accuracy=0.65, mrr=0.55), NOTHING, NOTHING

    lost = gate(Trial(*clicks, **listed(before=0.7, after=0.68)))
    within_noise = gate(Trial(*clicks, **listed(before=0.7, after=0.6999)))

    assert lost.reason == "nDCG@10 on the judgement list falls from 0.7000 to 0.6800"
    assert within_noise.reason is None
    assert within_noise.figures["judged_queries"] == 30
    assert within_noise.figures["candidate_list"] == pytest.approx(0.6999)


def test_a_handful_of_judged_queries_refuses_nothing() -> None:
    clicks = judged(accuracy=0.6, mrr=0.5), judged(accuracy=0.65, mrr=0.55), NOTHING, NOTHING

    assert gate(Trial(*clicks, **listed(before=0.7, after=0.1, queries=LEAST_QUERIES - 1))).reason is None


def test_gains_on_the_judgement_list_do_not_pay_for_losses_of_clicks() -> None:
    clicks = judged(accuracy=0.6, mrr=0.5), judged(accuracy=0.599, mrr=0.499), NOTHING, NOTHING

    assert "no figure is better" in (gate(Trial(*clicks, **listed(before=0.7, after=0.8))).reason or "")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (listed(before=0.7, after=0.72), None),
        (listed(before=0.7, after=0.6999), "is not better"),
        (listed(before=0.7, after=0.6), "falls from"),
        (listed(before=0.7, after=0.9, queries=LEAST_QUERIES - 1), "only 7 judged queries"),
    ],
)
def test_what_judgements_taught_is_judged_by_queries_kept_from_it(given: dict[str, Any], reason: str | None) -> None:
    verdict = gate(Trial(NOTHING, NOTHING, NOTHING, NOTHING, **given, taught_by="judgements"))

    assert verdict.reason is None if reason is None else reason in (verdict.reason or "")


def test_what_judgements_taught_must_not_cost_what_clicks_did() -> None:
    clicks = judged(accuracy=0.6, mrr=0.5), judged(accuracy=0.6, mrr=0.4), NOTHING, NOTHING

    verdict = gate(Trial(*clicks, **listed(before=0.7, after=0.8), taught_by="judgements"))

    assert "MRR" in (verdict.reason or "")


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (Compared(1.0, 0.9, -0.1, -0.15, -0.05, 80.0), "clicks a page, estimated, fall from 1.0000 to 0.9000"),
        (Compared(1.0, 0.9, -0.1, -0.25, 0.05, 80.0), None),
        (Compared(1.0, 0.9, -0.1, -0.15, -0.05, LEAST - 1.0), None),
    ],
)
def test_fewer_clicks_than_chance_explains_are_refused(found: Compared, reason: str | None) -> None:
    better = trial(judged(accuracy=0.6, mrr=0.5), judged(accuracy=0.7, mrr=0.6))

    verdict = gate(replace(better, counterfactual={"ips": found, "snips": found, "dr": found}))

    assert verdict.reason == reason
    assert verdict.figures["counterfactual"]["dr"]["difference"] == -0.1


@pytest.mark.parametrize(("share", "reason"), [(0.1, None), (0.4, "mug comes from far to 40% of the first pages")])
def test_nothing_may_crowd_into_many_first_pages(share: float, reason: str | None) -> None:
    better = trial(judged(accuracy=0.6, mrr=0.5), judged(accuracy=0.7, mrr=0.6))

    verdict = gate(replace(better, crowding=("mug", share), most_crowding=0.1))

    assert verdict.figures["crowding"] == {"product": "mug", "share": share}
    assert verdict.reason is None if reason is None else reason in (verdict.reason or "")


def test_where_no_page_was_shown_nothing_is_estimated() -> None:
    verdict = gate(trial(judged(accuracy=0.6, mrr=0.5), judged(accuracy=0.7, mrr=0.6)))

    assert "counterfactual" not in verdict.figures


@pytest.mark.parametrize(
    ("overlap", "reason"), [(0.7, None), (0.6, None), (0.59, "overlap is 0.590, 0.6 is the least")]
)
def test_first_pages_may_not_be_turned_over(overlap: float, reason: str | None) -> None:
    better = trial(judged(accuracy=0.6, mrr=0.5), judged(accuracy=0.7, mrr=0.6))

    verdict = gate(replace(better, overlaps=np.full(30, overlap), least_overlap=0.6))

    assert verdict.figures["overlap"] == pytest.approx(overlap)
    assert verdict.reason is None if reason is None else reason in (verdict.reason or "")


def test_a_drift_over_a_day_is_told_and_refused_only_where_a_bound_is_set() -> None:
    better = trial(judged(accuracy=0.6, mrr=0.5), judged(accuracy=0.7, mrr=0.6))
    drifted = replace(better, overlaps=np.full(30, 0.9), day_overlaps=np.full(30, 0.4))

    told, bound = gate(drifted), gate(replace(drifted, least_day_overlap=0.5))

    assert told.reason is None
    assert told.figures["day_overlap"] == pytest.approx(0.4)
    assert "drift too far in a day: their rank-biased overlap is 0.400, 0.5 is the least" in (bound.reason or "")


def test_overlaps_are_of_the_first_pages_of_each_query_once(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.eye(12, dtype=np.float32)
    catalogue = CatalogueAt([f"p{n}" for n in range(12)], vectors, [], ("en",), 12, 2.0, 1, 1)
    monkeypatch.setattr(CatalogueAt, "lexical", lambda self, query: np.zeros(12, dtype=np.float32))
    falling = np.linspace(1, 0, 12, dtype=np.float32)
    asked = [Example(n, text, text, np.array([0]), ONES[:1], ONES[:1], True) for n, text in enumerate("aab")]
    before = Ranker(lambda text: falling, HEAD)
    after = Ranker(lambda text: falling if text == "a" else falling[::-1].copy(), HEAD)

    found = overlaps(serving=before, candidate=after, examples=asked, catalogue=catalogue)

    assert found[0] == 1.0
    assert found[1] == pytest.approx(rank_biased_overlap(range(10), range(11, 1, -1)))


def unasked(change: float, *, count: int = 100) -> Trial:
    better = trial(judged(accuracy=0.6, mrr=0.5), judged(accuracy=0.65, mrr=0.55))
    before = np.random.default_rng(1).uniform(0.2, 0.8, count)
    return replace(better, unasked=(before, before + change))


def test_a_version_that_costs_searches_nobody_asked_is_refused_however_little() -> None:
    verdict = gate(unasked(-0.0001))

    assert verdict.reason is not None
    assert "nobody asked before falls" in verdict.reason
    assert verdict.figures["serving_unasked"] > verdict.figures["candidate_unasked"]


def test_one_that_leaves_them_as_they_are_passes_and_few_of_them_say_nothing() -> None:
    assert gate(unasked(0.0)).reason is None
    assert gate(unasked(-0.1, count=LEAST - 1)).reason is None
