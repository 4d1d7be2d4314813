"""Recommendations on any log of who took what when, beside ALS, BPR, item-kNN, EASE, popularity and the best plain mix.

    python -m bench.recommend --interactions F --items F --protocol p1|p2 [--repeats] [--json]
    python -m bench.recommend --interactions purchases.parquet --items items.csv --protocol p1 --repeats \\
        --user-column CustomerID --item-column StockCode --time-column InvoiceDate --title-column description

CSV or parquet; times are seconds since 1970 or dates. The cut is the midnight (UTC) before which 85 % of the events lie; what
is tuned, on either side, is tuned on the last tenth before it. P1 trains before the cut and ranks all items for each shopper
with events on both sides; right is what she took after it and had not before (with --repeats whatever she took after it). P2
walks the events after the cut: before each sampled one all is ranked with everything strictly earlier; `all`, and `new`, where
what the shopper has is masked and only what was new to her is asked. Freshet's side goes through its real code on servers of
its own: titles are embedded, events recorded and projected, answers are those of the home page.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `python bench/recommend.py` works as well

from rich.table import Table

from bench.harness import finish, parser, project, required, table
from bench.recommend_log import Columns, Log, cuts_of, log_read
from bench.recommend_metrics import P1, P2, Answers, known_only, p1_figures, p2_figures, ratio
from bench.recommend_protocols import Question, cold_items, p1_questions, p2_questions, some

_SETTINGS = "bench.recommend_settings"
_CALLED = {"freshet": "Freshet", "als": "ALS", "bpr": "BPR", "knn": "item-kNN", "ease": "EASE", "popularity": "7-day popularity",
           "mix": "best plain mix"}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is asked of whom, and what may be tuned on."""

    protocol: Literal["p1", "p2"]
    repeats: bool
    inner: int
    cut: int
    tail: list[Question]
    questions: list[Question]
    contexts: int
    seed: int


def main() -> None:
    arguments = _arguments()
    interactions, items = required(arguments, "interactions", "items")
    columns = Columns(
        user=arguments.user_column,
        item=arguments.item_column,
        time=arguments.time_column,
        title=arguments.title_column,
    )
    try:
        log = log_read(interactions, items, columns)
        plan = plan_of(log, arguments)
    except ValueError as error:
        sys.exit(str(error))
    with project(settings=_SETTINGS, environment={"FRESHET_ENCODER": arguments.encoder}):
        results = measure(log, plan)
    finish(arguments, {**results, "encoder": arguments.encoder}, tables(results))


def _arguments() -> argparse.Namespace:
    made = parser(__doc__, data={"interactions": "amazon_toys/interactions.csv", "items": "amazon_toys/items.csv"})
    made.add_argument("--protocol", choices=("p1", "p2"), required=True)
    made.add_argument("--repeats", action="store_true", help="P1: what a shopper has may be right again")
    for name in ("user", "item", "time", "title"):
        made.add_argument(f"--{name}-column", default=getattr(Columns(), name), metavar="NAME")
    made.add_argument("--sample", type=int, default=20_000, metavar="N", help="events of P2 that are asked (20,000)")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument(
        "--contexts", type=int, default=4_000, metavar="N", help="cases of the tail that each side tunes on (4,000)"
    )
    made.add_argument(
        "--encoder", default="minilm", help="of the titles, as FRESHET_ENCODER takes it (minilm: English)"
    )
    return made.parse_args()


def plan_of(log: Log, arguments: argparse.Namespace) -> Plan:
    """Cut the log and choose the questions. Raises ValueError when there is nothing to ask or to tune on."""
    if not len(log):
        raise ValueError("no event of the log could be read")
    inner, cut = cuts_of(log)
    contexts, seed, sample = arguments.contexts, arguments.seed, arguments.sample
    if arguments.protocol == "p1":
        tail = some(p1_questions(log, start=inner, end=cut, repeats=arguments.repeats), contexts, seed)
        questions = p1_questions(log, start=cut, repeats=arguments.repeats)
    else:
        tail = p2_questions(log, start=inner, end=cut, sample=contexts, seed=seed)
        questions = p2_questions(log, start=cut, sample=sample, seed=seed)
    if not tail or not questions:
        raise ValueError("nothing to tune on before the cut, or nothing to ask after it")
    return Plan(
        protocol=arguments.protocol,
        repeats=arguments.repeats,
        inner=inner,
        cut=cut,
        tail=tail,
        questions=questions,
        contexts=contexts,
        seed=seed,
    )


