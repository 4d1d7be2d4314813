"""Reading a file of products row by row, JSONL or CSV, from any row on. An unreadable row is told, not fatal."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, Literal

import orjson

from catalog.importers.mapping import ProductMap, map_read
from eventlog.errors import FreshetError

MAX_LINE = 8 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"
_NOT_TEXT = {  # what people give us instead of UTF-8 text, by its first bytes
    b"\xff\xfe": "UTF-16; save it as UTF-8",
    b"\xfe\xff": "UTF-16; save it as UTF-8",
    b"\x1f\x8b": "compressed (gzip); unpack it",
    b"PK\x03\x04": "a ZIP archive or an Excel workbook; unpack it or save it as CSV in UTF-8",
    b"PAR1": "Parquet; write it as CSV or JSONL",
}
csv.field_size_limit(1_000_000)


class BadFile(FreshetError):
    """This file cannot be imported."""

    code = "bad_file"


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row: where it starts, where the next one starts, and what it holds or why it cannot be read."""

    line: int
    next_line: int
    next_byte: int
    product: Any = None
    problem: tuple[str, str] | None = None  # code, detail


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file of products and the map it is read with."""

    path: Path
    kind: Literal["jsonl", "csv"]
    map: ProductMap | None  # None: the rows are products as POST /v1/products takes them
    start: int  # behind a byte order mark
    size: int
    holds: str = "products"  # or what another app reads out of such files

    @cached_property
    def identity(self) -> str:
        """A digest of the file's bytes, its map and what it holds: the same file again is known, whatever its name."""
        digest = blake2b(digest_size=20)
        with self.path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        digest.update(self.map.model_dump_json(by_alias=True).encode() if self.map else b"")
        digest.update(b"" if self.holds == "products" else self.holds.encode())
        return digest.hexdigest()

    def rows(self, *, next_byte: int = 0, next_line: int = 1) -> Iterator[SourceRow]:
        """Read the rows from a place that an earlier row named. Raises BadFile, BadMap."""
        read = _read_csv if self.kind == "csv" else _read_jsonl
        return read(self, next_byte, next_line)


def source_open(path: Path, *, map_name: str | None = None) -> Source:
    """Look at a file and at its map. Raises BadFile, BadMap."""
    if not path.is_file():
        raise BadFile(f"There is no file {path}.")
    with path.open("rb") as file:
        head = file.read(65_536)
    for magic, what in _NOT_TEXT.items():
        if head.startswith(magic):
            raise BadFile(f"{path} is {what}.")
    if b"\0" in head:
        raise BadFile(f"{path} holds NUL bytes: it is not UTF-8 text.")
    start = len(_BOM) if head.startswith(_BOM) else 0
    first = head[start:].lstrip()[:1]
    if not first:
        raise BadFile(f"{path} is empty.")
    if first == b"[":
        raise BadFile(f"{path} is one JSON array; write one object a line (jq -c '.[]' makes it).")
    kind: Literal["jsonl", "csv"] = "csv" if path.suffix.lower() in {".csv", ".tsv"} or first != b"{" else "jsonl"
    map_name = map_name or ("csv" if kind == "csv" else None)
    chosen = map_read(map_name) if map_name else None
    return Source(path=path, kind=kind, map=chosen, start=start, size=path.stat().st_size)


def _read_jsonl(source: Source, next_byte: int, next_line: int) -> Iterator[SourceRow]:
    with source.path.open("rb") as file:
        file.seek(max(next_byte, source.start))
        while line := file.readline(MAX_LINE):
            whole = line.endswith(b"\n") or len(line) < MAX_LINE
            if not whole:
                _skip_line(file)
            place = (next_line, next_line + 1, file.tell())
            next_line += 1
            if not whole:
                yield SourceRow(*place, problem=("too_long", f"A line may have {MAX_LINE} bytes."))
            elif not line.isspace():
                yield _jsonl_row(line, place, source.map)


def _skip_line(file: IO[bytes]) -> None:
    while (rest := file.readline(MAX_LINE)) and not rest.endswith(b"\n"):
        pass


def _jsonl_row(line: bytes, place: tuple[int, int, int], columns: ProductMap | None) -> SourceRow:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return SourceRow(*place, problem=("bad_json", f"This line is not JSON: {error}."))
    if not isinstance(row, dict):
        return SourceRow(*place, problem=("not_an_object", "This line should be a JSON object."))
    return SourceRow(*place, product=columns.product(row) if columns else row)


class _Lines:
    """The lines of a file as text, counting bytes and lines; broken UTF-8 becomes surrogates, to be refused by row."""

    def __init__(self, file: IO[bytes], byte: int, line: int) -> None:
        self._file, self.byte, self.line = file, byte, line
        file.seek(byte)

    def __iter__(self) -> Iterator[str]:
        while raw := self._file.readline(MAX_LINE):
            self.byte += len(raw)
            self.line += 1
            yield raw.decode(errors="surrogateescape")


def _read_csv(source: Source, next_byte: int, next_line: int) -> Iterator[SourceRow]:
    assert source.map is not None  # a table is never read without one
    with source.path.open("rb") as file:
        lines = _Lines(file, source.start, 1)
        first = next(iter(lines))
        delimiter = max(",;\t|", key=first.count)
        header = _header(next(csv.reader([first], delimiter=delimiter)), source.map)
        if next_byte > lines.byte:
            lines = _Lines(file, next_byte, next_line)
        reader = csv.reader(lines, delimiter=delimiter)
        while True:
            line = lines.line
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield SourceRow(line, lines.line, lines.byte, problem=("bad_csv", f"This row cannot be read: {error}."))
                continue
            if values:
                yield _csv_row(values, header, (line, lines.line, lines.byte), source.map)


def _header(names: list[str], columns: ProductMap) -> list[str]:
    """The names of the columns as the map spells them: `SKU` is `sku`. Raises BadMap, BadFile."""
    spelling = {name.casefold(): name for name in columns.columns()}
    header = [spelling.get(name.strip().casefold(), name.strip()) for name in names]
    if any(_broken(name) for name in header):
        raise BadFile("The first line is not UTF-8; save the file as UTF-8.")
    if twice := {name for name in header if header.count(name) > 1}:
        raise BadFile(f"The column {min(twice)!r} comes twice.")
    columns.check_header(header)
    return header


def _csv_row(values: list[str], header: list[str], place: tuple[int, int, int], columns: ProductMap) -> SourceRow:
    if len(values) != len(header):
        problem = (
            "bad_csv",
            f"{len(values)} values for {len(header)} columns: a quotation mark or a separator is astray.",
        )
        return SourceRow(*place, problem=problem)
    if any(_broken(value) for value in values):
        return SourceRow(*place, problem=("bad_encoding", "This row is not UTF-8."))
    return SourceRow(*place, product=columns.product(dict(zip(header, values, strict=True))))


def _broken(text: str) -> bool:
    return not text.isascii() and any("\udc80" <= character <= "\udcff" for character in text)
