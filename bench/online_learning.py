"""Online learning on any catalogue: simulated shoppers click, and queries nobody asked are answered better as well.

    python -m bench.online_learning [--products P] [--judgments J] [--interactions 20000] [--seed 1] [--flip] [--json]

Shoppers ask the half of the judged queries whose sha256 is even and click by examination and rating. What they did goes
into the log as events; weights and θ learn by the project's own code: click-through join, trainer, gate, promotion. As
the clicks come in, nDCG@10 on the asked half and on the other half is read five ways from the same shop and log: frozen
(ŷ of the model as it came), weights (its ŷ × w), theta (ŷ of the version that serves), both (what a search answers),
and nightly (a peer: sentence-transformers fine-tuned on the same clicks, every 5,000 on those since its last time). With
--flip tastes turn over in the middle: how many interactions until 90 % of the lost nDCG@10 on the asked half is back, and
what part that is of what nightly takes, which should be a quarter at most.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `python bench/online_learning.py` works as well

import numpy as np
from rich.table import Table
from tqdm import tqdm

from bench.harness import finish, parser, project, required, table
from bench.metrics import ndcg_at_k
from bench.shop import map_option, shop_load

if TYPE_CHECKING:
    from bench.online_shop import Shop
    from bench.search_quality_data import Ratings

NIGHT = 5000  # interactions between two fine-tunings of the peer
LOOK = 1000  # interactions between two points of the curve
RELEVANT = 2.0
RECOVERED = 0.9
ARMS = ("frozen", "weights", "theta", "both", "nightly")


def main() -> None:
    arguments = _arguments()
    products, judgments = required(arguments, "products", "judgments")
    from bench.search_quality_data import judgments_read, queries_mixed

    ratings = judgments_read(judgments)
    ratings = {query: ratings[query] for query in queries_mixed(ratings) if query.strip()}
    with project(settings="bench.online_settings"):
        started = time.monotonic()
        loaded = shop_load(products, map_name=arguments.map)
        results = measure(ratings, arguments)
    results |= {"products": loaded["imported"]["accepted"], "seconds": round(time.monotonic() - started, 1)}
    if arguments.plot:
        _plot(results["curve"], arguments.plot)
    finish(arguments, results, _tables(results))


def _arguments() -> argparse.Namespace:
    made = parser(
        __doc__, data={"products": "chorus_icecat/products.jsonl", "judgments": "chorus_icecat/judgments.csv"}
    )
    map_option(made)
    made.add_argument("--interactions", type=int, default=20_000, metavar="N", help="clicks to simulate (20000)")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument(
        "--night", type=int, default=NIGHT, metavar="N", help="clicks between fine-tunings of the peer (5000)"
    )
    made.add_argument(
        "--adapter", default="projection", help="what moves in a minor version: a kind of TrainOptions.adapter"
    )
    made.add_argument("--flip", action="store_true", help="turn tastes over in the middle")
    made.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the curves into a file")
    return made.parse_args()


def measure(ratings: Ratings, arguments: argparse.Namespace) -> dict[str, Any]:
    """Let shoppers click, and read all arms as they do."""
    from bench.online_shop import Shop
    from bench.online_shoppers import flipped, is_seen
    from ranking.learning.options import options_of_kind

    halves = {
        "seen": [query for query in ratings if is_seen(query)],
        "unseen": [query for query in ratings if not is_seen(query)],
    }
    if not all(halves.values()):
        sys.exit("The judged queries do not part into two halves: there are too few of them.")
    shop = Shop(halves["seen"], seed=arguments.seed, options=options_of_kind(arguments.adapter))
    tastes = ratings
    curve, lists = [], _read(shop, halves)
    curve.append(_point(0, lists, tastes, halves))
    first, turned = lists, None
    with tqdm(total=arguments.interactions, desc="shoppers", unit="click", file=sys.stderr) as bar:
        for reached in range(LOOK, arguments.interactions + 1, LOOK):
            shop.go_on(tastes, until=reached, progress=bar.update)
            if reached % arguments.night == 0:
                shop.nightly_train()
            lists = _read(shop, halves)
            curve.append(_point(reached, lists, tastes, halves))
            bar.set_postfix_str(_brief(curve[-1]), refresh=False)
            if arguments.flip and turned is None and reached >= arguments.interactions / 2:
                tastes, turned = flipped(ratings), reached
                curve.append(_point(reached, lists, tastes, halves))
    return {
        **summary(curve),
        **({} if turned is None else {"flip": recovery(curve, turned)}),
        "lost": lost(first["both"], lists["both"], tastes),
        "curve": curve,
        "queries": {half: len(queries) for half, queries in halves.items()},
        "visits": shop.visits,
        "versions": shop.versions,
        "seed": arguments.seed,
        "adapter": arguments.adapter,
    }


Lists = dict[str, dict[str, list[str]]]  # arm -> query -> products, best first


def _read(shop: Shop, halves: dict[str, list[str]]) -> Lists:
    """What each arm answers now, on all queries."""
    queries = [query for half in halves.values() for query in half]
    answers = {query: shop.answers(query) for query in queries}
    return {arm: {query: answers[query][arm] for query in queries} for arm in ARMS}


def _point(reached: int, lists: Lists, ratings: Ratings, halves: dict[str, list[str]]) -> dict[str, Any]:
    """nDCG@10 of each arm on each half."""
    return {"interactions": reached} | {
        arm: {half: _mean([ndcg_at_k(lists[arm][q], ratings[q], 10) for q in queries]) for half, queries in halves.items()}
        for arm in ARMS
    }  # fmt: skip


def summary(curve: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """nDCG@10 of each arm on each half at both ends of the curve (pure), each by the tastes of its time."""
    return {
        arm: {half: {"before": curve[0][arm][half], "after": curve[-1][arm][half]} for half in ("seen", "unseen")}
        for arm in ARMS
    }


def recovery(curve: Sequence[dict[str, Any]], turned: int) -> dict[str, Any]:
    """How each arm came back after the turn, on the asked half (pure).

    `recovered_after`: interactions until 90 % of what it lost is back. None where that is not in this run; `at_least` then
    says how long the run went on. `to_nightly` is the part of what nightly took. Where nightly never came back it is None,
    and `to_nightly_at_most` is the part of nightly's `at_least`.
    """
    rest = curve[-1]["interactions"] - turned
    took = {arm: _recovered_after(curve, turned, arm) for arm in ARMS}
    nightly = took["nightly"]
    had, fell = (point for point in curve if point["interactions"] == turned)
    found: dict[str, Any] = {"turned_at": turned}
    for arm in ARMS:
        found[arm] = {
            "had": had[arm]["seen"],
            "fell_to": fell[arm]["seen"],
            "recovered_after": took[arm],
            "at_least": rest if took[arm] is None else None,
            "to_nightly": _part(took[arm], nightly),
            "to_nightly_at_most": _part(took[arm], rest) if nightly is None else None,
        }
    return found


def _recovered_after(curve: Sequence[dict[str, Any]], turned: int, arm: str) -> int | None:
    had, fell = (point[arm]["seen"] for point in curve if point["interactions"] == turned)
    if fell >= had:
        return 0
    wanted = fell + RECOVERED * (had - fell)
    after = (
        point["interactions"] for point in curve if point["interactions"] > turned and point[arm]["seen"] >= wanted
    )
    back = next(after, None)
    return None if back is None else back - turned


def _part(took: int | None, of: int | None) -> float | None:
    return took / of if took is not None and of else None


def lost(first: Mapping[str, Sequence[str]], last: Mapping[str, Sequence[str]], tastes: Ratings) -> list[str]:
    """Queries whose first ten held something relevant by these tastes and now hold nothing (pure)."""

    def relevant(products: Sequence[str], query: str) -> bool:
        return any(tastes[query].get(product, 0) >= RELEVANT for product in products[:10])

    return [query for query in first if relevant(first[query], query) and not relevant(last[query], query)]


def _mean(values: Sequence[float]) -> float:
    return float(np.nanmean(values))


def _brief(point: dict[str, Any]) -> str:
    return " ".join(f"{arm} {point[arm]['seen']:.3f}/{point[arm]['unseen']:.3f}" for arm in ("both", "nightly"))


def _tables(results: dict[str, Any]) -> list[Table]:
    rows = [
        [point["interactions"], *(round(point[arm][half], 4) for arm in ARMS for half in ("seen", "unseen"))]
        for point in results["curve"]
    ]
    columns = ["interactions", *(f"{arm}: {half}" for arm in ARMS for half in ("asked", "other"))]
    title = (
        f"nDCG@10 over interactions: {results['queries']['seen']} queries asked, {results['queries']['unseen']} never; "
        f"{results['visits']:,} visits, {len(results['versions'])} versions of θ; {len(results['lost'])} queries lost "
        "their relevant results"
    )
    return [table(title, columns, rows), *_more(results)]


def _more(results: dict[str, Any]) -> list[Table]:
    versions = [
        [each["version"], each["interactions"], "serves" if each["promoted"] else "refused", each["reason"]]
        for each in results["versions"]
    ]
    tables = [table("Versions of θ", ["version", "interactions", "", "why"], versions)]
    if "flip" in results:
        tables.append(_flip(results["flip"]))
    return tables


def _flip(found: dict[str, Any]) -> Table:
    rows = [[arm, found[arm]["had"], found[arm]["fell_to"], *_took(found[arm])] for arm in ARMS]
    columns = ["", "had", "fell to", "interactions until 90 % is back", "part of nightly's (at most 0.25)"]
    return table(f"Tastes turn after {found['turned_at']:,}: nDCG@10 on the asked half", columns, rows)


def _took(of: dict[str, Any]) -> tuple[Any, Any]:
    """What the table says of how long an arm took, and of that as a part of nightly's."""
    if of["recovered_after"] is None:
        return f"not in {of['at_least']:,}", None
    if of["to_nightly_at_most"] is not None:
        return of["recovered_after"], f"at most {of['to_nightly_at_most']:.2f}: nightly never"
    return of["recovered_after"], of["to_nightly"]


def _plot(curve: Sequence[dict[str, Any]], file: Path) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(12, 4.5), sharey=True)
    titles: dict[str, str] = {"seen": "queries that shoppers ask", "unseen": "queries nobody asked"}
    for axis, (half, title) in zip(axes, titles.items(), strict=True):
        for arm in ARMS:
            axis.plot([point["interactions"] for point in curve], [point[arm][half] for point in curve], label=arm)
        axis.set(title=title, xlabel="interactions", ylabel="nDCG@10")
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(file, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