def measure(log: Log, plan: Plan) -> dict[str, Any]:
    """Ask Freshet and its peers the same questions."""
    from bench.recommend_fit import coefficients, p1_mixes, p2_mixes
    from bench.recommend_freshet import Shop, freshet_answers
    from bench.recommend_walk import ALL, BOTH, NEW, beside

    modes = BOTH if plan.protocol == "p2" else ALL if plan.repeats else NEW
    shop, started = Shop(log), monotonic()
    shop.offer(released_at=plan.cut)
    vectors = shop.vectors()
    offered = monotonic()
    wait = beside(log, plan.tail, plan.questions, modes, vectors, plan.protocol == "p1")
    mixes = (
        p1_mixes(log, vectors, plan.tail, modes)
        if plan.protocol == "p1"
        else p2_mixes(log, vectors, modes, inner=plan.inner, cut=plan.cut, contexts=plan.contexts, seed=plan.seed)
    )
    fitted = monotonic()
    shop.tell(plan.cut)
    told = monotonic()
    ours = freshet_answers(shop, plan.questions, modes, mixes)
    asked = monotonic()

    theirs, weights = wait()
    seconds = {"catalogue": offered - started, "fit": fitted - offered, "events": told - fitted, "questions": asked - told,
               "baselines": monotonic() - offered}  # fmt: skip
    return {
        **figures(log, plan, ours, theirs),
        "fitted": {"freshet": coefficients(mixes), "mix": weights},
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
    }


def figures(
    log: Log, plan: Plan, ours: Mapping[str, Answers], theirs: Mapping[str, Mapping[str, Answers]]
) -> dict[str, Any]:
    """The results as the JSON line has them."""
    found: dict[str, Any] = {"protocol": plan.protocol, "repeats": plan.repeats}
    if plan.protocol == "p1":
        found |= _p1(log, plan, ours, theirs)
    else:
        found |= _of_modes(ours, theirs)
        # of whom nothing is known only what is popular can be shown
        found["with_history"] = _of_modes(
            {mode: known_only(each) for mode, each in ours.items()},
            {name: {mode: known_only(each) for mode, each in of.items()} for name, of in theirs.items()},
        )
    counts = {"events": len(log), "shoppers": len(log.shopper_ids), "items": len(log.item_ids), "left_out": log.left_out,
              "questions": len(plan.questions), "tuned_on": len(plan.tail), "tail_from": plan.inner, "cut": plan.cut}  # fmt: skip
    return found | counts


def _p1(
    log: Log, plan: Plan, ours: Mapping[str, Answers], theirs: Mapping[str, Mapping[str, Answers]]
) -> dict[str, Any]:
    (mode,) = ours
    cold = cold_items(log, start=plan.cut)
    of = {name: p1_figures(each[mode], items=len(log.item_ids), cold=cold) for name, each in theirs.items()}
    value, interval = ratio(ours[mode].ndcg(), theirs["mix"][mode].ndcg())
    return {
        "freshet": p1_figures(ours[mode], items=len(log.item_ids), cold=cold),
        "baselines": of,
        "ratio": value,
        "ratio_interval": interval,
        "cold_pairs": sum(row in cold for question in plan.questions for row in question.wanted),
    }


def _of_modes(ours: Mapping[str, Answers], theirs: Mapping[str, Mapping[str, Answers]]) -> dict[str, Any]:
    ratios = {mode: ratio(ours[mode].ndcg(), theirs["mix"][mode].ndcg()) for mode in ours}
    return {
        "freshet": {mode: p2_figures(each) for mode, each in ours.items()},
        "baselines": {name: {mode: p2_figures(each) for mode, each in of.items()} for name, of in theirs.items()},
        "ratio": {mode: value for mode, (value, _) in ratios.items()},
        "ratio_interval": {mode: interval for mode, (_, interval) in ratios.items()},
        "asked": {mode: len(each.questions) for mode, each in ours.items()},
    }


def tables(results: Mapping[str, Any]) -> list[Table]:
    """A table for people; of P2 one a mode, and one without shoppers of whom nothing is known."""
    if results["protocol"] == "p1":
        what = "P1, repeats" if results["repeats"] else "P1, new to the shopper"
        title = f"{what}: {results['questions']:,} shoppers, {results['cold_pairs']:,} targets nobody took before"
        return [_table(title, P1, results, results["ratio"], results["ratio_interval"])]
    return [
        _table(f"P2, {mode}{which}: {each['asked'][mode]:,} events", P2,
               {"freshet": each["freshet"][mode], "baselines": {name: of[mode] for name, of in each["baselines"].items()}},
               each["ratio"][mode], each["ratio_interval"][mode])
        for each, which in ((results, ""), (results["with_history"], ", shoppers with a history"))
        for mode in each["freshet"]
    ]  # fmt: skip


def _table(
    title: str, names: Sequence[str], results: Mapping[str, Any], value: float, interval: Sequence[float]
) -> Table:
    rows = {**results["baselines"], "freshet": results["freshet"]}
    title = (
        f"{title}\nFreshet to the best plain mix, nDCG@10: {value:.3f} (95 %: {interval[0]:.3f} to {interval[1]:.3f})"
    )
    return table(title, ["", *names], [[_CALLED[name], *(of[key] for key in names)] for name, of in rows.items()])


if __name__ == "__main__":
    main()
