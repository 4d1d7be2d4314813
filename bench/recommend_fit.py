"""Freshet's mix, learned on the tail before the cut by the project's own code: the walk in memory and the fit."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bench.recommend_log import Log
from bench.recommend_protocols import Question
from bench.recommend_walk import Modes
from bench.shop import SHOP
from ranking.strategies.fitting import Case, mix_fit
from ranking.strategies.mixes import MIXES
from ranking.strategies.mixing import Mix
from ranking.strategies.walking import Shop, Taken, case_of, cases_walk
from ranking.towers import serving
from ranking.visits.memory import Memory


def p1_mixes(log: Log, vectors: NDArray[np.float32], tail: Sequence[Question], modes: Modes) -> dict[str, Mix]:
    """A mix of each mode, fitted to what shoppers with a history took between the tail's start and the cut."""
    inner = tail[0].at
    shop = Shop(vectors, np.full(len(vectors), float(inner)), serving.model(SHOP).head.unknown)
    memory = Memory(shop.arrived_at)
    for each in _taken(log, inner):
        memory.add(each.who, each.row, each.kind, each.at)
    return {
        mode: _fitted([
            case_of(memory, shop, question.shopper, question.wanted, now=float(inner), again=again)
            for question in tqdm(tail, desc=f"cases, {mode}", unit="case", file=sys.stderr)
        ])
        for mode, again in modes.items()
    }  # fmt: skip


def p2_mixes(
    log: Log, vectors: NDArray[np.float32], modes: Modes, *, inner: int, cut: int, contexts: int, seed: int
) -> dict[str, Mix]:
    """A mix of each mode, fitted to about `contexts` sampled events of the tail, each at its own moment.

    As for the plain mix: of the same share of the events `new` takes those that are.
    """
    share = min(1.0, contexts / (log.first_from(cut) - log.first_from(inner)))
    found = {}
    for mode, again in modes.items():
        shop = Shop(vectors, np.full(len(vectors), float(inner)), serving.model(SHOP).head.unknown)
        found[mode] = _fitted(
            cases_walk(
                _taken(log, cut, label=f"walk, {mode}"),
                memory=Memory(shop.arrived_at),
                shop=shop,
                after=inner - 1.0,
                share=share,
                seed=seed,
                again=again,
            )
        )
    return found


def _taken(log: Log, end: int, *, label: str = "walk") -> Iterator[Taken]:
    """Events before a moment, as the project's walk takes them."""
    numbers = range(log.first_from(end))
    for n in tqdm(numbers, desc=label, unit="event", file=sys.stderr, mininterval=1.0):
        yield Taken(int(log.shopper[n]), int(log.item[n]), "purchase", float(log.at[n]))


def _fitted(cases: Sequence[Case]) -> Mix:
    return mix_fit(cases, start=MIXES["home"][0])


def coefficients(mixes: Mapping[str, Mix]) -> dict[str, dict[str, float]]:
    """What was fitted, for the JSON line."""
    return {mode: {**mix.coefficients, "intercept": mix.intercept} for mode, mix in mixes.items()}
