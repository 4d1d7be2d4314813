"""Archiving: old partitions move to files, nobody who is at work notices, and whoever walks through the log reads them."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.db import transaction

from eventlog import archives, archiving
from eventlog.archives import LOCK, ArchiveDamaged, archives_read, everything_attached
from eventlog.archiving import ArchiveUnwritable, ArchivingRuns, log_archive
from eventlog.consume import drain, retry_parked, sequence_and_drain
from eventlog.database import query, rows, scalar
from eventlog.projection import projections
from eventlog.rebuild import rebuild
from eventlog.receipts import row_visible
from eventlog.selectors import lags, parked, read, read_stream, read_types
from eventlog.services import append
from eventlog.verify import verify
from tests.log_cast import SHOP_ID, Counted, Ledger, counted, database_url, ledger_rows, start_worker, together

EACH = 100  # rows a partition
PARTITIONS = 12


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.FRESHET_ARCHIVE = tmp_path / "archive"
    return tmp_path / "archive"


@pytest.fixture
def small_partitions(real_db: None, folder: Path) -> Iterator[None]:
    """Partitions of a hundred rows, as many as a test needs; the usual ones afterwards."""
    _partition_anew(EACH, PARTITIONS)
    yield
    query("TRUNCATE eventlog_archive")
    _partition_anew(5_000_000, 3)


def _partition_anew(rows_each: int, count: int) -> None:
    for (name,) in rows("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = ANY(%s::regclass[])",
                        [["eventlog_event", "eventlog_position"]]):  # fmt: skip
        query(f"DROP TABLE {name}")
    for parent in ("eventlog_event", "eventlog_position"):
        for number in range(count):
            query("SELECT eventlog_add_partition(%s, %s, %s)", [parent, number, rows_each])


@pytest.fixture
def old_log(small_partitions: None, only_ledger: Ledger) -> Ledger:
    """450 events in log order of their values: facts, and at every tenth place a change of the stream tests/mug."""
    write(450)
    return only_ledger


def write(count: int, *, start: int = 0) -> None:
    for first in range(start, start + count, 10):
        append(shop_id=SHOP_ID, events=[counted(first, stream="tests/mug")])
        append(shop_id=SHOP_ID, events=[counted(first + n) for n in range(1, 10)])
    sequence_and_drain()


def held() -> list[str]:
    """Temporary tables of this session."""
    return [
        name
        for (name,) in rows("SELECT relname::text FROM pg_class WHERE relname LIKE 'archived\\_%%' AND relkind = 'r'")
    ]


def broken() -> set[str]:
    with everything_attached() as sources:
        return {finding.promise for finding in verify(sources) if finding.broken}


def test_old_partitions_move_to_files_and_what_is_read_by_stream_stays(old_log: Ledger, folder: Path) -> None:
    mug = [(event.position, event.data) for event in read_stream(shop_id=SHOP_ID, stream="tests/mug")]
    moved = log_archive(keep_partitions=2)
    assert [(each.relation, each.from_row, each.to_row, each.rows) for each in moved] == [
        ("eventlog_event", 0, 100, 89),  # ids begin with 1
        ("eventlog_event", 100, 200, 90),
        ("eventlog_event", 200, 300, 90),
        ("eventlog_position", 0, 100, 89),
        ("eventlog_position", 100, 200, 90),
        ("eventlog_position", 200, 300, 90),
    ]
    assert sorted(path.name for path in folder.iterdir()) == sorted(each.file for each in moved)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert scalar("SELECT count(*) FROM eventlog_event") == 450 - 269
    assert [(event.position, event.data) for event in read_stream(shop_id=SHOP_ID, stream="tests/mug")] == mug


def test_a_second_call_finds_nothing_to_do(old_log: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("archive_log", "--keep-partitions", "2")
    assert "eventlog_event_p0: 89 rows in" in capsys.readouterr().out
    call_command("archive_log", "--keep-partitions", "2")
    assert capsys.readouterr().out == "nothing to archive\n"
    call_command("archive_log", "--keep-partitions", "1")
    assert len(archives_read()) == 8


def test_append_sequence_and_drain_go_on_and_need_no_file(old_log: Ledger, folder: Path) -> None:
    log_archive(keep_partitions=1)
    for path in folder.iterdir():
        path.unlink()
    write(120, start=450)
    assert sorted(row[4] for row in ledger_rows()) == list(range(570))
    assert scalar("SELECT eventlog_partitions_ahead(%s)", [EACH]) >= 0
    assert [lag.events for lag in lags()] == [0]
    assert held() == []


def test_the_whole_log_is_read_as_before(old_log: Ledger) -> None:
    before = read(after=0, to=450)
    log_archive(keep_partitions=1)
    assert read(after=0, to=450) == before
    assert [event.position for event in read(after=95, to=105, types={Counted.type})] == list(range(96, 106))
    assert len(list(read_types(types={Counted.type}, to=450, batch=30))) == 450
    assert len(held()) <= archives.ATTACHED


def test_a_rebuild_equals_live_and_gives_the_disk_back(old_log: Ledger) -> None:
    live = ledger_rows()
    log_archive(keep_partitions=1)
    rebuild("tests_ledger")
    assert ledger_rows() == live
    assert held() == []


def test_a_projection_that_is_new_reads_the_files(old_log: Ledger) -> None:
    live = ledger_rows()
    log_archive(keep_partitions=1)
    query("TRUNCATE tests_ledger")
    query("DELETE FROM eventlog_checkpoint")
    query("DELETE FROM eventlog_drain")
    sequence_and_drain()
    assert ledger_rows() == live
    assert held() == []


def test_a_parked_event_can_be_retried_from_a_file(small_partitions: None, only_ledger: Ledger) -> None:
    only_ledger.poison.add(7)
    write(250)
    for _ in range(4):
        sequence_and_drain()
    log_archive(keep_partitions=1)
    only_ledger.poison.clear()
    retry_parked(consumer="tests_ledger", position=parked()[0][1])
    sequence_and_drain()
    live = ledger_rows()
    assert sorted(row[4] for row in live) == list(range(250))
    rebuild("tests_ledger")
    assert ledger_rows() == live


def test_verify_log_reads_the_files(old_log: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    log_archive(keep_partitions=1)
    call_command("verify_log")
    assert "450 events sequenced, 0 waiting" in capsys.readouterr().out
    assert held() == []
    query("DELETE FROM eventlog_event WHERE version = 3")
    assert "every position names an event" in broken()


def test_a_write_of_long_ago_is_visible(old_log: Ledger) -> None:
    found = rows("SELECT event_id, position FROM eventlog_position WHERE position IN (1, 42, 99, 350, 450)")
    assert [row_visible(row_id)["position"] for row_id, _ in found] == [position for _, position in found]
    log_archive(keep_partitions=1)
    assert all(row_visible(row_id)["visible"] for row_id, _ in found)
    append(shop_id=SHOP_ID, events=[counted(450)])
    assert row_visible(int(scalar("SELECT max(id) FROM eventlog_event")))["visible"] is False


def damage(path: Path, how: str) -> str:
    """Spoil a file; what the error must say."""
    if how == "altered":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        return "has the hash"
    if how == "cut short":
        path.write_bytes(path.read_bytes()[:-20])
        return "has the hash"
    path.unlink()
    return "is not there"


@pytest.mark.parametrize("how", ["altered", "cut short", "missing"])
def test_a_spoilt_file_is_refused_by_name(old_log: Ledger, folder: Path, how: str) -> None:
    log_archive(keep_partitions=1)
    path = folder / archives_read()[1].file
    good = path.read_bytes()
    says = damage(path, how)
    live = ledger_rows()
    with pytest.raises(ArchiveDamaged, match=f"{path}.* {says}"):
        rebuild("tests_ledger")
    with pytest.raises(CommandError, match=f"{path}.* {says}"):
        call_command("verify_log")
    assert ledger_rows() == live
    path.write_bytes(good)
    rebuild("tests_ledger")
    assert ledger_rows() == live


def test_a_file_of_the_right_hash_and_other_rows_is_refused_too(old_log: Ledger, folder: Path) -> None:
    log_archive(keep_partitions=1)
    archive = archives_read()[0]
    lines = gzip.decompress(archive.path.read_bytes()).splitlines(keepends=True)
    archive.path.write_bytes(gzip.compress(b"".join(lines[:-1])))
    with archive.path.open("rb") as file:
        query("UPDATE eventlog_archive SET hash = %s WHERE file = %s", [archives.file_hash(file), archive.file])
    for _ in range(2):  # half a table must not pass for a whole one the second time
        with pytest.raises(ArchiveDamaged, match="holds 88 rows; 89 were archived"):
            read(after=0, to=10)


_KILLED = """
import django, os, signal, sys
from datetime import datetime
from pathlib import Path
from django.conf import settings
settings.INSTALLED_APPS = ["django.contrib.contenttypes", "eventlog"]
django.setup()
settings.EVENTLOG_PROJECTIONS, settings.FRESHET_ARCHIVE = ["tests.log_cast.ledger"], Path(sys.argv[1])
from eventlog import archiving
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
setattr(archiving, sys.argv[2], die)
archiving.log_archive(keep_partitions=1)
"""


@pytest.mark.parametrize("moment", ["_sync", "_keep_streams", "_swap"])
def test_killed_before_the_partition_is_dropped_it_loses_nothing_and_is_done_again(
    old_log: Ledger, folder: Path, moment: str
) -> None:
    before = read(after=0, to=450)
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(folder), moment],
        cwd=django_settings.BASE_DIR,
        env={**os.environ, "DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "config.settings"},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert len(list(folder.iterdir())) == 1  # written and synced, and no row knows of it
    assert archives_read() == []
    assert scalar("SELECT count(*) FROM eventlog_event") == 450
    assert _when_the_lock_is_free(lambda: len(log_archive(keep_partitions=1))) == 8
    assert len(list(folder.iterdir())) == 8
    assert read(after=0, to=450) == before


def _when_the_lock_is_free(archive: Any) -> Any:
    """The killed session's server process notices its death a moment later."""
    for _ in range(200):
        try:
            return archive()
        except ArchivingRuns:
            threading.Event().wait(0.05)
    raise AssertionError("the lock was not freed")


