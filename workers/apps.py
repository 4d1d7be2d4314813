from django.apps import AppConfig


class WorkersConfig(AppConfig):
    """Celery: wake-up, tasks, schedule; the embedded servers and `manage.py up`."""

    name = "workers"
