"""Reading files row by row, from any row on."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog.importers.mapping import BadMap
from catalog.importers.rows import BadFile, Source, SourceRow, source_open


def source(folder: Path, name: str, content: bytes | str, map_name: str | None = None) -> Source:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return source_open(path, map_name=map_name)


def ids(rows: list[SourceRow]) -> list[str]:
    return [row.problem[0] if row.problem else row.product["product_id"] for row in rows]


JSONL = '{"product_id": "a"}\n\n{broken\n[1]\n{"product_id": "茶"}'
CSV = 'SKU,Name,start_date\n1,"two\nlines, one cell",2010-05-17\n2,short\n3,"say ""hi""",\n'


def test_bad_lines_in_the_middle_do_not_stop_the_rest(tmp_path: Path) -> None:
    rows = list(source(tmp_path, "p.jsonl", JSONL).rows())

    assert ids(rows) == ["a", "bad_json", "not_an_object", "茶"]
    assert [row.line for row in rows] == [1, 3, 4, 5]


def test_a_table_keeps_line_ends_in_cells_and_counts_lines_as_an_editor_does(tmp_path: Path) -> None:
    rows = list(source(tmp_path, "p.csv", CSV).rows())

    assert ids(rows) == ["1", "bad_csv", "3"]
    assert [row.line for row in rows] == [2, 4, 5]
    assert rows[0].product == {"product_id": "1", "title": "two\nlines, one cell", "released_at": "2010-05-17"}


@pytest.mark.parametrize(("name", "content"), [("p.jsonl", JSONL), ("p.csv", CSV)])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_reading_goes_on_after_any_row(tmp_path: Path, name: str, content: str, bom: str) -> None:
    opened = source(tmp_path, name, bom + content)
    rows = list(opened.rows())

    for n, row in enumerate(rows):
        assert list(opened.rows(next_byte=row.next_byte, next_line=row.next_line)) == rows[n + 1 :]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_separator_is_found_in_the_first_line(tmp_path: Path, delimiter: str) -> None:
    [row] = source(tmp_path, "p.csv", f"sku{delimiter}name\n1{delimiter}Mug\n").rows()

    assert row.product == {"product_id": "1", "title": "Mug"}


def test_a_row_that_is_not_utf8_is_refused_alone(tmp_path: Path) -> None:
    rows = list(source(tmp_path, "p.csv", b"sku,name\n1,caf\xe9\n2,tea\n").rows())

    assert ids(rows) == ["bad_encoding", "2"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("sku,name\n1,Mug\n".encode("utf-16"), "UTF-16"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"PK\x03\x04", "Excel"),
        (b"PAR1", "Parquet"),
        (b"", "empty"),
        (b" \n ", "empty"),
        (b'[{"product_id": "a"}]', "one object a line"),
        (b"s\0k\0u", "NUL"),
    ],
)
def test_what_is_no_text_of_rows_is_refused_with_the_remedy(tmp_path: Path, content: bytes, complaint: str) -> None:
    with pytest.raises(BadFile, match=complaint):
        source(tmp_path, "p.jsonl", content)


def test_a_header_that_is_not_utf8_or_double_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="not UTF-8"):
        list(source(tmp_path, "p.csv", b"sku,name,caf\xe9\n").rows())
    with pytest.raises(BadFile, match="comes twice"):
        list(source(tmp_path, "p.csv", b"sku,name,name\n").rows())
    with pytest.raises(BadMap, match="No column for title"):
        list(source(tmp_path, "p.csv", b"sku\n1\n").rows())


def test_an_open_quotation_mark_costs_rows_but_not_the_file(tmp_path: Path) -> None:
    rows = list(source(tmp_path, "p.csv", 'sku,name\n1,"open\n2,tea\n').rows())

    assert ids(rows) == ["1"]
    assert rows[0].product["title"] == "open\n2,tea\n"


def test_the_same_bytes_are_the_same_file_and_another_map_is_another_import(tmp_path: Path) -> None:
    first = source(tmp_path, "a.csv", "sku,name\n1,Mug\n")

    assert source(tmp_path, "b.csv", "sku,name\n1,Mug\n").identity == first.identity
    assert source(tmp_path, "c.csv", "sku,name\n1,Mug\n", map_name="litemall").identity != first.identity
