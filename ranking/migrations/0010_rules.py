import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ranking", "0009_signals"),
    ]

    operations = [
        migrations.CreateModel(
            name="Arrangement",
            fields=[
                ("shop_id", models.IntegerField(primary_key=True, serialize=False)),
                ("position", models.BigIntegerField()),
                ("changes", models.IntegerField()),
                ("settings", models.JSONField()),
            ],
            options={
                "db_table": "ranking_arrangement",
            },
        ),
        migrations.CreateModel(
            name="Rule",
            fields=[
                ("position", models.BigIntegerField(primary_key=True, serialize=False)),
                ("shop_id", models.IntegerField()),
                ("rule_id", models.TextField()),
                ("kind", models.TextField()),
                ("rank", models.IntegerField(null=True)),
                ("factor", models.FloatField(null=True)),
                ("product_id", models.TextField(null=True)),
                ("brand", models.TextField(null=True)),
                ("category", django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), size=None)),
                ("query", models.TextField(null=True)),
                ("context_key", models.TextField(null=True)),
                ("surfaces", django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), size=None)),
                ("starts_at", models.DateTimeField(null=True)),
                ("ends_at", models.DateTimeField(null=True)),
                ("note", models.TextField()),
                ("set_at", models.DateTimeField()),
                ("closed_position", models.BigIntegerField(null=True)),
            ],
            options={
                "db_table": "ranking_rule",
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("closed_position", None)),
                        fields=("shop_id", "rule_id"),
                        name="ranking_rule_in_force",
                    )
                ],
            },
        ),
    ]
