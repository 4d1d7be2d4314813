"""import_judgments: CSV and JSONL, bad rows told, nothing twice, on from where it broke off."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.core.management import CommandError, call_command

from eventlog.database import scalar
from eventlog.selectors import last_position
from ranking.judgements import judgements_at, judgements_record
from tests.cast import SHOP_ID, SmallShop, drain

LIST = '''query,docid,rating
tea cup,mug,3
tea cup,beaker,1.0
"cup, ""large""",mug,0
tea cup,kettle
tea cup,novel,high
tea cup,novel,nan
tea cup,teapot,5
'''


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.FRESHET_HOME = tmp_path / "home"
    return tmp_path


def run(file: Path, **options: Any) -> str:
    said = StringIO()
    call_command("import_judgments", str(file), stdout=said, stderr=said, **options)
    drain()
    return said.getvalue()


def written(folder: Path, text: str, name: str = "judgments.csv") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def listed() -> dict[str, dict[str, float]]:
    return {each.text: dict(each.ratings) for each in judgements_at(shop_id=SHOP_ID, position=last_position())}


def report_of(folder: Path) -> list[dict[str, Any]]:
    [report] = (folder / "home" / "imports").iterdir()
    return [orjson.loads(line) for line in report.read_bytes().splitlines()]


def test_a_table_becomes_the_judgement_list(empty_shop: SmallShop, folder: Path) -> None:
    said = run(written(folder, LIST))

    assert "3 accepted, 0 known before, 4 rejected" in said
    assert listed() == {"tea cup": {"mug": 3.0, "beaker": 1.0}, 'cup, "large"': {"mug": 0.0}}
    assert [(each["line"], each["code"]) for each in report_of(folder)] == [
        (5, "bad_csv"),
        (6, "wrong_type"),
        (7, "not_finite"),
        (8, "too_large"),
    ]


@pytest.mark.parametrize("name", ["product_id", "docid", "doc_id", "SKU"])
def test_the_column_of_products_has_several_names(empty_shop: SmallShop, folder: Path, name: str) -> None:
    run(written(folder, f"rating;{name};query\n2; mug ;tea\n"))

    assert listed() == {"tea": {"mug": 2.0}}


def test_json_lines_are_read_as_the_api_reads_them(empty_shop: SmallShop, folder: Path) -> None:
    good = {"query": "茶", "product_id": "mug", "rating": 2}
    lines = [orjson.dumps(good), orjson.dumps(good | {"rating": "2"}), b"{", orjson.dumps(good | {"docid": "x"})]
    file = folder / "judgments.jsonl"
    file.write_bytes(b"\n".join(lines))

    assert "1 accepted, 0 known before, 3 rejected" in run(file)

    assert [each["code"] for each in report_of(folder)] == ["wrong_type", "bad_json", "unknown_field"]


def test_a_file_that_was_imported_changes_nothing(empty_shop: SmallShop, folder: Path) -> None:
    file = written(folder, LIST)
    run(file)

    assert "nothing to do" in run(file)
    assert "0 accepted, 3 known before" in run(file, again=True)
    assert scalar("SELECT count(*) FROM eventlog_event") == 3


def test_an_import_that_broke_off_goes_on_where_it_was(
    empty_shop: SmallShop, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(folder, LIST)
    seen: list[int] = []

    def fails_at_the_second_batch(*, items: list[Any], **given: Any) -> Any:
        seen.append(len(items))
        if len(seen) == 2:
            raise OSError("the power is off")
        return judgements_record(items=items, **given)

    monkeypatch.setattr("ranking.management.commands.import_judgments.judgements_record", fails_at_the_second_batch)
    with pytest.raises(OSError, match="power"):
        run(file, batch=2)
    assert scalar("SELECT count(*) FROM eventlog_event") == 2

    assert "3 accepted, 0 known before, 4 rejected" in run(file, batch=2)

    assert seen == [2, 1, 1, 2, 1]  # the first batch was not read again


@pytest.mark.parametrize(
    ("content", "says"),
    [("query,rating\nq,1\n", "has the columns"), ("", "empty"), ("query,docid,rating\nq,d,high\n", "Nothing")],
)
def test_a_file_that_cannot_be_imported_says_why(empty_shop: SmallShop, folder: Path, content: str, says: str) -> None:
    with pytest.raises(CommandError, match=says):
        run(written(folder, content))

    assert scalar("SELECT count(*) FROM eventlog_event") == 0
