"""Decayed sums of a batch of events: what feedback adds to the shop, its products and its contexts (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias, TypeVar

from eventlog.events import RecordedEvent
from feedback.events import InteractionRecorded
from ranking.weights.factors import examination
from ranking.weights.options import DEFAULTS, WeightOptions

ContextKey: TypeAlias = tuple[int, str, str]  # shop, kind, key
Pair: TypeAlias = tuple[ContextKey, str]  # context, product_id
Key = TypeVar("Key")
RANKS = 1100  # a rank beyond is looked at as rarely as this one


@dataclass(slots=True)
class Sum:
    """A decayed sum of two values at the time of its newest addition, in seconds."""

    half_life: float
    reward: float = 0.0
    exposure: float = 0.0
    at: float = float("-inf")

    def add(self, reward: float, exposure: float, at: float) -> None:
        if at == self.at:  # as within a page and a batch: nothing fades
            self.reward += reward
            self.exposure += exposure
            return
        if at > self.at:
            factor = 0.5 ** min((at - self.at) / self.half_life, 1000.0)
            self.reward, self.exposure, self.at = self.reward * factor, self.exposure * factor, at
            share = 1.0
        else:
            share = 0.5 ** min((self.at - at) / self.half_life, 1000.0)
        self.reward += reward * share
        self.exposure += exposure * share


class Sums(dict[Key, Sum]):
    """Sums by key, each made when its first addition comes."""

    def __init__(self, half_life: float) -> None:
        super().__init__()
        self.half_life = half_life

    def __missing__(self, key: Key) -> Sum:
        self[key] = made = Sum(self.half_life)
        return made


class Batch:
    """The sums of one batch of events of shops with the same options, to be merged into the tables by one statement each."""

    def __init__(self, options: WeightOptions = DEFAULTS, curves: Mapping[int, Sequence[float]] | None = None) -> None:
        self.options = options
        self.curves = {shop_id: _looked_at(tuple(curve)) for shop_id, curve in (curves or {}).items()}
        self.shops: Sums[int] = Sums(options.global_half_life_seconds)
        self.products: Sums[tuple[int, str]] = Sums(options.global_half_life_seconds)
        self.contexts: Sums[ContextKey] = Sums(options.context_half_life_seconds)
        self.recent_contexts: Sums[ContextKey] = Sums(options.recent_half_life_seconds)
        self.pairs: Sums[Pair] = Sums(options.context_half_life_seconds)
        self.recent_pairs: Sums[Pair] = Sums(options.recent_half_life_seconds)
        self.rewarded_at: dict[Pair, float] = {}
        self.first_position: dict[ContextKey, int] = {}

    def estimate(self, event: RecordedEvent) -> None:
        """Let what is shown after this event count as looked at by its curve."""
        self.curves[event.shop_id] = _looked_at(tuple(event.data["curve"]))

    def add(self, event: RecordedEvent) -> None:
        """Add an event: to each of its products, and at once to what they have in common."""
        at, shop_id = event.effective_at.timestamp(), event.shop_id
        looked_at = self.curves.get(shop_id) or _looked_at(())
        context = self._context(event)
        given = contributions(event, self.options, looked_at)
        reward, exposure = sum(each[1] for each in given), sum(each[2] for each in given)
        self.shops[shop_id].add(reward, exposure, at)
        products = self.products
        for product_id, rewarded, exposed in given:
            products[shop_id, product_id].add(rewarded, exposed, at)
        if context is not None and given:
            self.contexts[context].add(reward, exposure, at)
            self.recent_contexts[context].add(reward, exposure, at)
            self._add_pairs(context, given, at)

    def _add_pairs(self, context: ContextKey, given: Sequence[tuple[str, float, float]], at: float) -> None:
        pairs, recent_pairs = self.pairs, self.recent_pairs
        for product_id, reward, exposure in given:
            pair = (context, product_id)
            pairs[pair].add(reward, exposure, at)
            recent_pairs[pair].add(reward, exposure, at)
            if reward >= self.options.breadth_reward:
                self.rewarded_at[pair] = max(self.rewarded_at.get(pair, at), at)

    def _context(self, event: RecordedEvent) -> ContextKey | None:
        context = event.data.get("context")
        if not context:
            return None
        key = (event.shop_id, context["kind"], context["key"])
        self.first_position.setdefault(key, event.position)
        return key


def contributions(
    event: RecordedEvent, options: WeightOptions, looked_at: Sequence[float]
) -> list[tuple[str, float, float]]:
    """Product, reward and exposure that an event of feedback adds: an impression exposes by rank, an interaction rewards.

    `looked_at` is P(looked at) of each rank from 1 to RANKS.
    """
    data = event.data
    if event.type == InteractionRecorded.type:
        return [(data["product_id"], options.values[data["kind"]], 0.0)]
    first = data["first_rank"] - 1
    return [(product_id, 0.0, looked_at[min(first + i, RANKS - 1)]) for i, product_id in enumerate(data["items"])]


@lru_cache(maxsize=64)
def _looked_at(curve: tuple[float, ...]) -> list[float]:
    return [float(each) for each in examination(range(1, RANKS + 1), curve)]
