"""A backup brings everything back, and a broken file changes nothing."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.db import connection

from eventlog.database import query, scalar
from eventlog.verify import verify
from ranking.artefacts import ArtefactDamaged, towers_load, towers_store
from tests.cast import PRODUCTS, Clock, SmallShop
from tests.log_cast import database_url
from workers.backups import BackupFailed, backup_make, backup_restore


@pytest.fixture
def saved(real_db: None, tmp_path: Path) -> Path:
    SmallShop(Clock()).offer(*PRODUCTS)
    backup_make(tmp_path / "shop.dump")
    return tmp_path / "shop.dump"


def test_what_came_after_the_backup_is_gone_and_the_log_is_whole(saved: Path) -> None:
    before = scalar("SELECT last FROM eventlog_sequencer")
    SmallShop(Clock()).retire("mug")
    connection.close()

    call_command("restore", str(saved), "--yes")

    assert scalar("SELECT last FROM eventlog_sequencer") == before
    assert not [finding for finding in verify() if finding.broken]
    assert scalar("SELECT count(*) FROM catalog_product WHERE retired_at IS NULL") == len(PRODUCTS)


def test_towers_of_major_versions_come_along_and_are_put_back(real_db: None, settings: Any, tmp_path: Path) -> None:
    settings.ARTEFACT_URL = str(tmp_path / "artefacts")
    digest = towers_store(b"two towers")
    backup_make(tmp_path / "shop.dump")
    (tmp_path / "artefacts" / f"{digest}.safetensors").unlink()
    connection.close()

    backup_restore(tmp_path / "shop.dump")

    assert towers_load(digest) == b"two towers"
    copy = tmp_path / "shop.dump.towers" / f"{digest}.safetensors"
    (tmp_path / "artefacts" / f"{digest}.safetensors").unlink()
    copy.write_bytes(b"one tower")
    with pytest.raises(ArtefactDamaged, match="other bytes"):
        backup_restore(tmp_path / "shop.dump")


def test_a_broken_file_changes_nothing(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:2000])

    with pytest.raises(BackupFailed, match="pg_restore"):
        backup_restore(saved)

    assert scalar("SELECT count(*) FROM catalog_product") == len(PRODUCTS)


def test_only_its_owner_may_read_a_backup(saved: Path) -> None:
    assert saved.stat().st_mode & 0o777 == 0o600


def test_a_backup_made_during_a_rebuild_can_be_restored(real_db: None, tmp_path: Path) -> None:
    query("CREATE SCHEMA rebuild_postings")
    try:
        query("CREATE TABLE rebuild_postings.ranking_posting (LIKE public.ranking_posting INCLUDING ALL)")
        backup_make(tmp_path / "shop.dump")
        connection.close()
        backup_restore(tmp_path / "shop.dump")
    finally:
        query("DROP SCHEMA rebuild_postings CASCADE")
    assert not [finding for finding in verify() if finding.broken]


def test_a_backup_to_where_nobody_can_write_says_so(real_db: None, tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="cannot be written"):
        backup_make(tmp_path / "missing" / "shop.dump")


def test_a_restore_with_nobody_to_ask_says_what_to_do(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(CommandError, match="add --yes"):
        call_command("restore", str(saved))
    assert scalar("SELECT count(*) FROM catalog_product") == len(PRODUCTS)


def test_parameters_of_the_url_reach_postgresqls_programs(
    real_db: None, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DATABASE_PARAMETERS = {"sslmode": "disable", "passfile": "/a b", "application_name": "a backup"}
    backup_make(tmp_path / "shop.dump")
    settings.DATABASE_PARAMETERS = {"sslmode": "require"}
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(BackupFailed, match="knows no TLS"):
        backup_make(tmp_path / "shop.dump")
    monkeypatch.setattr("shutil.which", lambda name: str(_program_that_says(tmp_path, "$@ of another machine")))
    with pytest.raises(BackupFailed, match=r"sslmode=require.* of another machine"):
        backup_make(tmp_path / "shop.dump")


def _program_that_says(folder: Path, text: str) -> Path:
    program = folder / "pg_dump"
    program.write_text(f'#!/bin/sh\necho "{text}" >&2\nexit 1\n')
    program.chmod(0o755)
    return program


def test_django_connects_with_the_parameters_of_the_url(real_db: None) -> None:
    url = f"{database_url()}?application_name=a%20shop&options=-c%20work_mem%3D7MB"
    asked = "SELECT current_setting('application_name'), current_setting('work_mem'), current_setting('lock_timeout')"
    code = f"import django; django.setup(); from eventlog.database import rows; print(rows({asked!r}))"
    environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "config.settings"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=django_settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[('a shop', '7MB', '10s')]"
