"""Deciding what a product of the sample shop is, so that every word of the grammar gets its turn."""

import random
from collections.abc import Sequence
from itertools import cycle
from typing import TypeVar

from storefront.sample_shop.vocabulary import Facts, Kind, Language, Named, Value, all_hold
from storefront.sample_shop.writing import Draft

USE_SHARE = 0.62

Card = TypeVar("Card")


class Decks:
    """Shuffled decks of words: every value of a trait comes up before one comes up again."""

    def __init__(self, *, kind: Kind, rng: random.Random) -> None:
        self.kind, self.rng = kind, rng
        self.values = {trait: self._deck(values) for trait, values in kind.traits.items()}
        self.intros, self.uses = self._deck(kind.intros), self._deck(tuple(kind.uses))
        self.options = self._deck(kind.option[1] if kind.option else ())
        self.brands = {language: cycle(self._deck(brands)) for language, brands in kind.brands.items()}
        self.lines = {language: cycle(self._deck(lines)) for language, lines in kind.lines.items()}
        self.names = {language: iter(names) for language, names in kind.names.items()}

    def draft(self, *, language: Language) -> Draft:
        """Decide everything about the next product of this kind.

        Raises ValueError when the conditions of the grammar leave a trait without a value.
        """
        named = next(self.names[language], None)
        facts = self._facts(named)
        use = self._next_use(facts)
        option = self.options.pop(0) if self.options else None
        if option is not None:
            self.options.append(option)
        return Draft(
            kind=self.kind,
            language=language,
            brand=next(self.brands[language]),
            line=next(self.lines[language], ""),
            named=named,
            intro=_take([(intro, intro.when) for intro in self.intros], facts, self.intros),
            facts=facts,
            numbers=self._numbers(facts),
            option=option,
            use=use,
        )

    def _deck(self, cards: Sequence[Card]) -> list[Card]:
        return self.rng.sample(list(cards), k=len(cards))

    def _facts(self, named: Named | None) -> dict[str, str]:
        facts = dict(named.facts) if named else {}
        for trait, deck in self.values.items():
            if trait not in facts:
                value = _take([(value, value.sentence.when) for value in deck], facts, deck)
                facts[trait] = _known(value, trait=trait, kind=self.kind).name
        return facts

    def _next_use(self, facts: Facts) -> str | None:
        if self.rng.random() > USE_SHARE:
            return None
        return _take([(use, self.kind.uses[use].when) for use in self.uses], facts, self.uses)

    def _numbers(self, facts: Facts) -> dict[str, int]:
        ranges = dict(self.kind.numbers)
        for condition, narrower in self.kind.numbers_when.items():
            if all_hold(conditions=[condition], facts=facts):
                ranges |= narrower
        return {name: self.rng.randrange(low, high + 1, step) for name, (low, high, step) in ranges.items()}


def _take(cards: list[tuple[Card, tuple[str, ...]]], facts: Facts, deck: list[Card]) -> Card | None:
    """Take the first card whose conditions hold and put it at the bottom of its deck."""
    for card, conditions in cards:
        if all_hold(conditions=conditions, facts=facts):
            deck.remove(card)
            deck.append(card)
            return card
    return None


def _known(value: Value | None, *, trait: str, kind: Kind) -> Value:
    if value is None:
        raise ValueError(f"no value of {trait} is possible for {kind.key}: the grammar contradicts itself")
    return value
