"""What the shopper tower foresees: the next product of shoppers' real histories, beside the untrained mean and popularity.

    python -m bench.personal [--interactions I --items T] [--encoder E] [--shoppers N] [--cut 0.9]
                             [--option decay=0.5] [--json]

A log of user_id, item_id, timestamp (and kind, else all are purchases) with a file of item_id, title, cut in time: what lies
before the cut trains, by the code that trains a minor version; then each shopper with a history is asked once, for the
first product after the cut, among all products but those of the history. MRR@10 and nDCG@10 (one product is right), with
the standard error of the change against the untrained tower; "x popularity" as searches score: taste times how often it
is wanted, on the softmax's scale. No servers and no queries: what taste adds to a search, each version judges itself.
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `python bench/personal.py` works as well

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from bench.harness import finish, parser, required, table
from ranking.encoders import encoder_load, product_text
from ranking.history import LENGTH, Floats, Step, merged
from ranking.learning.courses import courses_of, history_of
from ranking.learning.shopper_options import SHOPPER, ShopperOptions
from ranking.learning.shopper_tower import Shape, ShopperTower
from ranking.learning.shopper_train import shares, shopper_train
from ranking.learning.train import torch_as

SEED, DEPTH = 1, 10
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Question:
    """What a shopper had done before the cut, and the row of the first product after it."""

    steps: Sequence[Step]
    wanted: int


def main() -> None:
    options = parser(__doc__, data={"interactions": "amazon_toys/interactions.csv", "items": "amazon_toys/items.csv"})
    options.add_argument("--encoder", default="minilm", help="of the products' titles, as FRESHET_ENCODER takes it")
    options.add_argument("--shoppers", type=int, help="only so many shoppers, those who come first in the log")
    options.add_argument("--cut", type=float, default=0.9, help="share of the interactions that lie before the cut")
    options.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="of ShopperOptions; may be repeated"
    )
    arguments = options.parse_args()
    interactions, items = required(arguments, "interactions", "items")
    done = interactions_read(interactions, shoppers=arguments.shoppers)
    titles = titles_read(items)
    own = options_of(arguments.option)
    results = measure(done, titles, encoder=arguments.encoder, cut=arguments.cut, own=own)
    finish(arguments, results, tables(results))


def options_of(given: Sequence[str]) -> ShopperOptions:
    """The options that serve, but for those given as NAME=VALUE; ends the program where one does not exist."""
    usual = asdict(SHOPPER)
    changed = {}
    for name, _, value in (each.partition("=") for each in given):
        if name not in usual:
            sys.exit(f"There is no option {name!r}; there are {', '.join(usual)}.")
        changed[name] = type(usual[name])(value)
    return replace(SHOPPER, **changed)


def interactions_read(path: Path, *, shoppers: int | None = None) -> dict[str, list[Step]]:
    """Each shopper's steps in the order of time, as they are of those who come first."""
    with path.open(newline="") as file:
        rows = sorted((float(row["timestamp"]), n, row) for n, row in enumerate(csv.DictReader(file)))
    found: dict[str, list[Step]] = {}
    for at, n, row in rows:
        if row["user_id"] in found or shoppers is None or len(found) < shoppers:
            found.setdefault(row["user_id"], []).append(Step(row["item_id"], row.get("kind") or "purchase", at, n))
    return found


def titles_read(path: Path) -> dict[str, str]:
    """Titles by item."""
    with path.open(newline="") as file:
        return {row["item_id"]: row["title"] for row in csv.DictReader(file)}


