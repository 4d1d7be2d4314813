"""Plain SQL on Django's connection: server-side binding and prepared statements, which Django's own cursors lack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

Row = tuple[Any, ...]
GATE = "eventlog_parked"  # readers of a snapshot pass it, a rebuild closes it; of all tables the one least written to


def wrapper() -> BaseDatabaseWrapper:
    """Return this thread's Django connection itself: each attribute read through Django's proxy costs microseconds."""
    return connections[DEFAULT_DB_ALIAS]


def raw_connection() -> psycopg.Connection[Row]:
    """Return psycopg's connection below Django's, inside Django's current transaction.

    A connection that a restart of the server cut off is made anew, unless a transaction was lost with it.
    """
    django = wrapper()
    if django.connection is None or (django.connection.closed and not django.in_atomic_block):
        django.close()
        django.ensure_connection()
    return cast("psycopg.Connection[Row]", django.connection)


def query(sql: str, params: Sequence[Any] | dict[str, Any] = (), *, binary: bool = False) -> psycopg.Cursor[Row]:
    """Run one prepared statement and return its cursor.

    jsonb comes back as text (Django's loader): `orjson.loads` it where it is needed. Raises psycopg's own errors.
    """
    cursor: psycopg.Cursor[Row] = psycopg.Cursor(raw_connection())
    return cursor.execute(sql, params or None, prepare=True, binary=binary)


def rows(sql: str, params: Sequence[Any] | dict[str, Any] = (), *, binary: bool = False) -> list[Row]:
    """Return all rows of one prepared statement."""
    return query(sql, params, binary=binary).fetchall()


def scalar(sql: str, params: Sequence[Any] | dict[str, Any] = ()) -> Any:
    """Return the first column of the first row, None when there is none."""
    row = query(sql, params).fetchone()
    return row[0] if row else None


def copy_rows(table: str, columns: Sequence[str], records: Iterable[Sequence[Any]]) -> None:
    """Insert many rows by COPY, the fastest way in."""
    cursor: psycopg.Cursor[Row] = psycopg.Cursor(raw_connection())
    statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
    with cursor.copy(statement) as copy:
        for record in records:
            copy.write_row(record)


@contextmanager
def snapshot() -> Iterator[None]:
    """Read everything inside as of one moment (REPEATABLE READ, read only).

    The moment begins when no rebuilt projection is being swapped in: a table that is swapped after it would look empty.
    Inside a transaction that is already open (a test's, a replay's) that one is used.
    """
    if wrapper().in_atomic_block:
        yield
        return
    raw = raw_connection()
    try:  # around BEGIN as well: a gate closed for longer than `lock_timeout` must not leave the connection aborted
        # LOCK takes no snapshot, so what is read begins behind the gate; two statements cannot be prepared as one
        raw.execute(f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK {GATE} IN ACCESS SHARE MODE", prepare=False)
        yield
    except BaseException:
        if not raw.closed:
            raw.execute("ROLLBACK")
        raise
    raw.execute("COMMIT")  # not ROLLBACK, at which psycopg forgets its prepared statements: 3 ms of planning a search


@contextmanager
def read_only() -> Iterator[None]:
    """Let this connection's transactions only read meanwhile; PostgreSQL refuses what would write."""
    query("SET default_transaction_read_only = on")
    try:
        yield
    finally:
        query("SET default_transaction_read_only = off")


@contextmanager
def claimed(name: str) -> Iterator[bool]:
    """Claim something by name without waiting, and say whether it is ours; a process that dies lets go of it."""
    mine = bool(scalar("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [name]))
    try:
        yield mine
    finally:
        if mine:
            scalar("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [name])