def test_what_cannot_be_written_changes_nothing(old_log: Ledger, folder: Path) -> None:
    folder.write_text("a file in the place of the folder")
    with pytest.raises(ArchiveUnwritable, match=str(folder)):
        log_archive(keep_partitions=1)
    assert archives_read() == []
    assert scalar("SELECT count(*) FROM eventlog_event") == 450


def test_what_a_projection_has_yet_to_read_waits(small_partitions: None, only_ledger: Ledger) -> None:
    write(150)
    append(shop_id=SHOP_ID, events=[counted(n) for n in range(200)])
    said: list[str] = []
    assert [each.to_row for each in log_archive(keep_partitions=1, report=said.append)] == [100, 100]
    assert "eventlog_event_p1: some of its events wait for their positions" in said
    while scalar("SELECT eventlog_sequence()") > 0:
        pass
    said.clear()
    assert log_archive(keep_partitions=1, report=said.append) == []
    assert "eventlog_event_p1: tests_ledger stands at position 150 and has yet to read it" in said
    sequence_and_drain()
    assert [each.to_row for each in log_archive(keep_partitions=1)] == [200, 300, 200, 300]


def test_it_gives_way_to_a_transaction_that_stays_open(old_log: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving, "SWAPS", 2)
    appended, over = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            append(shop_id=SHOP_ID, events=[counted(450)])
            appended.set()
            over.wait(30)

    def archive() -> tuple[list[Any], list[str], int | None]:
        appended.wait(30)
        said: list[str] = []
        try:
            return (
                log_archive(keep_partitions=1, report=said.append),
                said,
                append(shop_id=SHOP_ID, events=[counted(451)])[0].id,
            )
        finally:
            over.set()

    _, (moved, said, sent) = together(hold, archive)
    assert (moved, sent) == ([], 452)
    assert said == ["eventlog_event_p0: somebody's transaction has been open for too long; later"]
    sequence_and_drain()
    assert len(log_archive(keep_partitions=1)) == 8
    assert broken() == set()


