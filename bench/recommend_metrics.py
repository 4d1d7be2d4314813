"""Figures of protocols P1 and P2, from lists of rows, best first (pure)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from bench.metrics import mrr_at_k, ndcg_at_k, recall_at_k
from bench.recommend_protocols import Question

P1 = ("ndcg_at_10", "hr_at_10", "recall_at_50", "coverage_at_10", "cold_at_50")
P2 = ("hr_at_10", "mrr_at_10", "ndcg_at_10")
TIMES = 2000


@dataclass(slots=True)
class Answers:
    """What one recommender answered to each question, as far as it counts."""

    questions: list[Question] = field(default_factory=list)
    listed: list[tuple[int, ...]] = field(default_factory=list)  # 50 rows each

    def add(self, question: Question, ranked: Sequence[int]) -> None:
        self.questions.append(question)
        self.listed.append(tuple(int(row) for row in ranked[:50]))

    def ndcg(self) -> list[float]:
        """nDCG@10 of each answer."""
        return [
            ndcg_at_k(ranked, dict.fromkeys(question.wanted, 1.0), 10)
            for question, ranked in zip(self.questions, self.listed, strict=True)
        ]


def p1_figures(answers: Answers, *, items: int, cold: Collection[int]) -> dict[str, float]:
    """Means over the shoppers; `coverage_at_10` is the share of all items that anybody is shown among the first ten.

    `cold_at_50`: of the pairs of a shopper and an item nobody took before, the share in the first 50; NaN without any.
    """
    pairs = list(zip(answers.questions, answers.listed, strict=True))
    never = [[row for row in question.wanted if row in cold] for question, _ in pairs]
    found = sum(len(set(rows) & set(ranked)) for rows, (_, ranked) in zip(never, pairs, strict=True))
    cold_pairs = sum(map(len, never))
    return {
        "ndcg_at_10": _mean(answers.ndcg()),
        "hr_at_10": _mean([float(bool(set(question.wanted) & set(ranked[:10]))) for question, ranked in pairs]),
        "recall_at_50": _mean([recall_at_k(ranked, question.wanted, 50) for question, ranked in pairs]),
        "coverage_at_10": len({row for _, ranked in pairs for row in ranked[:10]}) / items,
        "cold_at_50": found / cold_pairs if cold_pairs else float("nan"),
    }


def p2_figures(answers: Answers) -> dict[str, float]:
    """Means over the questions, each of which has one right item."""
    pairs = list(zip(answers.questions, answers.listed, strict=True))
    return {
        "hr_at_10": _mean([float(question.wanted[0] in ranked[:10]) for question, ranked in pairs]),
        "mrr_at_10": _mean([mrr_at_k(ranked, question.wanted, 10) for question, ranked in pairs]),
        "ndcg_at_10": _mean(answers.ndcg()),
    }


def known_only(answers: Answers) -> Answers:
    """The same without shoppers of whom nothing was known."""
    kept = [n for n, question in enumerate(answers.questions) if question.known]
    return Answers([answers.questions[n] for n in kept], [answers.listed[n] for n in kept])


def ratio(ours: ArrayLike, theirs: ArrayLike, *, seed: int = 0) -> tuple[float, list[float]]:
    """Ratio of two means over the same questions, and its 95 % interval: percentiles of a bootstrap over questions."""
    both = np.stack([np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)])  # (2, Q)
    if not both.shape[1] or both[1].sum() == 0:
        return float("nan"), [float("nan")] * 2
    chance = np.random.default_rng(seed)
    sums = np.array([both[:, chance.integers(both.shape[1], size=both.shape[1])].sum(axis=1) for _ in range(TIMES)])
    low, high = np.nanpercentile(sums[:, 0] / np.where(sums[:, 1] > 0, sums[:, 1], np.nan), [2.5, 97.5]).tolist()
    return float(both[0].sum() / both[1].sum()), [low, high]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
