"""A backup brings everything back, and a broken file changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from eventlog.database import query, scalar
from eventlog.verify import verify
from tests.cast import PRODUCTS, Clock, SmallShop
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
