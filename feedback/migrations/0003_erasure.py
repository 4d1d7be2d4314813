import django.contrib.postgres.functions
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("feedback", "0002_shared_rankings"),
    ]

    operations = [
        migrations.CreateModel(
            name="ClickThroughsErased",
            fields=[("subject_id", models.UUIDField(primary_key=True, serialize=False))],
            options={"db_table": "feedback_clickthrough_erased"},
        ),
        migrations.CreateModel(
            name="FactsErased",
            fields=[("subject_id", models.UUIDField(primary_key=True, serialize=False))],
            options={"db_table": "feedback_facts_erased"},
        ),
        migrations.AddField(
            model_name="impression",
            name="erased",
            field=models.BooleanField(db_default=False),
        ),
        migrations.AddField(
            model_name="interaction",
            name="erased",
            field=models.BooleanField(db_default=False),
        ),
        migrations.AddField(
            model_name="shopper",
            name="reference",
            field=models.UUIDField(db_default=django.contrib.postgres.functions.RandomUUID(), unique=True),
        ),
        migrations.AddIndex(
            model_name="impression",
            index=models.Index(
                condition=models.Q(("subject_id__isnull", False)),
                fields=["subject_id"],
                name="feedback_impression_subject",
            ),
        ),
        migrations.AddIndex(
            model_name="impression",
            index=models.Index(
                condition=models.Q(("erased", True)),
                fields=["shop_id", "position"],
                name="feedback_impression_erased",
            ),
        ),
        migrations.AddIndex(
            model_name="interaction",
            index=models.Index(
                condition=models.Q(("subject_id__isnull", False)),
                fields=["subject_id"],
                name="feedback_interaction_subject",
            ),
        ),
        migrations.AddIndex(
            model_name="interaction",
            index=models.Index(
                condition=models.Q(("erased", True)),
                fields=["shop_id", "position"],
                name="feedback_interaction_erased",
            ),
        ),
    ]
