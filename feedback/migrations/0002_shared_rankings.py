from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("feedback", "0001_read_models"),
    ]

    operations = [
        migrations.RemoveIndex(model_name="openimpression", name="feedback_open_impression_ref"),
        migrations.RemoveIndex(model_name="openinteraction", name="feedback_open_interaction_ref"),
        migrations.AddIndex(
            model_name="openimpression",
            index=models.Index(
                fields=["shop_id", "ranking_ref", "subject_id", "due_at"], name="feedback_open_impression_who"
            ),
        ),
        migrations.AddIndex(
            model_name="openimpression",
            index=models.Index(fields=["shop_id", "ranking_ref", "due_at"], name="feedback_open_impression_ref"),
        ),
        migrations.AddIndex(
            model_name="openinteraction",
            index=models.Index(
                fields=["shop_id", "ranking_ref", "subject_id", "at"], name="feedback_open_interaction_who"
            ),
        ),
        migrations.AddIndex(
            model_name="openinteraction",
            index=models.Index(fields=["shop_id", "ranking_ref", "at"], name="feedback_open_interaction_ref"),
        ),
    ]
