"""Reading what of the log lies in files: archives are loaded into temporary tables of the session that needs them.

Nobody else sees them, and they go with the session, however it ends. `archiving.py` writes the files.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from gzip import GzipFile
from hashlib import blake2b
from pathlib import Path
from typing import IO
from zlib import error as BadDeflate

import psycopg
import structlog
from django.conf import settings
from django.db import transaction

from eventlog.database import raw_connection, rows, scalar
from eventlog.errors import FreshetError

log = structlog.get_logger(__name__)
EVENTS, POSITIONS = "eventlog_event", "eventlog_position"
LOCK = "SELECT pg_{}(hashtextextended('eventlog_archive', 0))"  # archiving holds it; whoever needs all of the log shares it
ATTACHED = (
    4  # a walk through the log needs one of each table at a time; at an edge, where events lie out of order, more
)
_BLOCK = 1 << 20
_held = threading.local()  # a thread has a connection of its own


class ArchiveDamaged(FreshetError):
    """A file of the archive is not there, or is not what was written: put it back from a copy."""

    code = "archive_damaged"
    status = 500


@dataclass(frozen=True, slots=True)
class Archive:
    """A partition of the log in a file."""

    relation: str
    from_row: int
    to_row: int
    rows: int
    columns: tuple[str, ...]
    file: str
    hash: str

    @property
    def path(self) -> Path:
        return Path(settings.FRESHET_ARCHIVE, self.file)

    @property
    def table(self) -> str:
        """The temporary table it is loaded into: named by what it holds, so that another log's is never mistaken for it."""
        return f"archived_{self.hash}"


@dataclass(frozen=True, slots=True)
class Sources:
    """What to read the log from: the live tables, with archives beside them where they are needed."""

    archives: tuple[Archive, ...] = ()

    def table(self, relation: str) -> str:
        """A table, or a subquery, of a relation's rows for a FROM clause."""
        attached = [f"SELECT * FROM pg_temp.{each.table}" for each in self.archives if each.relation == relation]
        return f"({' UNION ALL '.join([f'SELECT * FROM {relation}', *attached])})" if attached else relation

    def sql(self, statement: str) -> str:
        """A statement about the live tables, about these."""
        return statement.replace(EVENTS, self.table(EVENTS)).replace(POSITIONS, self.table(POSITIONS))


LIVE = Sources()
_SELECT = "SELECT a.relation, a.from_row, a.to_row, a.rows, a.columns, a.file, a.hash FROM eventlog_archive a"
_POSITIONS_OF = f"{_SELECT} WHERE a.relation = '{POSITIONS}' AND a.to_row > %s AND a.from_row <= %s ORDER BY a.from_row"
_EVENTS_OF = f"""{_SELECT} WHERE a.relation = '{EVENTS}' AND EXISTS (
  SELECT 1 FROM {{positions}} p
   WHERE p.position > %s AND p.position <= %s AND p.event_id >= a.from_row AND p.event_id < a.to_row) ORDER BY a.from_row"""


def archives_read() -> list[Archive]:
    """Every archive of the log, in the order of its rows."""
    return _archives(f"{_SELECT} ORDER BY a.relation, a.from_row")


def attach(*, after: int, to: int) -> Sources:
    """Load the archives that hold something of after < position <= to; LIVE when there is nothing of it in files.

    Raises ArchiveDamaged.
    """
    positions = _archives(_POSITIONS_OF, after + 1, to)
    with_positions = _attach(positions)
    events = _archives(_EVENTS_OF.format(positions=with_positions.table(POSITIONS)), after, to)
    needed = _attach(positions + events)
    _detach_beyond(needed)
    return needed


@contextmanager
def everything_attached() -> Iterator[Sources]:
    """The whole log, for as long as the block runs; nothing is archived meanwhile. It takes the disk it takes.

    Raises ArchiveDamaged.
    """
    scalar(LOCK.format("advisory_lock_shared"))
    try:
        everything = _attach(archives_read())
        yield everything
        _detach(everything.archives)
    finally:
        scalar(LOCK.format("advisory_unlock_shared"))


def release() -> None:
    """Give back the disk that this session's archives take; nothing when it attached none."""
    if getattr(_held, "archives", False):
        _detach(tuple(archive for archive in archives_read() if _is_attached(archive)))
        _held.archives = False


def file_hash(file: IO[bytes]) -> str:
    """The hash that a manifest row names a file by."""
    digest = blake2b(digest_size=16)
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def _archives(sql: str, *parameters: int) -> list[Archive]:
    return [
        Archive(relation, from_row, to_row, count, tuple(columns), file, hash_)
        for relation, from_row, to_row, count, columns, file, hash_ in rows(sql, parameters)
    ]


def _attach(archives: list[Archive]) -> Sources:
    for archive in archives:
        if not _is_attached(archive):
            _held.archives = True
            with transaction.atomic():  # all of a file or nothing: the table alone says that it was loaded
                _load(archive)
    return Sources(tuple(archives))


def _is_attached(archive: Archive) -> bool:
    """A transaction that was rolled back took its tables along, so that only the session itself knows."""
    return bool(scalar("SELECT to_regclass('pg_temp.' || %s) IS NOT NULL", [archive.table]))


def _load(archive: Archive) -> None:
    """Check a file against its manifest row, then load it; the table is analysed, which nobody does by itself."""
    key = "id" if archive.relation == EVENTS else "position"
    try:
        with archive.path.open("rb") as file:
            if (found := file_hash(file)) != archive.hash:
                raise ArchiveDamaged(f"{archive.path} has the hash {found}; what was archived has {archive.hash}.")
            file.seek(0)
            log.info("archive_attached", file=archive.file, rows=archive.rows)
            loaded = _copy_in(archive, file)
    except FileNotFoundError:
        raise ArchiveDamaged(
            f"{archive.path} is not there: rows {archive.from_row} to {archive.to_row - 1} of {archive.relation} lie in it."
        ) from None
    except (OSError, EOFError, BadDeflate, psycopg.DataError) as error:
        raise ArchiveDamaged(f"{archive.path} cannot be read: {error}") from error
    if loaded != archive.rows:
        raise ArchiveDamaged(f"{archive.path} holds {loaded} rows; {archive.rows} were archived.")
    _run(f"ALTER TABLE pg_temp.{archive.table} ADD PRIMARY KEY ({key}); ANALYZE pg_temp.{archive.table}")


def _copy_in(archive: Archive, file: IO[bytes]) -> int:
    _run(f"CREATE TEMPORARY TABLE {archive.table} (LIKE {archive.relation})")
    cursor = psycopg.Cursor(raw_connection())
    statement = f"COPY pg_temp.{archive.table} ({', '.join(archive.columns)}) FROM STDIN"
    with GzipFile(fileobj=file) as unpacked, cursor.copy(statement) as copy:
        while block := unpacked.read(_BLOCK):
            copy.write(block)
    return cursor.rowcount


def _detach_beyond(needed: Sources) -> None:
    """Let go of the lowest ones that are not needed now: whoever walks through the log walks upwards."""
    used = {archive.table for archive in needed.archives}
    held = [archive for archive in archives_read() if _is_attached(archive)]
    spare = sorted((archive for archive in held if archive.table not in used), key=lambda archive: archive.from_row)
    _detach(tuple(spare[: max(len(held) - ATTACHED, 0)]))


def _detach(archives: tuple[Archive, ...]) -> None:
    for archive in archives:
        _run(f"DROP TABLE pg_temp.{archive.table}")


def _run(statement: str) -> None:
    psycopg.Cursor(raw_connection()).execute(statement)
