"""Every strategy, in one explicit list."""

from __future__ import annotations

from ranking.strategies.accessories import ACCESSORIES
from ranking.strategies.around import AROUND
from ranking.strategies.bestsellers import BESTSELLERS
from ranking.strategies.buy_again import BUY_AGAIN
from ranking.strategies.established import ESTABLISHED
from ranking.strategies.evergreen import EVERGREEN
from ranking.strategies.nearest import NEAREST_ITEM
from ranking.strategies.new_arrivals import NEW_ARRIVALS
from ranking.strategies.next_for_you import NEXT_FOR_YOU
from ranking.strategies.popular import POPULAR
from ranking.strategies.recently_viewed import RECENTLY_VIEWED
from ranking.strategies.regular import REGULAR
from ranking.strategies.similar import SIMILAR
from ranking.strategies.strategy import Strategy
from ranking.strategies.strongest import STRONGEST
from ranking.strategies.together import TOGETHER
from ranking.strategies.trending import TRENDING

STRATEGIES: tuple[Strategy, ...] = (
    POPULAR,
    BESTSELLERS,
    EVERGREEN,
    TRENDING,
    SIMILAR,
    NEAREST_ITEM,
    AROUND,
    TOGETHER,
    STRONGEST,
    NEXT_FOR_YOU,
    BUY_AGAIN,
    REGULAR,
    RECENTLY_VIEWED,
    NEW_ARRIVALS,
    ESTABLISHED,
    ACCESSORIES,
)
NAMES = tuple(each.name for each in STRATEGIES)
