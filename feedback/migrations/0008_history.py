from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("feedback", "0003_erasure")]

    operations = [
        migrations.RemoveIndex(model_name="interaction", name="feedback_interaction_subject"),
        migrations.AddIndex(
            model_name="interaction",
            index=models.Index(
                condition=models.Q(("subject_id__isnull", False)),
                fields=["subject_id", "position"],
                name="feedback_interaction_history",
            ),
        ),
    ]
