"""How many candidates are looked at for a page.

The first ten places come from the best few of each source, and reading a candidate is most of what a page costs; further down
more depth finds more. A page is read from the smallest depth that it fits into, so that few statements are prepared.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """Candidates of each source: `proposed` by each strategy that proposes by number, the others by the one statement."""

    proposed: int
    nearest: int
    popular: int
    trending: int
    newest: int

    @property
    def whole(self) -> int:
        """So few products are all candidates: the sources may hold as many."""
        return 3 * self.proposed + self.nearest + self.popular + self.trending + self.newest


DEPTHS = {
    20: Depth(proposed=70, nearest=70, popular=60, trending=20, newest=30),
    50: Depth(proposed=130, nearest=130, popular=100, trending=30, newest=50),
    100: Depth(proposed=200, nearest=200, popular=150, trending=50, newest=100),
}


def depth_of(k: int) -> Depth:
    """The depth for a page of k products, k at most 100."""
    return next(depth for most, depth in DEPTHS.items() if k <= most)
