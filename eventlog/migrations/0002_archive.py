from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"
# it did not look whether an event's id is known; its successor takes the content's hash as well
UNHASHED = """DROP FUNCTION IF EXISTS eventlog_append_streams(
  integer, text[], integer[], text[], uuid[], text[], smallint[], text[], bytea[], uuid[], uuid[], timestamptz[])"""


class Migration(migrations.Migration):
    dependencies = [("eventlog", "0001_log")]

    operations = [
        migrations.RunSQL(UNHASHED, migrations.RunSQL.noop),
        *(
            migrations.RunSQL((SQL / f"{name}.sql").read_text(), migrations.RunSQL.noop)
            for name in ("append", "archive")
        ),
    ]
