from django.db import migrations

# the index of the popular was on another number than what is ordered by, so that all products were sorted instead
FORWARD = """
DROP INDEX ranking_visited_week;
CREATE INDEX ranking_visited_week ON ranking_visited (shop_id, (ln(week) + at / 872541.961::double precision)) WHERE week > 0;
"""


class Migration(migrations.Migration):
    dependencies = [("ranking", "0012_experiments")]

    operations = [migrations.RunSQL(FORWARD, migrations.RunSQL.noop)]
