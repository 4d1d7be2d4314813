from django.apps import AppConfig


class FeedbackConfig(AppConfig):
    """What shoppers saw and did: validated, pseudonymised, appended, joined."""

    name = "feedback"
    verbose_name = "Feedback"
