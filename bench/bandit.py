"""Choosing among mixes while tastes drift and turn over: regret of the bandit beside the usual peers.

    python -m bench.bandit [--requests 30000] [--seeds 20] [--arms 5] [--per-day 20000] [--half-life N] [--plot FILE.png] [--json]

Simulated shoppers of three segments ask a home page, click and buy; what each mix is worth to each segment wanders, and in
the middle the best and the worst change places. The bandit is the project's own: trials that close when their window has
passed, decayed sums, posterior, choice. Regret is against whoever knows the best mix of each segment at each moment. `fixed`
shows one mix always, the one that is best over the whole run, which nobody knows beforehand.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `python bench/bandit.py` works as well

import numpy as np
from rich.table import Table
from scipy.stats import t

from bench.harness import finish, parser, percentile, table

EVERY = 200  # requests between two looks at what closed, and points of a curve
SMOOTHED = 2000  # requests over which the reward is averaged to say that it is back
BACK = 0.9  # of what it had before, on the way from the uniform choice to the best one
ORDER = ("bandit", "bandit, all remembered", "ε-greedy", "ε-greedy, forgetting", "uniform", "fixed")


def main() -> None:
    arguments = _arguments()
    started = time.monotonic()
    with get_context("spawn").Pool(arguments.processes) as pool:
        runs = pool.starmap(measure, [(seed, vars(arguments)) for seed in range(arguments.seeds)])
    found = {name: _figures([run[name] for run in runs], [run["bandit"] for run in runs]) for name in ORDER}
    curves = {name: np.mean([run[name]["curve"] for run in runs], axis=0) for name in ORDER}
    results = {
        "requests": arguments.requests, "flip_at": arguments.requests // 2, "seeds": arguments.seeds, "regret": found,
        "recovered_after": _recovery([run["bandit"]["recovered_after"] for run in runs]),
        "choice_ms": choice_ms(arguments.arms), "seconds": round(time.monotonic() - started, 1),
    }  # fmt: skip
    if arguments.plot:
        _plot(curves, arguments)
    finish(arguments, results, [_table(found, arguments), _other(results)])


def _arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--requests", type=int, default=30_000, metavar="N", help="of a run; tastes turn in its middle")
    made.add_argument("--seeds", type=int, default=20, metavar="N", help="shops to simulate (20)")
    made.add_argument("--arms", type=int, default=5, metavar="N", help="mixes to choose from (5)")
    made.add_argument(
        "--per-day", type=float, default=20_000, metavar="N", help="requests a day, for what takes time (20,000)"
    )
    made.add_argument("--half-life", type=float, metavar="N", help="of the bandit's evidence, in trials (its default)")
    made.add_argument("--processes", type=int, default=1, metavar="N", help="runs at a time (1)")
    made.add_argument("--plot", type=Path, metavar="FILE.png", help="draw cumulative regret into a file")
    return made.parse_args()


def measure(seed: int, given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """One shop, visited by the same shoppers once for each way of choosing."""
    from bench.bandit_shop import run, world

    names, requests = [f"m{n}" for n in range(given["arms"])], given["requests"]
    shop = world(requests=requests, arms=len(names), seed=seed, flips=[requests // 2])
    rewards = shop.rewards
    best = rewards.max(axis=1)
    earned = {
        name: run(shop, make(), per_day=given["per_day"], seed=seed)
        for name, make in learners(names, seed, half_life=given["half_life"]).items()
    } | {"fixed": rewards[:, rewards.sum(axis=0).argmax()]}
    return {name: _run(each, best, rewards.mean(axis=1), requests // 2) for name, each in earned.items()}


def learners(names: Sequence[str], seed: int, *, half_life: float | None = None) -> dict[str, Callable[[], Any]]:
    """Each way of choosing, to be made anew."""
    from bench.bandit_learners import Greedy, Thompson, Uniform
    from ranking.bandit.options import DEFAULTS

    forgetting = replace(DEFAULTS, half_life_trials=half_life or DEFAULTS.half_life_trials)
    remembered = replace(DEFAULTS, half_life_trials=1e12, half_life_seconds=1e12)
    return {
        "bandit": lambda: Thompson(names, every=EVERY, options=forgetting),
        "bandit, all remembered": lambda: Thompson(names, every=EVERY, options=remembered),
        "ε-greedy": lambda: Greedy(names, options=remembered, seed=seed),
        "ε-greedy, forgetting": lambda: Greedy(names, options=forgetting, seed=seed),
        "uniform": lambda: Uniform(names, seed=seed),
    }


def _run(earned: Any, best: Any, mean: Any, flip: int) -> dict[str, Any]:
    regret = np.cumsum(best - earned)
    return {
        "before": regret[flip - 1], "after": regret[-1] - regret[flip - 1], "total": regret[-1],
        "share": regret[-1] / best.sum(), "curve": regret[EVERY - 1 :: EVERY],
        "recovered_after": recovered_after(earned, best, mean, flip),
    }  # fmt: skip


def recovered_after(earned: Any, best: Any, mean: Any, flip: int) -> int | None:
    """Requests after a flip until 2,000 in a row were as near to the best, from the uniform choice, as 90 % of those before."""
    gained, possible = (np.convolve(each - mean, np.ones(SMOOTHED), mode="valid") for each in (earned, best))
    share = gained / possible  # from request n to n + 1,999
    back = np.flatnonzero(share[flip:] >= BACK * share[flip - SMOOTHED])
    return int(back[0]) + SMOOTHED if len(back) else None


def _figures(runs: Sequence[Mapping[str, Any]], bandit: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Means over the seeds; `±` is half of their 95 % interval. `over_bandit` is of differences on the same shop."""
    totals = np.array([run["total"] for run in runs])
    over = totals - np.array([run["total"] for run in bandit])
    means = {name: float(np.mean([run[name] for run in runs])) for name in ("before", "after", "total", "share")}
    return means | {"±": _half(totals), "over_bandit": float(over.mean()), "over_bandit_±": _half(over)}


