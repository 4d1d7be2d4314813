"""What was sent against what stands in the read models, fact by fact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from bench.shop import SHOP

Fact = tuple[str, str]  # kind, product


@dataclass(frozen=True, slots=True)
class Ledger:
    """How often each product was shown and each thing was done with it, and the reward that this is worth."""

    facts: Counter[Fact]
    reward: float

    @classmethod
    def of(cls, events: Sequence[dict[str, Any]]) -> Self:
        """Count events as they were sent."""
        from ranking.weights.options import DEFAULTS

        facts: Counter[Fact] = Counter()
        reward = 0.0
        for event in events:
            if event["kind"] == "impression":
                facts.update(("impression", product_id) for product_id in event["items"])
            else:
                facts[event["kind"], event["product_id"]] += 1
                reward += DEFAULTS.values[event["kind"]]
        return cls(facts, reward)

    def compare(self) -> dict[str, Any]:
        """Facts that are missing, facts that stand there too often, and the same of the decayed sums and of the log."""
        from eventlog.verify import verify

        stored = _stored()
        # all events bear one time, and warm-up another a moment before: what decays in between is no loss
        difference = abs(_stored_reward() - self.reward)
        return {
            "facts": self.facts.total(),
            "lost": (self.facts - stored).total(),
            "applied_twice": (stored - self.facts).total(),
            "reward_difference": round(difference, 3) if difference > 1e-3 * max(self.reward, 1.0) else 0.0,
            "promises_broken": sum(finding.broken for finding in verify()),
        }


def _stored() -> Counter[Fact]:
    from eventlog.database import rows

    found = rows(
        """SELECT 'impression', item, count(*) FROM feedback_impression, unnest(items) AS item WHERE shop_id = %s GROUP BY item
           UNION ALL
           SELECT kind, product_id, count(*) FROM feedback_interaction WHERE shop_id = %s GROUP BY kind, product_id""",
        [SHOP, SHOP],
    )
    return Counter({(kind, product_id): count for kind, product_id, count in found})


def _stored_reward() -> float:
    from eventlog.database import scalar

    return float(scalar("SELECT coalesce(sum(reward), 0) FROM ranking_shopweight WHERE shop_id = %s", [SHOP]) or 0.0)
