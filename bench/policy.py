"""Estimates of what a policy would earn: how often their 95 % intervals hold the truth, which is known here.

    python -m bench.policy [--runs 500] [--trials 4000] [--processes 1] [--json]

Shoppers of three segments are shown one of five mixes, drawn with logged propensities, and click (a tenth of a reward) and
buy (a whole one) with known probabilities. `ranking/policy_evaluation.py` then values a policy that nobody followed:
IPS, SNIPS and doubly robust, each with its interval, and beside them the basic bootstrap interval of the same draws.
`even`: the log explores a lot. `lopsided`: it mostly shows what the policy would not. `adaptive`: the project's own bandit
chose, learning as it went, so that trials are not independent. Runs in which the estimate refuses itself are not counted.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from math import sqrt
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `python bench/policy.py` works as well

import numpy as np
from rich.table import Table

from bench.harness import finish, parser, table

if TYPE_CHECKING:
    from ranking.policy_evaluation import Unit

SEGMENTS, SHARES = ("new", "few", "known"), (0.5, 0.3, 0.2)
ARMS = ("m0", "m1", "m2", "m3", "m4")
CLICKS = np.array([[.06, .09, .07, .05, .08], [.09, .08, .13, .08, .10], [.12, .14, .12, .20, .15]])  # fmt: skip
POLICY = np.array([[0, 1, 0, 0, 0], [0, 0, 0.8, 0, 0.2], [0, 0, 0, 1, 0]], dtype=float)  # what is valued
PURCHASES = 0.15
LOGS = {
    "even": np.full((3, 5), 0.2),
    "lopsided": np.array([[.5, .1, .2, .1, .1], [.4, .3, .1, .1, .1], [.4, .2, .2, .1, .1]]),
}  # fmt: skip
STAGES = 6  # of a log that learns as it goes
ESTIMATORS = ("ips", "snips", "dr")


def main() -> None:
    arguments = _arguments()
    started = time.monotonic()
    found = {}
    with get_context("spawn").Pool(arguments.processes) as pool:
        for kind in (*LOGS, "adaptive"):
            runs = pool.starmap(
                measure, [(kind, seed, arguments.trials) for seed in range(arguments.runs)], chunksize=4
            )
            found[kind] = _figures(runs)
    results = {
        "runs": arguments.runs, "trials": arguments.trials, "truth": truth(), "logs": found,
        "seconds": round(time.monotonic() - started, 1),
    }  # fmt: skip
    finish(arguments, results, [_table(found, arguments)])


def _arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--runs", type=int, default=500, metavar="N", help="simulated logs of each kind (500)")
    made.add_argument("--trials", type=int, default=4000, metavar="N", help="of a log (4,000)")
    made.add_argument("--processes", type=int, default=1, metavar="N", help="runs at a time (1)")
    return made.parse_args()


def truth() -> float:
    """What the policy earns a trial."""
    return float(np.array(SHARES) @ (POLICY * CLICKS).sum(axis=1)) * ((1 - PURCHASES) * 0.1 + PURCHASES)


def measure(kind: str, seed: int, trials: int) -> dict[str, Any] | None:
    """One log and what it says of the policy; None where it refuses to."""
    from ranking.policy_evaluation import evaluate

    units = logged(kind, seed, trials)
    found = evaluate(units, lambda _: lambda segment: _chances(POLICY[SEGMENTS.index(segment)]), seed=seed)
    if found.refusal is not None:
        return None
    basic = basic_intervals(units, seed)
    return {
        "ess": found.ess,
        **{name: (each.value, each.low, each.high) for name, each in found.estimates.items()},
        **{f"{name}, basic": ends for name, ends in basic.items()},
    }


def logged(kind: str, seed: int, trials: int) -> list[Unit]:
    """Closed trials of a log of this kind."""
    rng = np.random.default_rng([seed, 3])
    segments = rng.choice(3, trials, p=SHARES)
    if kind != "adaptive":
        return _drawn(rng, segments, LOGS[kind], seed)
    units: list[Unit] = []
    for part in np.array_split(segments, STAGES):
        units += _drawn(rng, part, _learned(units), seed)
    return units


def _learned(units: Sequence[Unit]) -> Any:
    """How the project's bandit would choose after these trials, (S, K)."""
    from ranking.bandit.choosing import Setting
    from ranking.bandit.policies import setting_policy

    choose = setting_policy(Setting(explore=0.2), surface="home", arms=ARMS)(units)
    return np.array([[choose(segment)[arm] for arm in ARMS] for segment in SEGMENTS])


