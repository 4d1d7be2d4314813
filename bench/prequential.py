"""Walk a real click log through the real code in time order, asking each query before its click is known.

    python -m bench.prequential --products products.csv --clicks clicks.csv --start 2011-09-10 [--end D]
                                [--sync 0|3600|86400|never] [--learn] [--table] [--json]

Products are imported and embedded, clicks become events, projections apply them, searches rank at the time of the query.
Clicks before the start are only applied. A click counts from its click_time; with --sync 3600 or 86400 from the next full
hour or day, with never not at all. Without --sync all four are walked: the table says what freshness is worth.
MAP@5 is 1/rank of the clicked product if rank <= 5, else 0; a query is new when no click on the same lower-cased
a-z/0-9 words is visible yet. θ is frozen, unless --learn: then versions are trained, judged and promoted as the clicks come
in, and three arms are read of each query: weights (ŷ × w of the model as it came), theta (ŷ of the version that serves) and
both (what it answers). --table is --learn at each of the four syncs. Beside it plain decayed click counts in memory, and
what no ranking of these queries could pass that answers a query always alike: its products by how often they were clicked
in the very clicks that are asked about.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.harness import finish, parser, project, required, table
from bench.prequential_log import Click, Sync, clicks_read, moment, until

SYNCS: tuple[Sync, ...] = (0, 3600, 86400, "never")
_CALLED = {0: "at once", 3600: "each hour", 86400: "each day", "never": "never"}
_ARMS = {"weights": "Freshet, weights", "theta": "Freshet, θ", "both": "Freshet, both"}
_SETTINGS = "bench.prequential_settings"


def main() -> None:
    """Walk, print, end."""
    arguments = _arguments()
    products, log = required(arguments, "products", "clicks")
    try:
        clicks, bad = clicks_read(log)
    except ValueError as error:
        sys.exit(str(error))
    asked = [click for click in clicks if arguments.start <= click.asked_at < arguments.end]
    if not asked:
        sys.exit(f"{log} has no query from --start on (before --end).")
    syncs = SYNCS if arguments.sync is None or arguments.table else (arguments.sync,)
    learn = arguments.learn or arguments.table
    with project(settings=_SETTINGS):
        results = _measure(products, clicks, syncs, start=arguments.start, end=arguments.end, learn=learn)
    results |= {"clicks": len(clicks), "unreadable_rows": bad}
    finish(arguments, results, [_table(results)])


def _arguments() -> argparse.Namespace:
    made = parser(__doc__, data={"products": "bestbuy_clicks/products.csv", "clicks": "bestbuy_clicks/clicks.csv"})
    made.add_argument("--start", type=_time(moment), default=moment("2011-09-10"), metavar="TIME",
                      help="first query that is asked (2011-09-10); UTC")  # fmt: skip
    made.add_argument("--end", type=_time(until), default=float("inf"), metavar="TIME",
                      help="queries before this time are asked; a day counts to its end (all)")  # fmt: skip
    made.add_argument("--sync", type=_sync, default=None, metavar="0|3600|86400|never",
                      help="seconds between syncs of clicks into rankings (all four, one after the other)")  # fmt: skip
    made.add_argument("--learn", action="store_true", help="let θ learn as the clicks come in")
    made.add_argument("--table", action="store_true", help="weights, θ and both, at each of the four syncs")
    return made.parse_args()


def _time(read: Any) -> Any:
    def check(text: str) -> float:
        try:
            return float(read(text))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2011-09-10 or 2011-09-10T12:00") from None

    return check


def _sync(text: str) -> Sync:
    if text == "never":
        return "never"
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of seconds nor never")
    return int(text)


def _measure(
    products: Path, clicks: Sequence[Click], syncs: Sequence[Sync], *, start: float, end: float, learn: bool
) -> dict[str, Any]:
    """Prepare the shop up to the start, then walk on from there once a sync."""
    from bench.prequential_peer import PlainCounts
    from bench.prequential_walk import Shop, Stretch, Walk, best_fixed_order, clicks_before, progress, walk
    from bench.shop import SHOP, products_embed, products_import
    from eventlog.database import rows

    imported = products_import(products, None)
    products_embed()
    titles: dict[str, str] = dict(
        rows("SELECT product_id, title FROM catalog_product WHERE shop_id = %s ORDER BY id", [SHOP])
    )
    shop = Shop(learn=learn)
    before = clicks_before(clicks, start)
    with progress(len(before), "clicks before the start", "click") as bar:
        shop.apply(before, bar.update)
    before_start = list(shop.versions)
    walks: dict[Sync, dict[str, Walk]] = {}
    peers, versions = {}, {}
    for sync in syncs:
        stretch = Stretch(clicks, start=start, end=end, sync=sync)
        with _database(copy=len(syncs) > 1, name=f"walk_{sync}"):
            trained = len(shop.versions)
            walks[sync] = walk(stretch, shop.apply, shop.rank, label=f"applied {_called(sync)}")
            versions[sync] = shop.versions[trained:]
        peer = PlainCounts(titles)
        peer.apply(before)
        peers[sync] = walk(stretch, peer.apply, peer.rank, label=f"  peer: {_called(sync)}")["plain"]
    served = "both" if learn else "weights"
    first = walks[syncs[0]][served]
    return {
        **first.figures(),
        "sync": {
            str(sync): arms[served].figures()
            | {"peer": peers[sync].figures(), "arms": {arm: each.figures() for arm, each in arms.items()}}
            | {"versions": [*before_start, *versions[sync]]}
            for sync, arms in walks.items()
        },
        "best_fixed_order": best_fixed_order(Stretch(clicks, start=start, end=end, sync=0).asked()),
        "products": imported["accepted"],
        "clicks_before_start": len(before),
        "clicks_on_unknown_products": sum(click.product_id not in titles for click in clicks),
        "skipped_queries": first.skipped,
        "refused_events": shop.refused,
        "encoder": shop.model.frozen.name,
    }


@contextmanager
def _database(*, copy: bool, name: str) -> Iterator[None]:
    """Work in a copy of the database as it stands, so that the next walk starts from the same place."""
    if not copy:
        yield
        return
    from django.db import connection

    from eventlog.database import query

    base = connection.settings_dict["NAME"]
    _connect(connection, "postgres")
    query(f'CREATE DATABASE "{name}" TEMPLATE "{base}"')
    _connect(connection, name)
    try:
        yield
    finally:
        _connect(connection, base)


def _connect(connection: Any, name: str) -> None:
    connection.close()
    connection.settings_dict["NAME"] = name


def _called(sync: Sync) -> str:
    return _CALLED.get(sync, f"each {sync} s")


def _table(results: dict[str, Any]) -> Table:
    rows = [
        (f"{who}, clicks applied {_called(_sync(sync))}", *_row(figures))
        for sync, each in results["sync"].items()
        for who, figures in (
            *((_ARMS[arm], of_arm) for arm, of_arm in each["arms"].items()),
            ("plain counts", each["peer"]),
        )
    ]
    first = next(iter(results["sync"].values()))
    title = (
        f"What freshness is worth: {results['products']:,} products, {results['clicks']:,} clicks, "
        f"{results['clicks_before_start']:,} of them before the start; {results['skipped_queries']} empty queries skipped, "
        f"{results['clicks_on_unknown_products']} clicks on products that are not in the catalogue; "
        f"{sum(each['promoted'] for each in first['versions'])} of {len(first['versions'])} versions of θ promoted; the best "
        f"fixed order of each query, chosen from the answers: MAP@5 {results['best_fixed_order']:.4f}"
    )
    columns = ["", "MAP@5", "MRR", "queries", "new: MAP@5", "MRR", "queries", "seconds"]
    return table(title, columns, rows)


def _row(figures: dict[str, Any]) -> list[Any]:
    new = figures["new_queries"]
    return [
        *(round(figures[name], 4) for name in ("map_at_5", "mrr")), figures["queries"],
        *(round(new[name], 4) for name in ("map_at_5", "mrr")), new["queries"], figures["seconds"],
    ]  # fmt: skip


if __name__ == "__main__":
    main()
