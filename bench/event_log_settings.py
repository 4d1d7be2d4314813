"""The project's settings with one consumer, which counts: the log is measured, not what hangs on it."""

from config.settings import *  # noqa: F403

EVENTLOG_PROJECTIONS = ["bench.event_log_ledger.ledger"]
