from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies = [("ranking", "0004_cadence")]

    operations = [
        migrations.RunSQL((SQL / "examination.sql").read_text(), "DROP TABLE ranking_examination"),
    ]