def test_only_partitions_of_before_the_date_go(old_log: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    query("UPDATE eventlog_event SET recorded_at = '2020-01-01' WHERE id < 200")
    query("UPDATE eventlog_position SET sequenced_at = '2020-01-01' WHERE position < 100")
    call_command("archive_log", "--before", "2021-06-30")
    assert [(each.relation, each.to_row) for each in archives_read()] == [
        ("eventlog_event", 100), ("eventlog_event", 200), ("eventlog_position", 100),
    ]  # fmt: skip
    assert "eventlog_event_p2: it holds rows of 2021-06-30 or later" in capsys.readouterr().out
    with pytest.raises(CommandError, match="not a date"):
        call_command("archive_log", "--before", "last year")
    with pytest.raises(CommandError, match="1 or more"):
        call_command("archive_log", "--keep-partitions", "0")


def test_two_at_once_do_not_get_into_each_others_way(old_log: Ledger) -> None:
    with psycopg.connect(database_url()) as other:
        other.execute(LOCK.format("advisory_lock"))
        with pytest.raises(ArchivingRuns):
            log_archive(keep_partitions=1)
    assert archives_read() == []


def test_writers_and_a_worker_at_work_notice_nothing(old_log: Ledger) -> None:
    over: list[bool] = []

    def send() -> int:
        sent = 0
        while not over:
            append(shop_id=SHOP_ID, events=[counted(1000 + sent, stream=f"tests/{sent % 7}"), counted(2000 + sent)])
            sent += 2
        return sent

    def archive() -> int:
        try:
            moved = 0
            while moved < 8:
                moved += len(log_archive(keep_partitions=1))
        finally:
            over.append(True)
        return moved

    query("SELECT eventlog_make_partitions(100, 1)")
    for number in range(PARTITIONS, 400):
        query("SELECT eventlog_add_partition('eventlog_event', %s, %s)", [number, EACH])
        query("SELECT eventlog_add_partition('eventlog_position', %s, %s)", [number, EACH])
    with start_worker() as worker:
        sent, moved = together(send, archive)
        worker.kill()
    assert moved >= 8
    for _ in range(200):
        sequence_and_drain()
        if len(ledger_rows()) == 450 + sent:
            break
        threading.Event().wait(0.05)
    assert len(ledger_rows()) == 450 + sent
    assert broken() == set()


def test_a_drain_without_the_file_stops_only_the_projection_that_needs_it(old_log: Ledger, folder: Path) -> None:
    log_archive(keep_partitions=1)
    query("DELETE FROM eventlog_checkpoint")
    query("DELETE FROM eventlog_drain")
    (folder / archives_read()[0].file).unlink()
    with pytest.raises(ArchiveDamaged, match="is not there"):
        drain(projections()["tests_ledger"])
    assert scalar("SELECT count(*) FROM eventlog_failure") == 0
