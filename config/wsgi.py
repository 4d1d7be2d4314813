"""The WSGI entry that gunicorn serves."""

import os
from importlib import import_module

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()

import ranking.encoders  # noqa: E402, F401  torch, before the fork: once for all workers instead of once in each

import_module(settings.ROOT_URLCONF)  # now, with all the views import, rather than in somebody's first request