def _half(values: Any) -> float:
    """Half of the 95 % interval of a mean, by Student's t."""
    return float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def _recovery(runs: Sequence[int | None]) -> dict[str, Any]:
    back = [float(each) for each in runs if each is not None]
    return {"mean": float(np.mean(back)) if back else None, "p50": percentile(back, 0.5), "p90": percentile(back, 0.9),
            "largest": max(back, default=None), "not_back": len(runs) - len(back)}  # fmt: skip


def choice_ms(arms: int) -> dict[str, float]:
    """Milliseconds of processor time of a choice while the state is known, and of the first of a segment after it changed."""
    from bench.bandit_learners import Thompson
    from bench.bandit_shop import SEGMENTS, SURFACE
    from ranking.choices import ArmName

    names = [f"m{n}" for n in range(arms)]
    bandit, rng = Thompson(names), np.random.default_rng(0)
    for n in range(20_000):
        bandit.tally.add(ArmName(SURFACE, SEGMENTS[n % 3], names[n % arms]), float(rng.random() < 0.1), float(n))
    first: list[float] = []
    known: list[float] = []
    for n in range(50):
        bandit.choose("new", 0)  # looks at the sums anew, so the next segment's chances are not known yet
        for timed, segment, count in ((first, "few", 1), (known, "few", 400)):
            started = time.thread_time()
            for request in range(count):
                bandit.choose(segment, 400 * n + request % 99 + 1)
            timed.append(1000 * (time.thread_time() - started) / count)
    return {
        "known_p50": percentile(known, 0.5),
        "known_p99": percentile(known, 0.99),
        "first_p50": percentile(first, 0.5),
    }


def _table(found: Mapping[str, Mapping[str, float]], arguments: argparse.Namespace) -> Table:
    rows = [
        [
            name,
            each["before"],
            each["after"],
            each["total"],
            each["±"],
            each["over_bandit"],
            each["over_bandit_±"],
            f"{each['share']:.1%}",
        ]
        for name, each in found.items()
    ]
    title = (
        f"Regret in full rewards, {arguments.requests:,} requests, tastes turn in the middle, {arguments.seeds} seeds"
    )
    return table(title, ["", "before", "after", "total", "±", "over the bandit", "±", "of what could be earned"], rows)


def _other(results: Mapping[str, Any]) -> Table:
    back, took = results["recovered_after"], results["choice_ms"]
    rows = [
        ["requests until 90 % is back, p50", back["p50"]], ["p90", back["p90"]], ["runs in which it was not", back["not_back"]],
        ["a choice, ms of a processor, p50", took["known_p50"]], ["p99", took["known_p99"]],
        ["the first of a segment after a change, ms, p50", took["first_p50"]],
    ]  # fmt: skip
    return table("After tastes turned, and what a choice takes", ["", ""], rows)


def _plot(curves: Mapping[str, Any], arguments: argparse.Namespace) -> None:
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(8, 4.5))
    for name, curve in curves.items():
        axis.plot(EVERY * np.arange(1, len(curve) + 1), curve, label=name)
    axis.axvline(arguments.requests // 2, color="grey", linewidth=0.8, linestyle=":")
    axis.set(xlabel="requests", ylabel="cumulative regret, full rewards")
    axis.grid(alpha=0.3)
    axis.legend()
    figure.tight_layout()
    figure.savefig(arguments.plot, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
