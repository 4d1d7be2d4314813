from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """Composes the apps: settings, urls, API keys, errors, schema, health."""

    name = "config"
    verbose_name = "API access"

    def ready(self) -> None:
        """Register what registers itself on import: system checks, how the OpenAPI document shows keys and shapes."""
        from config import checks  # noqa: F401
        from config.api import schema  # noqa: F401
