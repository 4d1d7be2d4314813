"""What privacy costs: nDCG@10 of a version learned from the same clicks at ε ∞, 8, 3 and 1, asked and never asked queries.

    python -m bench.privacy [--products P] [--judgments J] [--clicks 4000] [--shoppers 2000] [--draws 3] [--small]
        [--option NAME=NUMBER] [--json]

Shoppers ask the half of the judged queries whose sha256 is even, see what the pre-trained model answers, and click by
examination and rating. Of all these click-throughs one version is made by the project's own trainer for each row: as
usual (what a shop gets by default, a projection), LoRA without privacy (the kind that learns under noise, so that what the
kind costs is told apart from what noise costs), and in the private form at each ε, ∞ being the form without its noise. A
row with noise is the mean of several draws. Quality is that of ŷ alone over the whole catalogue.
--small takes the judged products and 300 others, 300 clicks of 200 shoppers, and one draw: to try it, not to cite.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf, isinf
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `python bench/privacy.py` works as well

import numpy as np
from rich.table import Table
from tqdm import tqdm

from bench.harness import console, finish, parser, project, required, table
from bench.shop import map_option, shop_load

if TYPE_CHECKING:
    from bench.privacy_shop import Shop
    from bench.search_quality_data import Ratings
    from ranking.learning.options import TrainOptions

EPSILONS = (inf, 8.0, 3.0, 1.0)
SMALL = {"clicks": 300, "shoppers": 200, "draws": 1}
OTHERS = 300  # products that nobody judged, in a small run


def main() -> None:
    arguments = _arguments()
    products, judgments = required(arguments, "products", "judgments")
    from bench.search_quality_data import judgments_read, queries_mixed

    ratings = judgments_read(judgments)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.small:
            products = _fewer(products, ratings, Path(folder))
        ratings = {query: ratings[query] for query in queries_mixed(ratings) if query.strip()}
        with project(settings="bench.online_settings"):
            loaded = shop_load(products, map_name=arguments.map)
            results = measure(ratings, arguments)
    finish(arguments, results | {"products": loaded["imported"]["accepted"]}, [_table(results)])


def _arguments() -> argparse.Namespace:
    made = parser(
        __doc__, data={"products": "chorus_icecat/products.jsonl", "judgments": "chorus_icecat/judgments.csv"}
    )
    map_option(made)
    made.add_argument("--clicks", type=int, default=4000, metavar="N", help="visits with a click to learn from (4000)")
    made.add_argument("--shoppers", type=int, default=2000, metavar="N", help="whose visits they are (2000)")
    made.add_argument("--draws", type=int, default=3, metavar="N", help="draws of noise a row (3)")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument(
        "--option", action="append", default=[], metavar="NAME=NUMBER", help="of TrainOptions, for all rows"
    )
    made.add_argument("--small", action="store_true", help="a few products and clicks, to try it")
    arguments = made.parse_args()
    if arguments.small:
        vars(arguments).update(SMALL)
    return arguments


def measure(ratings: Ratings, arguments: argparse.Namespace) -> dict[str, Any]:
    """Let shoppers click, then learn from that in each way."""
    from bench.online_shoppers import is_seen
    from bench.privacy_shop import Shop

    halves = {
        "asked": [query for query in ratings if is_seen(query)],
        "never": [query for query in ratings if not is_seen(query)],
    }
    if not all(halves.values()):
        sys.exit("The judged queries do not part into two halves: there are too few of them.")
    chosen = dict(_option(each) for each in arguments.option)
    shop = Shop(ratings, halves["asked"], shoppers=arguments.shoppers, seed=arguments.seed)
    with tqdm(total=arguments.clicks, desc="shoppers", unit="click", file=sys.stderr) as bar:
        shop.go_on(until=arguments.clicks, progress=bar.update)
    rows = [{"row": "before", **shop.quality(shop.before(), halves)}]
    for name, options in ways(chosen).items():
        rows.append(_row(shop, halves, name, options, arguments.draws if noisy(options) else 1))
        console.print(rows[-1])
    return {
        "rows": rows,
        "queries": {half: len(queries) for half, queries in halves.items()},
        "visits": shop.visits,
        "clicks": shop.clicks,
        "seed": arguments.seed,
        "options": chosen,
    }


def _option(text: str) -> tuple[str, float | int]:
    """NAME=NUMBER as it goes into the options; a whole number stays one."""
    name, _, number = text.partition("=")
    return name, int(number) if number.isdigit() else float(number)


def ways(chosen: Mapping[str, Any]) -> dict[str, TrainOptions]:
    """The options of each row, by its name: first by default, then the kind that can be private, then that at each ε."""
    from ranking.learning.options import DEFAULTS, options_of_kind

    lora = options_of_kind("lora")
    found = {"as usual": DEFAULTS, "LoRA, no privacy": lora}
    for epsilon in EPSILONS:
        form = "without its noise, ε ∞" if isinf(epsilon) else f"ε {epsilon:g}"
        found[f"private, {form}"] = replace(lora, epsilon=epsilon)
    return {name: replace(options, **chosen) for name, options in found.items()}


def noisy(options: TrainOptions) -> bool:
    """Whether another draw gives another version."""
    return options.epsilon is not None and not isinf(options.epsilon)


def _row(shop: Shop, halves: dict[str, list[str]], name: str, options: TrainOptions, draws: int) -> dict[str, Any]:
    """Versions of one way: their mean quality, its spread over the draws, and what the gate said of them."""
    started, made = time.monotonic(), [shop.make(options) for _ in range(draws)]
    seconds = (time.monotonic() - started) / draws
    found = [shop.quality(each.artefact, halves) for each in made]
    noise = made[0].metrics.get("noise", {})
    return {
        "row": name,
        "kind": options.adapter,
        **{half: float(np.mean([each[half] for each in found])) for half in halves},
        "spread": float(max(np.std([each[half] for each in found]) for half in halves)) if draws > 1 else None,
        "multiplier": noise.get("multiplier"),
        "steps": made[0].metrics["steps"],
        "shoppers": made[0].metrics.get("shoppers"),
        "examples": made[0].metrics["examples"],
        "passed": f"{sum(each.verdict.reason is None for each in made)} of {draws}",
        "seconds": round(seconds, 1),
    }


_WORDS = re.compile(r"[^\s\",:;{}]+")


def _fewer(products: Path, ratings: Ratings, folder: Path) -> Path:
    """The products that were judged, and the first few others, as a file of the same name."""
    judged = {product for of_query in ratings.values() for product in of_query}
    kept, others = [], 0
    with products.open(encoding="utf-8") as file:
        for number, line in enumerate(file):
            named = number == 0 or not judged.isdisjoint(_WORDS.findall(line))  # the first line may name columns
            others += not named
            if named or others <= OTHERS:
                kept.append(line)
    (folder / products.name).write_text("".join(kept), encoding="utf-8")
    return folder / products.name


COLUMNS = ("kind", "asked", "never", "spread", "multiplier", "steps", "shoppers", "examples", "passed", "seconds")


def _table(results: dict[str, Any]) -> Table:
    rows: Sequence[Sequence[Any]] = [[row["row"], *(row.get(name) for name in COLUMNS)] for row in results["rows"]]
    title = (
        f"nDCG@10 of ŷ: {results['queries']['asked']} queries asked, {results['queries']['never']} never; "
        f"{results['clicks']:,} visits with a click of {results['visits']:,}"
    )
    return table(title, ["", *COLUMNS], rows)


if __name__ == "__main__":
    main()
