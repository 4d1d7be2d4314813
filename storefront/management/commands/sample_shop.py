"""`manage.py sample_shop`: write the sample shop's products and judgements to files."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from storefront.sample_shop.judgments import sample_judgments
from storefront.sample_shop.products import sample_products


class Command(BaseCommand):
    """Write products as JSONL and judgements as CSV (`query,product_id,rating`)."""

    help = "Write the sample shop: products as JSONL (to standard output by default), judgements as CSV."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare `--products` and `--judgments`."""
        parser.add_argument("--products", type=Path, metavar="FILE", help="JSONL, one product a line")
        parser.add_argument("--judgments", type=Path, metavar="FILE", help="CSV: query,product_id,rating")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write what was asked for."""
        products_file, judgments_file = options["products"], options["judgments"]
        if judgments_file is not None:
            _write_judgments(judgments_file)
        if products_file is not None:
            products_file.write_text(_products_jsonl(), "utf-8")
        if products_file is None and judgments_file is None:
            sys.stdout.write(_products_jsonl())


def _products_jsonl() -> str:
    return "".join(f"{json.dumps(product, ensure_ascii=False)}\n" for product in sample_products())


def _write_judgments(path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("query", "product_id", "rating"))
        writer.writerows(sample_judgments())
