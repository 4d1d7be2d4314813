"""The example of docs/how-to/import-products.md does what the page says."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

from django.core.management import call_command

from tests.cast import SmallShop

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "import-products.md"


def block(kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    return found[1]


def test_the_example_of_the_page_imports_as_it_says(empty_shop: SmallShop, tmp_path: Path) -> None:
    items, rules, report = tmp_path / "items.csv", tmp_path / "items.json", tmp_path / "rejected.jsonl"
    items.write_text(block("csv"))
    rules.write_text(block("json"))

    call_command("import_products", str(items), map_name=str(rules), report=report, wait=False,
                 stdout=(out := StringIO()), stderr=StringIO())  # fmt: skip

    assert "2 accepted, 0 unchanged, 2 rejected" in out.getvalue()
    assert report.read_text() == block("jsonl")
