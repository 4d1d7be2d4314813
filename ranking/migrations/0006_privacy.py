from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ranking', '0005_examination'),
    ]

    operations = [
        migrations.CreateModel(
            name='Privacy',
            fields=[
                ('shop_id', models.IntegerField(primary_key=True, serialize=False)),
                ('epsilon', models.FloatField(null=True)),
                ('delta', models.FloatField()),
                ('budget', models.FloatField()),
                ('position', models.BigIntegerField()),
            ],
            options={
                'db_table': 'ranking_privacy',
            },
        ),
    ]
