"""Experiments: how often an A/B test without a difference cries wolf when one looks daily, and what interleaving saves.

    python -m bench.experiments [--runs 1000] [--pairs 25] [--json]

Simulated shoppers, and the project's code that assigns, merges, credits and computes intervals; no servers. First, shops
where the variant is what control is: each day for four weeks every interval of the experiment is looked at, and a false
alarm is a run in which any of them ever lies on one side of zero; beside them the usual interval for one look (1.96 σ, and
the same parted over the four metrics), and ours if a small side's own variance were believed. Then pairs of rankers of
which one is better, more or less alike: how many clicks an A/B test takes to know, and how many interleaving, both at the
same level, looking all the time. Lists of a ranker's next version differ here and there, of an unrelated one everywhere.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from math import sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `python bench/experiments.py` works as well

import numpy as np
from tqdm import tqdm

from bench.experiments_shop import QUERIES, RELATED, SHOWN, Rankers, Shop, Visits
from bench.harness import finish, parser, percentile, table
from ranking.experiments.assigning import assigned, draw_seed
from ranking.experiments.experiment import Experiment, Variant
from ranking.experiments.intervals import TUNED, Sums, difference, preference, stretch, sums_of

LEVEL = 0.05
OTHERS = ("any", "guard", "usual_any", "usual_ctr", "own_conversion", "own_revenue")
METRICS = ("ctr", "add_to_cart", "conversion", "revenue")
SHOPS = {
    "halves, lognormal revenue": Shop(),
    "halves, Pareto revenue": Shop(tail="pareto"),
    "a tenth, lognormal revenue": Shop(share=0.1),
    "a tenth, Pareto revenue": Shop(share=0.1, tail="pareto"),
    "halves, who bought buys no more": Shop(once=True, conversion=0.05),
}
STEP, MOST_SHOPPERS = 1.05, 60_000  # looks are so many times as many shoppers apart; nobody waits longer


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--runs", type=int, default=1000, help="simulated A/B tests of each shop; 0: none")
    options.add_argument("--pairs", type=int, default=25, help="pairs of rankers of each kind; 0: none")
    options.add_argument("--seed", type=int, default=1)
    arguments = options.parse_args()
    runs, pairs, seed = arguments.runs, arguments.pairs, arguments.seed
    results: dict[str, Any] = {"level": LEVEL}
    if runs:
        results["false_alarms"] = {name: false_alarms(shop, runs, seed, name) for name, shop in SHOPS.items()}
        results["found"] = {str(lift): found(lift, max(runs // 5, 1), seed) for lift in (0.2, 0.4)}
        results["interleaving_false_alarms"] = blind_alarms(runs, seed)
    if pairs:
        results["clicks"] = {related: clicks_needed(related, pairs, seed) for related in RELATED}
    finish(arguments, results, tables(results))


def experiment_of(shop: Shop) -> Experiment:
    """As the projection would have it."""
    return Experiment(
        shop_id=1, id="home-1", position=1, name="of a bench", surface="home", kind="ab", seed=1, level=LEVEL,
        variants=(Variant("control", {}, 1 - shop.share), Variant("new", {"diversity": 0.3}, shop.share)),
        guards={"ctr": 0.0, "conversion": 0.0, "revenue": 0.0}, started_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


def looks(shop: Shop, chance: np.random.Generator) -> Iterator[dict[str, dict[str, Sums]]]:
    """Each day's sums of both variants by metric."""
    for inside, sums in shop.days_of(chance):
        came = sums["n"] > 0
        yield {
            variant: {metric: sums_of(sums["n"][who], sums[metric][who]) for metric in METRICS}
            for variant, who in (("control", came & ~inside), ("new", came & inside))
        }


def false_alarms(shop: Shop, runs: int, seed: int, name: str) -> dict[str, float]:
    """Share of runs with a false alarm on any day: by each metric, by any, by a guard without margin; by usual intervals."""
    from ranking.experiments.readout import breached, compared

    experiment, totals = experiment_of(shop), dict[str, float]()
    for run in tqdm(range(runs), desc=name, file=sys.stderr):
        alarms: set[str] = set()
        for of in looks(shop, np.random.default_rng([seed, run])):
            wrong = {each.metric for each in compared(experiment, of) if each.verdict != "open"}
            alarms |= wrong | ({"any"} if wrong else set()) | ({"guard"} if breached(experiment, of) else set())
            alarms |= usual(of)
        for each in alarms:
            totals[each] = totals.get(each, 0) + 1 / runs
    return {each: round(totals.get(each, 0.0), 4) for each in (*METRICS, *OTHERS)}


