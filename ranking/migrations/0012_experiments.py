from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"
TABLES = "ranking_experiment, ranking_experimentreading, ranking_experimentrequest, ranking_experiment_erased"


class Migration(migrations.Migration):
    dependencies = [("ranking", "0011_bandit")]

    operations = [migrations.RunSQL((SQL / "experiments.sql").read_text(), f"DROP TABLE {TABLES}")]
