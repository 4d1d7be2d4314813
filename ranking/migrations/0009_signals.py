from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies = [("ranking", "0008_visits")]

    operations = [migrations.RunSQL((SQL / "signals.sql").read_text(), migrations.RunSQL.noop)]
