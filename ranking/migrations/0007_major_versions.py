from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies = [("ranking", "0006_privacy")]

    operations = [migrations.RunSQL((SQL / "major_versions.sql").read_text(), migrations.RunSQL.noop)]
