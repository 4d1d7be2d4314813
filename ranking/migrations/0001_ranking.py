from pathlib import Path

from django.contrib.postgres.operations import TrigramExtension
from django.db import migrations
from pgvector.django import VectorExtension

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    initial = True
    dependencies = [("eventlog", "0001_log")]

    operations = [
        VectorExtension(),
        TrigramExtension(),
        migrations.RunSQL((SQL / "tables.sql").read_text(), migrations.RunSQL.noop),
    ]
