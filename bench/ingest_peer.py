"""The peer of bench/ingest.py: a bare Django view that stores a batch by one INSERT, and nothing more.

No checks, no pseudonyms, no order, no projections: what it costs to take JSON over HTTP and to keep it safely. It is
served by the same gunicorn, with as many processes and threads, into the same PostgreSQL.
"""

from __future__ import annotations

import os
from urllib.parse import unquote, urlsplit

import django
import orjson
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

_database = urlsplit(os.environ["DATABASE_URL"])
settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="peer",
    MIDDLEWARE=[],
    DATA_UPLOAD_MAX_MEMORY_SIZE=None,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": _database.path.lstrip("/"),
            "USER": unquote(_database.username or ""),
            "PASSWORD": unquote(_database.password or ""),
            "HOST": _database.hostname,
            "PORT": _database.port,
            "CONN_MAX_AGE": None,
        }
    },
)
django.setup()

_INSERT = """
INSERT INTO bench_peer_event (event_id, kind, occurred_at, data)
SELECT * FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[], %s::jsonb[]) ON CONFLICT DO NOTHING"""


def events(request: HttpRequest) -> HttpResponse:
    """Take {"events": [...]} and answer how many were new."""
    if request.method == "GET":
        return HttpResponse()
    given = orjson.loads(request.body)["events"]
    columns = [[event[name] for event in given] for name in ("event_id", "kind", "occurred_at")]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [*columns, [orjson.dumps(event).decode() for event in given]])
        new = cursor.rowcount
    content = orjson.dumps({"accepted": new, "duplicates": len(given) - new, "rejected": []})
    return HttpResponse(content, content_type="application/json")


urlpatterns = [path("v1/events", events)]
application = get_wsgi_application()
