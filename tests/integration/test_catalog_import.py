"""`manage.py import_products`: what comes in, what is refused and where, and that again is the same as once."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.core.management import CommandError, call_command

from catalog.importers.files import file_import
from catalog.importers.rows import source_open
from catalog.models import FileImport, Product
from catalog.services import products_upsert
from eventlog.database import scalar
from tests.cast import PRODUCTS, SHOP_ID, TEN_O_CLOCK, SmallShop


@pytest.fixture
def jsonl(tmp_path: Path) -> Path:
    """The small shop with two bad lines in the middle."""
    lines = [orjson.dumps(product) for product in PRODUCTS]
    lines[3:3] = [b'{"product_id": "broken', b'{"product_id": "bad", "title": "Bad", "price": -1}']
    path = tmp_path / "shop.jsonl"
    path.write_bytes(b"\n".join(lines))
    return path


def run(path: Path, **options: Any) -> str:
    out = StringIO()
    report = options.pop("report", path.with_name("rejected.jsonl"))
    call_command("import_products", str(path), stdout=out, stderr=StringIO(), report=report, wait=False, **options)
    return out.getvalue()


def rejected(path: Path) -> list[tuple[int, str, str | None]]:
    lines = path.with_name("rejected.jsonl").read_bytes().splitlines()
    return [(each["line"], each["code"], each["field"]) for each in map(orjson.loads, lines)]


def log_length() -> int:
    return int(scalar("SELECT count(*) FROM eventlog_event"))


@pytest.mark.parametrize("batch", [1, 4, 1000])
def test_good_rows_come_in_and_bad_ones_are_reported_with_their_lines(
    empty_shop: SmallShop, jsonl: Path, batch: int
) -> None:
    assert "12 accepted, 0 unchanged, 2 rejected" in run(jsonl, batch=batch)
    assert rejected(jsonl) == [(4, "bad_json", None), (5, "too_small", "price")]
    assert log_length() == 2 * len(PRODUCTS)


def test_the_same_file_again_changes_nothing(empty_shop: SmallShop, jsonl: Path) -> None:
    run(jsonl)
    before = log_length()

    assert "nothing to do" in run(jsonl)
    assert "0 accepted, 12 unchanged, 2 rejected" in run(jsonl, again=True)
    assert log_length() == before
    assert len(rejected(jsonl)) == 2


def test_an_import_that_broke_off_goes_on_where_it_was(empty_shop: SmallShop, jsonl: Path) -> None:
    calls: list[int] = []

    def upsert(**arguments: Any) -> Any:
        calls.append(len(arguments["items"]))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return products_upsert(origin="import", **arguments)

    def go() -> Any:
        source = source_open(jsonl)
        report = jsonl.with_name("rejected.jsonl")
        return file_import(
            shop_id=SHOP_ID, source=source, report=report, batch=5, record=upsert, clock=lambda: TEN_O_CLOCK
        )

    with pytest.raises(KeyboardInterrupt):
        go()
    assert FileImport.objects.get().next_line == 11
    summary = go()

    assert (summary.accepted, summary.unchanged, summary.rejected) == (12, 0, 2)
    assert calls == [4, 5, 4, 4]
    assert len(rejected(jsonl)) == 2


def test_waiting_without_a_worker_brings_the_products_into_the_tables(empty_shop: SmallShop, jsonl: Path) -> None:
    call_command("import_products", str(jsonl), stdout=(out := StringIO()), stderr=StringIO(),
                 report=jsonl.with_name("rejected.jsonl"))  # fmt: skip

    assert "Visible everywhere" in out.getvalue()
    assert Product.objects.count() == len(PRODUCTS)


def test_a_table_needs_no_map_when_its_columns_are_known(empty_shop: SmallShop, tmp_path: Path) -> None:
    path = tmp_path / "games.csv"
    path.write_text("sku,name,start_date\n1004622,Sniper: Ghost Warrior - Xbox 360,2010-05-17\n")

    assert "1 accepted, 0 unchanged, 0 rejected" in run(path)


def test_a_map_of_ones_own_is_taken_by_its_path(empty_shop: SmallShop, tmp_path: Path) -> None:
    path, rules = tmp_path / "items.csv", tmp_path / "items.json"
    path.write_text("StockCode,description,median_price\n10002,INFLATABLE GLOBE,0.85\n")
    rules.write_text('{"fields": {"product_id": "stockcode", "title": "description", "price": "median_price"}}')

    assert "1 accepted" in run(path, map_name=str(rules))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("", "empty"), ("sku\n1\n", "No column for title"), ("sku,name,what\n1,2,3\n", "Nobody knows"), ("[1]", "array")],
)
def test_a_file_that_cannot_be_read_ends_in_an_error(
    empty_shop: SmallShop, tmp_path: Path, content: str, complaint: str
) -> None:
    (path := tmp_path / "p.csv").write_text(content)

    with pytest.raises(CommandError, match=complaint):
        run(path)
    assert log_length() == 0


def test_a_file_of_which_nothing_was_accepted_ends_in_an_error(empty_shop: SmallShop, tmp_path: Path) -> None:
    (path := tmp_path / "p.jsonl").write_text('{"product_id": "a"}\n{"product_id": "b"}\n')

    with pytest.raises(CommandError, match="Nothing was accepted"):
        run(path)
    assert [code for _, code, _ in rejected(path)] == ["missing_field", "missing_field"]


@pytest.mark.parametrize("next_line", [1, 5])
def test_a_report_is_not_written_over_somebody_elses_file(empty_shop: SmallShop, jsonl: Path, next_line: int) -> None:
    source = source_open(jsonl)
    FileImport.objects.create(shop_id=SHOP_ID, identity=source.identity, next_line=next_line, started_at=TEN_O_CLOCK)
    jsonl.with_name("rejected.jsonl").write_text("dear diary")

    with pytest.raises(CommandError, match="no report of an import"):
        run(jsonl)
    assert jsonl.with_name("rejected.jsonl").read_text() == "dear diary"