def usual(of: Mapping[str, Mapping[str, Sums]]) -> set[str]:
    """What other intervals say where ours says something: that for one look, of CTR at the level and of any metric at its
    part; and ours at the level, were each side's own variance believed."""
    found = set()
    for metric in METRICS:
        control, new = of["control"][metric], of["new"][metric]
        if difference(control, new, alpha=LEVEL) is None:
            continue
        deviation = sqrt(sum(each.squares(each.value) / each.n**2 for each in (control, new)))
        distance = abs(new.value - control.value)
        if metric in ("conversion", "revenue") and distance > deviation * sqrt(
            stretch((control.units + new.units) / TUNED, LEVEL)
        ):
            found.add(f"own_{metric}")
        if distance > NormalDist().inv_cdf(1 - LEVEL / 2 / len(METRICS)) * deviation > 0:
            found.add("usual_any")
        if metric == "ctr" and distance > NormalDist().inv_cdf(1 - LEVEL / 2) * deviation > 0:
            found.add("usual_ctr")
    return found


def found(lift: float, runs: int, seed: int) -> dict[str, float | None]:
    """Share of runs in which a true lift of all rates is found by CTR within four weeks, and the median day of those."""
    from ranking.experiments.readout import compared

    shop, days = Shop(lift=lift), []
    for run in tqdm(range(runs), desc=f"lift {lift:.0%}", file=sys.stderr):
        for day, of in enumerate(looks(shop, np.random.default_rng([seed, 7, run])), start=1):
            if compared(experiment_of(shop), of)[0].verdict == "better":
                days.append(day)
                break
    return {"share": len(days) / runs, "median_day": percentile(days, 0.5) if days else None}


def clicks_needed(related: str, pairs: int, seed: int) -> dict[str, Any]:
    """Clicks until each way knows which ranker is better, over pairs of rankers; who never knew counts at the end."""
    ways: dict[str, Callable[[Rankers, np.random.Generator], tuple[int, int]]] = {
        "interleaving": by_interleaving, "ab_ctr": by_ab("ctr"), "ab_clicks": by_ab("clicks"),
    }  # fmt: skip
    results: dict[str, Any] = {}
    for name, way in ways.items():
        outcomes = []
        for pair in tqdm(range(pairs), desc=f"{related}, {name}", file=sys.stderr):
            rankers = Rankers.of(np.random.default_rng([seed, pair]), related)
            outcomes.append(way(rankers, np.random.default_rng([seed, pair, 1])))
        clicks = [clicked for clicked, _ in outcomes]
        results[name] = {
            "median": percentile(clicks, 0.5), "p90": percentile(clicks, 0.9), "mean": sum(clicks) / pairs,
            "right": sum(verdict > 0 for _, verdict in outcomes) / pairs,
            "wrong": sum(verdict < 0 for _, verdict in outcomes) / pairs,
        }  # fmt: skip
    for name in ("ab_ctr", "ab_clicks"):
        results[f"share_of_{name}"] = results["interleaving"]["median"] / results[name]["median"]
    return results


def by_interleaving(
    rankers: Rankers, chance: np.random.Generator, most: int = MOST_SHOPPERS, shoppers: int = 20
) -> tuple[int, int]:
    """Clicks until the preference is known, and which: 1 for the second ranker, -1 the first, 0 it never was."""
    n, y, clicks, done = np.zeros(0), np.zeros(0), 0, 0
    while done < most:
        new = max(shoppers, int(done * (STEP - 1)))
        lists, net = interleaved(rankers, chance, new, done)
        n, y, clicks, done = np.append(n, lists[0]), np.append(y, net), clicks + lists[1], done + new
        interval = preference(sums_of(n[n > 0], y[n > 0]), alpha=LEVEL)
        if interval is not None and (interval.low > 0 or interval.high < 0):
            return clicks, 1 if interval.low > 0 else -1
    return clicks, 0


