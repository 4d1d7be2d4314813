from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"
TABLES = "ranking_banditarm, ranking_banditturn, ranking_banditclock, ranking_bandittrial, ranking_banditset"


class Migration(migrations.Migration):
    dependencies = [("ranking", "0010_rules")]

    operations = [migrations.RunSQL((SQL / "bandit.sql").read_text(), f"DROP TABLE {TABLES}")]
