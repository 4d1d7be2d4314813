from django.db import migrations

# sums by a fourth half-life; of visits before it they begin at what is left of them by a month, until the projection is rebuilt
FORWARD = """
ALTER TABLE ranking_visited ADD COLUMN year double precision NOT NULL DEFAULT 0;
ALTER TABLE ranking_shopvisits ADD COLUMN year double precision NOT NULL DEFAULT 0;
UPDATE ranking_visited SET year = month;
UPDATE ranking_shopvisits SET year = month;
"""


class Migration(migrations.Migration):
    dependencies = [("ranking", "0013_popularity_index")]

    operations = [migrations.RunSQL(FORWARD, migrations.RunSQL.noop)]