def measure(
    done: Mapping[str, Sequence[Step]], titles: Mapping[str, str], *, encoder: str, cut: float, own: ShopperOptions
) -> dict[str, Any]:
    """Train on what lies before the cut and ask for what comes after it."""
    every = sorted(step.at for each in done.values() for step in each if step.product_id in titles)
    moment = every[min(len(every) - 1, int(cut * len(every)))]
    row_of = {item: row for row, item in enumerate(titles)}
    vectors = embed(list(titles.values()), encoder)
    before = [merged([step for step in each if step.at < moment])[-LENGTH - 1 :] for each in done.values()]
    courses = courses_of(before, row_of=row_of, after=-1, replay=0.0, seed=SEED)
    asked = list(questions(done, row_of, moment))
    started = time.monotonic()
    with torch_as(threads=1, seed=SEED):
        trained = shopper_train(courses=courses, vectors=vectors, parent=None, options=own, seed=SEED)
    seconds = time.monotonic() - started
    shape = Shape(dimensions=vectors.shape[1], decay=own.decay)
    untrained = ShopperTower(shape, centre=vectors.mean(axis=0)).train(False)
    popularity = np.log(shares(courses, len(vectors)) + 0.5 / max(1, sum(len(each.rows) for each in courses)))
    sharp = float(trained.tower.sharpness.detach().exp())
    wants = {
        name: np.stack([_wants(tower, each, row_of, vectors) for each in tqdm(asked, desc=name, file=sys.stderr)])
        for name, tower in (("untrained", untrained), ("trained", trained.tower))
    }
    nothing = np.zeros_like(wants["untrained"])
    ranks = {
        "popularity": ranks_of(nothing, popularity, asked, row_of, vectors),
        "untrained": ranks_of(wants["untrained"], 0 * popularity, asked, row_of, vectors),
        "trained": ranks_of(wants["trained"], 0 * popularity, asked, row_of, vectors),
        "untrained x popularity": ranks_of(sharp * wants["untrained"], popularity, asked, row_of, vectors),
        "trained x popularity": ranks_of(sharp * wants["trained"], popularity, asked, row_of, vectors),
    }
    return {
        "shoppers": len(done),
        "courses": len(courses),
        "questions": len(asked),
        "products": len(titles),
        "encoder": encoder,
        "options": asdict(own),
        "steps": len(trained.losses),
        "train_seconds": seconds,
        "figures": {name: figures(rank, ranks["untrained"]) for name, rank in ranks.items()},
    }


def embed(titles: Sequence[str], encoder: str) -> Floats:
    """Vectors of the products, as the embedder makes them."""
    with tempfile.TemporaryDirectory() as home, tqdm(total=len(titles), desc="embedding", file=sys.stderr) as bar:
        tower = encoder_load(encoder, home=Path(home), precision="bf16")
        texts = [product_text({"title": title}) for title in titles]
        return tower.encode_products(texts, progress=lambda done: _show(bar, done))


def _show(bar: tqdm[Any], done: int) -> None:
    bar.update(done)


def questions(done: Mapping[str, Sequence[Step]], row_of: Mapping[str, int], moment: float) -> Iterator[Question]:
    """The shoppers with a history before the moment who came back after it."""
    for each in done.values():
        known = [step for step in each if step.product_id in row_of]
        past = merged([step for step in known if step.at < moment])[-LENGTH:]
        after = [
            step for step in known if step.at >= moment and step.product_id not in {old.product_id for old in past}
        ]
        if past and after:
            yield Question(past, row_of[after[0].product_id])


def _wants(tower: ShopperTower, asked: Question, row_of: Mapping[str, int], vectors: Floats) -> Doubles:
    found = tower.vector(history_of(asked.steps, row_of, vectors))
    return np.zeros(vectors.shape[1]) if found is None else found


def ranks_of(
    wants: Doubles, extra: Doubles, asked: Sequence[Question], row_of: Mapping[str, int], vectors: Floats
) -> Doubles:
    """Rank of what was wanted among all products but those of the history, (Q,); those of a like score share theirs."""
    found = []
    for want, each in zip(wants.astype(np.float32), asked, strict=True):
        scores = vectors @ want + extra
        right = scores[each.wanted]
        scores[[row_of[step.product_id] for step in each.steps]] = -np.inf
        scores[each.wanted] = right
        found.append(1 + float((scores > right).sum()) + (float((scores == right).sum()) - 1) / 2)
    return np.array(found)


def figures(ranks: Doubles, base: Doubles) -> dict[str, float]:
    """MRR@10 and nDCG@10 of one right product, and the standard errors of their changes against a base."""
    mrr, mrr_base = (np.where(each <= DEPTH, 1 / each, 0.0) for each in (ranks, base))
    ndcg, ndcg_base = (np.where(each <= DEPTH, 1 / np.log2(1 + each), 0.0) for each in (ranks, base))
    root = np.sqrt(max(1, len(ranks)))
    return {
        "mrr": float(mrr.mean()),
        "mrr_error": float((mrr - mrr_base).std() / root),
        "ndcg": float(ndcg.mean()),
        "ndcg_error": float((ndcg - ndcg_base).std() / root),
        "recall_100": float((ranks <= 100).mean()),
    }


def tables(results: dict[str, Any]) -> list[Any]:
    rows = [[name, *(each[key] for key in _COLUMNS)] for name, each in results["figures"].items()]
    title = (
        f"{results['questions']:,} shoppers came back, to {results['products']:,} products ({results['encoder']}); "
        f"{results['courses']:,} courses taught {results['steps']} steps in {results['train_seconds']:.0f} s"
    )
    return [table(title, ["ranked by", "MRR@10", "±", "nDCG@10", "±", "recall@100"], rows)]


_COLUMNS = ("mrr", "mrr_error", "ndcg", "ndcg_error", "recall_100")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
