"""The project's settings for walking a log: the bench sequences and drains by itself, and only what a search reads."""

from config.settings import *  # noqa: F403
from config.settings import EVENTLOG_PROJECTIONS as _ALL

EVENTLOG_WAKE_UP = ""
EVENTLOG_PROJECTIONS = [each for each in _ALL if not each.startswith("feedback.")]
# no thread looks for newer versions: its connection would keep the database from being copied, and with --learn a version
# serves from the next search on
FRESHET_MODEL_REFRESH_SECONDS = 0
