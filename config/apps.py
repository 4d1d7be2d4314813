from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """Composes the apps: settings, urls, API keys, errors, schema, health."""

    name = "config"
    verbose_name = "API access"
