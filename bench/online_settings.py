"""The project's settings for a shop that lives in simulated time in this one process, which does what the workers do."""

from config.settings import *  # noqa: F403

EVENTLOG_WAKE_UP = ""
# a version serves from the next search on, and no thread looks for newer ones when the servers are gone
FRESHET_MODEL_REFRESH_SECONDS = 0
