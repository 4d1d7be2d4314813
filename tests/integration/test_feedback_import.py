"""import_events: JSONL and click logs, bad rows told, nothing twice, on from where it broke off."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.core.management import CommandError, call_command

from eventlog.database import rows, scalar
from feedback.services import events_record
from tests.cast import Clock, Shopper, SmallShop, drain

CLICKS = '''user,query,query_time,sku,click_time
u1,Episode,2011-08-11 03:59:04.27,9713872,2011-08-11 04:00:17.021
u2,"halo, ""reach""",2011-08-11 05:02:07.564,1973042,2011-08-11T05:02:55+02:00
,madden,2011-08-11 06:00:00,2375195,2011-08-11 06:00:01
u1,broken row,2011-08-11 06:00:00
u3,no time,2011-08-11 06:00:00,1,never
'''


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.FRESHET_HOME = tmp_path / "home"
    return tmp_path


def run(file: Path, **options: Any) -> str:
    said = StringIO()
    call_command("import_events", str(file), stdout=said, stderr=said, **options)
    return said.getvalue()


def report_of(folder: Path) -> list[dict[str, Any]]:
    [report] = (folder / "home" / "imports").iterdir()
    return [orjson.loads(line) for line in report.read_bytes().splitlines()]


def test_a_click_log_becomes_implied_click_throughs(empty_shop: SmallShop, folder: Path) -> None:
    file = folder / "clicks.csv"
    file.write_text(CLICKS)

    assert "3 accepted, 0 known before, 2 rejected" in run(file)
    drain()

    assert rows(
        """SELECT context_text, outcomes::text, to_char(shown_at AT TIME ZONE 'UTC', 'HH24:MI:SS.MS'), implied
             FROM feedback_clickthrough ORDER BY shown_at"""
    ) == [
        ('halo, "reach"', '{"1973042": ["click"]}', "03:02:55.000", True),
        ("Episode", '{"9713872": ["click"]}', "04:00:17.021", True),
        ("madden", '{"2375195": ["click"]}', "06:00:01.000", True),
    ]
    assert scalar("SELECT count(subject_id) FROM feedback_interaction") == 2
    assert [(each["line"], each["code"]) for each in report_of(folder)] == [(5, "bad_csv"), (6, "bad_time")]


def test_json_lines_are_read_as_the_api_reads_them(empty_shop: SmallShop, folder: Path) -> None:
    file = folder / "events.jsonl"
    click = {
        "event_id": "a",
        "kind": "click",
        "occurred_at": "2020-01-01T00:00:00Z",
        "product_id": "mug",
        "query": "茶",
    }
    lines = [orjson.dumps(click), b"{broken", orjson.dumps(click | {"event_id": "b", "rank": -1}), b"", b"[]"]
    file.write_bytes(b"\n".join(lines))

    assert "1 accepted, 0 known before, 3 rejected" in run(file)

    assert [(each["line"], each["code"]) for each in report_of(folder)] == [
        (2, "bad_json"),
        (3, "bad_rank"),
        (5, "not_an_object"),
    ]


def test_a_file_that_was_imported_changes_nothing(empty_shop: SmallShop, folder: Path) -> None:
    file = folder / "clicks.csv"
    file.write_text(CLICKS)
    run(file)

    assert "nothing to do" in run(file)
    assert "0 accepted, 3 known before" in run(file, again=True)
    assert scalar("SELECT count(*) FROM eventlog_event") == 3


def test_an_import_that_broke_off_goes_on_where_it_was(
    empty_shop: SmallShop, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder / "clicks.csv"
    file.write_text(CLICKS)
    seen: list[int] = []

    def fails_at_the_second_batch(*, items: list[Any], **given: Any) -> Any:
        seen.append(len(items))
        if len(seen) == 2:
            raise OSError("the power is off")
        return events_record(items=items, **given)

    monkeypatch.setattr("feedback.management.commands.import_events.events_record", fails_at_the_second_batch)
    with pytest.raises(OSError, match="power"):
        run(file, batch=2)
    assert scalar("SELECT count(*) FROM eventlog_event") == 2

    assert "3 accepted, 0 known before, 2 rejected" in run(file, batch=2)

    assert seen == [2, 1, 1, 1]  # the first batch was not read again
    assert scalar("SELECT count(*) FROM eventlog_event") == 3


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("user,query\nu,q\n", "is missing"),
        ("", "empty"),
        ("user,query,query_time,sku,click_time\nu,q,t,1,never\n", "Nothing"),
    ],
)
def test_a_file_that_cannot_be_imported_says_why(empty_shop: SmallShop, folder: Path, content: str, says: str) -> None:
    file = folder / "clicks.csv"
    file.write_text(content)

    with pytest.raises(CommandError, match=says):
        run(file)

    assert scalar("SELECT count(*) FROM eventlog_event") == 0


def test_another_shop_must_exist(empty_shop: SmallShop, folder: Path) -> None:
    with pytest.raises(CommandError, match="no shop 99"):
        run(folder / "clicks.csv", shop=99)


def test_events_that_were_taken_for_products_by_mistake_can_still_be_imported(
    empty_shop: SmallShop, folder: Path
) -> None:
    file = folder / "events.jsonl"
    file.write_bytes(orjson.dumps(Shopper("alice", Clock()).clicks("mug")))
    with pytest.raises(CommandError, match="Nothing was accepted"):
        call_command("import_products", str(file), stdout=StringIO(), stderr=StringIO())

    assert "1 accepted" in run(file)