def _drawn(rng: Any, segments: Any, chances: Any, seed: int) -> list[Unit]:
    from ranking.policy_evaluation import Unit

    arms = (rng.random(len(segments))[:, None] > chances[segments].cumsum(axis=1)[:, :-1]).sum(axis=1)
    clicked, bought = rng.random(len(segments)) < CLICKS[segments, arms], rng.random(len(segments)) < PURCHASES
    rewards, keys = np.where(clicked, np.where(bought, 1.0, 0.1), 0.0), rng.bytes(8 * len(segments)).hex()
    return [
        Unit(keys[16 * n : 16 * n + 16], SEGMENTS[s], ARMS[a], float(chances[s, a]), float(reward), float(n))
        for n, (s, a, reward) in enumerate(zip(segments, arms, rewards, strict=True))
    ]


def _chances(of: Any) -> Mapping[str, float]:
    return dict(zip(ARMS, map(float, of), strict=True))


def basic_intervals(units: Sequence[Unit], seed: int) -> dict[str, tuple[float, float, float]]:
    """The basic bootstrap interval of IPS and SNIPS, written out: what would be if nothing was studentised."""
    from ranking.counterfactual import RESAMPLES

    rows = [(POLICY[SEGMENTS.index(u.segment), ARMS.index(u.arm)] / u.propensity, u.reward) for u in units]
    weights, rewards = np.array(rows).T
    drawn = np.random.default_rng(seed).integers(len(rows), size=(RESAMPLES, len(rows)))
    gained, mass = (weights * rewards)[drawn].mean(axis=1), weights[drawn].mean(axis=1)
    found = {}
    for name, value, values in (
        ("ips", (weights * rewards).mean(), gained), ("snips", (weights * rewards).sum() / weights.sum(), gained / mass),
    ):  # fmt: skip
        low, high = np.quantile(values, [0.025, 0.975])
        found[name] = (float(value), float(2 * value - high), float(2 * value - low))
    return found


def _figures(runs: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    counted = [run for run in runs if run is not None]
    names = [name for name in (counted[0] if counted else ()) if name != "ess"]
    return {
        "counted": len(counted), "ess": float(np.mean([run["ess"] for run in counted])) if counted else None,
        **{name: _coverage([run[name] for run in counted]) for name in names},
    }  # fmt: skip


def _coverage(found: Sequence[tuple[float, float, float]]) -> dict[str, float]:
    """Share of the intervals that hold the truth, with the standard error of that share; bias and width."""
    values, lows, highs = np.array(found).T
    share = float(((lows <= truth()) & (truth() <= highs)).mean())
    return {"coverage": share, "±": sqrt(share * (1 - share) / len(found)), "above": float((lows > truth()).mean()),
            "below": float((highs < truth()).mean()), "bias": float(values.mean() - truth()),
            "width": float((highs - lows).mean())}  # fmt: skip


def _table(found: Mapping[str, Mapping[str, Any]], arguments: argparse.Namespace) -> Table:
    rows = [
        [kind if n == 0 else "", name, of[name]["coverage"], of[name]["±"], of[name]["bias"] / truth(), of[name]["width"],
         of["ess"], of["counted"]]
        for kind, of in found.items() for n, name in enumerate(each for each in of if isinstance(of[each], dict))
    ]  # fmt: skip
    columns = ["log", "estimator", "holds the truth", "±", "bias, of the value", "width", "effective trials", "runs"]
    return table(
        f"95 % intervals, {arguments.runs} logs of {arguments.trials:,} trials; true value {truth():.5f}", columns, rows
    )


if __name__ == "__main__":
    main()
