"""The last step of every list: relations, stock, then the operator's rules (pure).

`arrange` takes candidates best first and says which are listed, in which order, and what moved each. Scores stay as they
are. In turn: hidden products go; a replaced product gives way to its successor; of the variants of one product the best
stays; what is out of stock goes behind; pinned products take their ranks. Rules have the last word: what is pinned is
neither replaced nor demoted, and stays instead of its variants. Arranging a list again changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ranking.rules.moves import Placed, rule_moves
from ranking.rules.rule import Rule, Shown, rules_matched
from ranking.rules.settings import DEFAULTS, ListSettings
from ranking.rules.steps import (
    Draft,
    demote,
    family,
    keep_one_of_each_family,
    pins_of,
    replace_old,
    with_pins,
)


def arrange(
    order: Sequence[int],
    shown: Mapping[int, Shown],
    rules: Sequence[Rule],
    *,
    k: int,
    surface: str,
    key: str | None,
    settings: ListSettings | None = None,
    taken: Collection[str] = (),
    fitting: Collection[int] | None = None,
    by_score: bool = True,
    matched: Mapping[int, Sequence[Rule]] | None = None,
) -> list[Placed]:
    """List at most `k` of the candidates `order`, best first; `shown` has an entry for each.

    `rules` are those of this moment; of them count those for this surface and context `key`. `settings` default to those of
    the surface. `taken` are families that are not listed again: of the products of the page, or in the basket. `fitting`
    are the candidates behind which a product that is out of stock may have to go (None: all): in a search, what answers
    it. A list that is not `by_score` (sorted by price, say) keeps its order: nothing is pinned, nothing goes behind.
    `matched` is what `rules_matched` found of the rules that are asked, where that is known already.
    """
    settings = DEFAULTS.of(surface) if settings is None else settings
    if matched is None:
        asked = [rule for rule in rules if rule.is_asked(surface, key)]
        matched = rules_matched({item: shown[item] for item in order}, asked) if asked else {}
    hidden = {item for item, found in matched.items() if any(rule.kind == "hide" for rule in found)}
    made = Draft(_listable(order, shown, hidden, settings, taken), shown)
    made.pinned = pins_of(made.items, shown, matched, settings) if by_score and matched else {}
    for item, found in matched.items():
        made.moves[item] = rule_moves(found, pins=by_score)
    if settings.replaced == "successor":
        replace_old(made, by_score=by_score)
    if settings.variants == "one":
        keep_one_of_each_family(made)
    if settings.out_of_stock == "demote" and by_score:
        demote(made, fitting)
    return [Placed(item, tuple(made.moves.get(item, ()))) for item in with_pins(made)[:k]]


def _listable(
    order: Sequence[int],
    shown: Mapping[int, Shown],
    hidden: Collection[int],
    settings: ListSettings,
    taken: Collection[str],
) -> list[int]:
    """The candidates without those that are hidden, sold out where the shop hides that, or of a family that is taken."""
    items = [item for item in order if item not in hidden] if hidden else list(order)
    if settings.out_of_stock == "hide":
        items = [item for item in items if shown[item].in_stock]
    return [item for item in items if family(shown[item]) not in taken] if taken else items
