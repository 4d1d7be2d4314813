"""The project's settings on throw-away PostgreSQL and Valkey: whoever loads them gets servers of their own.

Loading is the moment: pytest-django reads the database's address before any fixture or conftest.py can run. The
servers end with this process, however it ends. URLs in the environment are used as they are.
"""

import atexit
import os

from workers.throwaway import throwaway_servers

if not {"DATABASE_URL", "CELERY_BROKER_URL", "CACHE_URL"} <= os.environ.keys():
    servers = throwaway_servers(durable=False)
    os.environ.update(servers.__enter__())
    atexit.register(servers.__exit__, None, None, None)

from config.settings import *  # noqa: F403