def interleaved(
    rankers: Rankers, chance: np.random.Generator, shoppers: int, before: int
) -> tuple[tuple[Any, int], Any]:
    """So many shoppers' decided lists and the clicks of all, and their net wins."""
    from ranking.experiments.interleaving import credit, team_draft

    visits = Visits.of(chance, shoppers)
    drafted = [
        team_draft(
            rankers.first[q].tolist(), rankers.second[q].tolist(), k=SHOWN,
            seed=draw_seed(1, b"%d" % (before + who), str(q)),
        )
        for who, q in zip(visits.shopper.tolist(), visits.query.tolist(), strict=True)
    ]  # fmt: skip
    clicked = rankers.clicked(chance, visits.query, np.array([each.items for each in drafted])) * visits.live[:, None]
    outcomes = np.array([
        credit(each.teams, (np.flatnonzero(row) + 1).tolist()) for each, row in zip(drafted, clicked, strict=True)
    ])  # fmt: skip
    decided = np.bincount(visits.shopper, outcomes != 0, minlength=shoppers)
    return (decided, int(clicked.sum())), np.bincount(visits.shopper, outcomes, minlength=shoppers)


def by_ab(metric: str) -> Callable[..., tuple[int, int]]:
    """An A/B test by the share of visits with a click, or by the clicks a visit, all of the level for this one metric."""

    def run(rankers: Rankers, chance: np.random.Generator, most: int = MOST_SHOPPERS) -> tuple[int, int]:
        sides, clicks, done = [NONE, NONE], 0, 0
        while done < most:
            new = max(20, int(done * (STEP - 1)))
            visits = Visits.of(chance, new)
            variant = np.array([assigned(1, b"%d" % (done + who), [0.5, 0.5]) for who in range(new)])
            shown = np.where(
                variant[visits.shopper][:, None] == 1, rankers.second[visits.query], rankers.first[visits.query]
            )
            clicked = rankers.clicked(chance, visits.query, shown).sum(axis=1) * visits.live
            y = np.bincount(visits.shopper, clicked > 0 if metric == "ctr" else clicked, minlength=new)
            n = np.bincount(visits.shopper, minlength=new).astype(float)
            sides = [side + sums_of(n[variant == i], y[variant == i]) for i, side in enumerate(sides)]
            clicks, done = clicks + int(clicked.sum()), done + new
            interval = difference(sides[0], sides[1], alpha=LEVEL)
            if interval is not None and (interval.low > 0 or interval.high < 0):
                return clicks, 1 if interval.low > 0 else -1
        return clicks, 0

    return run


NONE = Sums(0, 0, 0.0, 0.0, 0.0, 0.0, 0.0)


def blind_alarms(runs: int, seed: int, shoppers: int = 300) -> float:
    """Share of runs in which interleaving prefers a ranker of shoppers who click whatever stands there."""
    wrong = 0
    for run in tqdm(range(runs), desc="interleaving, no difference", file=sys.stderr):
        rankers = Rankers.of(np.random.default_rng([seed, run]), "an unrelated one", blind=True)
        wrong += by_interleaving(rankers, np.random.default_rng([seed, run, 2]), most=shoppers)[1] != 0
    return wrong / runs


def tables(results: dict[str, Any]) -> list[Any]:
    """What was measured, as far as it was."""
    return [
        *(alarm_tables(results) if "false_alarms" in results else []),
        *([click_table(results["clicks"])] if "clicks" in results else []),
    ]


def alarm_tables(results: dict[str, Any]) -> list[Any]:
    columns = ["", "ctr", "basket", "conv.", "rev.", "any", "guard", "usual any", "usual ctr", "own conv.", "own rev."]
    found_rows = [[f"+{float(lift):.0%}", each["share"], each["median_day"]] for lift, each in results["found"].items()]
    return [
        table(
            f"No true difference: share of runs with a false alarm within 28 days (level {LEVEL})", columns,
            [[name, *each.values()] for name, each in results["false_alarms"].items()],
        ),
        table("A true difference, found by CTR", ["lift of all rates", "share found", "median day"], found_rows),
        table("Shoppers who click blindly", ["", "false alarms"], [
            ["interleaving, 300 shoppers", results["interleaving_false_alarms"]]
        ]),
    ]  # fmt: skip


def click_table(of: Mapping[str, Mapping[str, Any]]) -> Any:
    ways = {"interleaving": "interleaving", "ab_ctr": "A/B by CTR", "ab_clicks": "A/B by clicks a visit"}
    return table(
        f"Clicks until the better of two rankers is known ({QUERIES} queries)",
        ["", "median", "p90", "mean", "right", "wrong", "interleaving takes of it"],
        [[f"{related}: {said}", *clicks[name].values(), clicks.get(f"share_of_{name}")]
         for related, clicks in of.items() for name, said in ways.items()],
    )  # fmt: skip


if __name__ == "__main__":
    main()
