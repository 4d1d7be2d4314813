from pathlib import Path

from django.db import migrations, models

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):

    dependencies = [
        ('ranking', '0003_judgements'),
    ]

    operations = [
        migrations.RunSQL((SQL / "cadence.sql").read_text(), migrations.RunSQL.noop),
        migrations.CreateModel(
            name='ModelVersion',
            fields=[
                ('trained_position', models.BigIntegerField(primary_key=True, serialize=False)),
                ('shop_id', models.IntegerField()),
                ('version', models.TextField()),
                ('major', models.IntegerField()),
                ('minor', models.IntegerField()),
                ('parent', models.TextField(null=True)),
                ('encoder', models.TextField()),
                ('artefact', models.TextField()),
                ('from_position', models.BigIntegerField()),
                ('to_position', models.BigIntegerField()),
                ('seed', models.BigIntegerField()),
                ('metrics', models.JSONField()),
                ('config', models.JSONField()),
                ('state', models.TextField()),
                ('reason', models.TextField(null=True)),
                ('promoted_position', models.BigIntegerField(null=True)),
                ('trained_at', models.DateTimeField(null=True)),
                ('shadow_after', models.BigIntegerField(null=True)),
                ('shadow_click_throughs', models.IntegerField(null=True)),
            ],
            options={
                'db_table': 'ranking_modelversion',
                'managed': False,
            },
        ),
    ]
