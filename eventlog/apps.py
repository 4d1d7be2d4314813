from django.apps import AppConfig


class EventlogConfig(AppConfig):
    """The log: append, sequence, consume, rebuild. Imports no other app."""

    name = "eventlog"
    verbose_name = "Event log"
