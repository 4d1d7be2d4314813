"""A shop for a bench: any file of products, imported and embedded by the project's own code."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

SHOP = 1
LOOK_AT = 50  # rows, to recognise a map by its columns


def map_option(options: argparse.ArgumentParser) -> None:
    """Add --map to a bench that takes products."""
    options.add_argument(
        "--map", metavar="NAME|FILE.json", help="how columns become fields; a shipped map is recognised by its columns"
    )


def map_choose(products: Path, given: str | None) -> str | None:
    """The map a file is read with: the one given, else the shipped one whose columns it has, else none."""
    from catalog.importers.mapping import MAPS, map_read
    from catalog.importers.rows import source_open

    if given:
        return given
    source = source_open(products)
    rows = [row.product for row in islice(source.rows(), LOOK_AT) if isinstance(row.product, dict)]
    if source.kind == "csv" or any({"product_id", "title"} <= row.keys() for row in rows):
        return None
    columns = {column for row in rows for column in row}
    shipped = {path.stem: map_read(path.stem) for path in MAPS.glob("*.json")}
    needed = {
        name: {column for field in map_.fields.values() for column in field.columns[:1]}
        for name, map_ in shipped.items()
    }
    fitting = [name for name, wanted in needed.items() if wanted <= columns]
    return max(fitting, key=lambda name: len(needed[name]), default=None)


def shop_load(products: Path, *, map_name: str | None = None) -> dict[str, Any]:
    """Import products and embed them, in this process; the map is recognised unless it is given."""
    imported = products_import(products, map_choose(products, map_name))
    return {"imported": imported, "embedded": products_embed()}


def products_import(products: Path, map_name: str | None) -> dict[str, Any]:
    """Import the products and project them in this process; return what was accepted and rejected."""
    from django.conf import settings

    from catalog.importers.files import file_import
    from catalog.importers.rows import source_open
    from eventlog.consume import sequence_and_drain
    from ranking.services import lexical_statistics_publish

    source = source_open(products, map_name=map_name)
    with tqdm(total=source.size, unit="B", unit_scale=True, desc=products.name, file=sys.stderr) as bar:
        summary = file_import(
            shop_id=SHOP,
            source=source,
            report=settings.FRESHET_HOME / "imports" / "rejected.jsonl",
            clock=_now,
            progress=lambda state: _show(bar, state.next_byte),
        )
    with tqdm(total=summary.accepted, desc="projections", unit="product", file=sys.stderr) as bar:

        def go_on() -> bool:  # asked before each pass
            _show(bar, documents())
            return False

        sequence_and_drain(should_stop=go_on)
    lexical_statistics_publish(now=_now())
    sequence_and_drain()
    return {"accepted": summary.accepted, "rejected": summary.rejected, "map": map_name}


def products_embed() -> int:
    """Embed all that waits in this process, with the encoder of FRESHET_ENCODER; return how many there were."""
    from eventlog.consume import sequence_and_drain
    from ranking.embedding import embed_waiting
    from ranking.policies import shop_embed
    from ranking.registry import model_serving
    from ranking.services import model_ensure_first
    from ranking.vector_state import waiting_count

    model_ensure_first(shop_id=SHOP, now=_now())
    sequence_and_drain()
    model = model_serving(shop_id=SHOP)
    assert model is not None, "version 1.0 is registered and drained"
    with tqdm(
        total=waiting_count(shop_id=SHOP, major=model.major), desc="embedding", unit="product", file=sys.stderr
    ) as bar:
        done = embed_waiting(model=model, now=_now(), progress=lambda done: _show(bar, bar.n + done))
    shop_embed(shop_id=SHOP, now=_now())  # what comes after the last vector: the HNSW index of a large shop
    return done


def documents() -> int:
    """How many products can be found by their words."""
    from eventlog.database import scalar

    return int(scalar("SELECT coalesce(sum(documents), 0) FROM ranking_lexicon WHERE shop_id = %s", [SHOP]))


def _show(bar: tqdm[Any], reached: float) -> None:
    bar.update(reached - bar.n)


def _now() -> datetime:
    return datetime.now(UTC)
