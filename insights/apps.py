from django.apps import AppConfig


class InsightsConfig(AppConfig):
    """What the log says about freshness, markets and descriptions."""

    name = "insights"
