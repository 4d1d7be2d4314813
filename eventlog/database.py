"""Plain SQL on Django's connection: server-side binding and prepared statements, which Django's own cursors lack."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, LiteralString, cast

import psycopg
from django.db import connection

Row = tuple[Any, ...]


def raw_connection() -> psycopg.Connection[Row]:
    """Return psycopg's connection below Django's, inside Django's current transaction."""
    connection.ensure_connection()
    return cast("psycopg.Connection[Row]", connection.connection)


def query(sql: str, params: Sequence[Any] | dict[str, Any] = (), *, binary: bool = False) -> psycopg.Cursor[Row]:
    """Run one prepared statement and return its cursor.

    jsonb comes back as text (Django's loader): `orjson.loads` it where it is needed. Raises psycopg's own errors.
    """
    cursor: psycopg.Cursor[Row] = psycopg.Cursor(raw_connection())
    return cursor.execute(cast(LiteralString, sql), params or None, prepare=True, binary=binary)


def rows(sql: str, params: Sequence[Any] | dict[str, Any] = ()) -> list[Row]:
    """Return all rows of one prepared statement."""
    return query(sql, params).fetchall()


def scalar(sql: str, params: Sequence[Any] | dict[str, Any] = ()) -> Any:
    """Return the first column of the first row, None when there is none."""
    row = query(sql, params).fetchone()
    return row[0] if row else None


def copy_rows(table: str, columns: Sequence[str], records: Iterable[Sequence[Any]]) -> None:
    """Insert many rows by COPY, the fastest way in."""
    cursor: psycopg.Cursor[Row] = psycopg.Cursor(raw_connection())
    statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
    with cursor.copy(cast(LiteralString, statement)) as copy:
        for record in records:
            copy.write_row(record)
