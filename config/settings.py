"""Settings of Freshet: this file and the environment, nothing else.

Variables: DATABASE_URL, CELERY_BROKER_URL, CACHE_URL, ARTEFACT_URL, FRESHET_ENCODER, FRESHET_HOME, PORT,
FRESHET_DEBUG, FRESHET_SECRET_KEY, FRESHET_ALLOWED_HOSTS, FRESHET_PROXIES, FRESHET_TRAIN_EVERY,
FRESHET_SHADOW, FRESHET_CLICK_THROUGH_SECONDS, FRESHET_MAJOR_KEPT_SECONDS, FRESHET_PRIVACY_EPSILON, FRESHET_PRIVACY_DELTA,
FRESHET_PRIVACY_BUDGET, FRESHET_TENSORBOARD, FRESHET_RUNS_KEPT, WANDB_API_KEY, FRESHET_LOG_LEVEL, FRESHET_ARCHIVE; what
gunicorn, the set-up and the commands read besides is in the README's table. Without URLs the embedded servers' own are used
(`make run` starts them).
"""

from __future__ import annotations

import os
from pathlib import Path

from config.env import database_from_url, embedded_url, env_bool, env_float, env_int, env_secret
from config.logs import configure_logs

BASE_DIR = Path(__file__).resolve().parent.parent
FRESHET_HOME = Path(os.environ.get("FRESHET_HOME", BASE_DIR / ".local")).resolve()
_SERVERS = FRESHET_HOME / "servers.json"

DEBUG = env_bool("FRESHET_DEBUG", False)
SECRET_KEY = env_secret("FRESHET_SECRET_KEY", keep_in=FRESHET_HOME / "secret_key")
ALLOWED_HOSTS = os.environ.get("FRESHET_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")
PORT = env_int("PORT", 8000)

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "config",
    "eventlog",
    "catalog",
    "feedback",
    "ranking",
    "insights",
    "workers",
    "storefront",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.middleware.ApiMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# ── servers ──────────────────────────────────────────────────────────────────────────────────────────────────────────
DATABASE_URL = embedded_url("DATABASE_URL", _SERVERS)
CELERY_BROKER_URL = embedded_url("CELERY_BROKER_URL", _SERVERS) or "redis://127.0.0.1:6379/0"
CACHE_URL = embedded_url("CACHE_URL", _SERVERS) or "redis://127.0.0.1:6379/1"
ARTEFACT_URL = os.environ.get("ARTEFACT_URL", str(FRESHET_HOME / "artefacts"))
FRESHET_ARCHIVE = Path(os.environ.get("FRESHET_ARCHIVE", FRESHET_HOME / "archive"))  # files of `archive_log`

_database = database_from_url(DATABASE_URL)
DATABASE_PARAMETERS: dict[str, str] = _database.pop("OPTIONS")  # libpq's, of the URL
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        **_database,
        "CONN_MAX_AGE": None,  # one connection a thread for its life: prepared statements stay warm
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            "prepare_threshold": 5,
            **DATABASE_PARAMETERS,
            # a forgotten transaction must not hold back vacuum, a forgotten lock must not hold back writers
            "options": "-c idle_in_transaction_session_timeout=60s -c lock_timeout=10s -c jit=off"
            " -c hnsw.iterative_scan=strict_order -c hnsw.ef_search=200 -c pg_trgm.similarity_threshold=0.4 "
            + DATABASE_PARAMETERS.get("options", ""),
        },
    }
}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": CACHE_URL}}

# ── web ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
LANGUAGE_CODE = "en"
USE_I18N = True
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = FRESHET_HOME / "static"
WHITENOISE_USE_FINDERS = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024  # POST bodies over 8 MB get 413
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["config.api.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["config.api.permissions.HasScope"],
    "DEFAULT_THROTTLE_CLASSES": ["config.api.throttling.ApiKeyThrottle"],
    "DEFAULT_PARSER_CLASSES": ["config.api.parsers.OrjsonParser", "config.api.parsers.BeaconParser"],
    "DEFAULT_RENDERER_CLASSES": ["config.api.renderers.OrjsonRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "config.api.renderers.FirstOfEach",
    "DEFAULT_METADATA_CLASS": None,
    "NUM_PROXIES": env_int("FRESHET_PROXIES", 0),  # how many reverse proxies of yours stand before Freshet
    "EXCEPTION_HANDLER": "config.api.problems.problem_response",
    "DEFAULT_SCHEMA_CLASS": "config.api.schema.FreshetSchema",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Freshet",
    "DESCRIPTION": "Search that stays fresh: a shop sends its catalogue and what its shoppers do; seconds later every "
    "answer reflects both.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PUBLIC": True,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SCHEMA_PATH_PREFIX": "/v1",
    "SWAGGER_UI_DIST": "SIDECAR",  # from a wheel: the page works offline
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "persistAuthorization": True, "displayRequestDuration": True},
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "POSTPROCESSING_HOOKS": [],
}

# ── Freshet ──────────────────────────────────────────────────────────────────────────────────────────────────────────
EVENTLOG_WAKE_UP = "workers.wake_up.wake_up"  # called after each committed append; `eventlog` itself knows no queue
EVENTLOG_PROJECTIONS = [  # in the order in which a drain serves them: what a search reads comes first
    "catalog.projections.products",
    "ranking.projections.postings.postings",
    "ranking.projections.weights.weights",
    "ranking.projections.rules.rules",
    "ranking.projections.contexts.contexts",
    "ranking.projections.models.models",
    "ranking.projections.vectors.vectors",
    "ranking.projections.visits.visits",
    "ranking.projections.mixes.mixes",
    "ranking.projections.result_lists.result_lists",
    "ranking.projections.judgements.judgements",
    "ranking.projections.privacy.privacy",
    "ranking.projections.diversity.diversity",
    "ranking.bandit.projection.bandit",
    "ranking.experiments.projection.experiments",
    "feedback.projections.facts",
    "feedback.projections.click_throughs",
]
FRESHET_ENCODER = os.environ.get("FRESHET_ENCODER") or None  # None: multilingual-e5-small from its wheel
STOREFRONT_API_KEY_FILE = FRESHET_HOME / "storefront_key"
FRESH_TARGET_SECONDS = 2.0
# queries that a process encodes at the same time; of 16 shoppers one process may have twelve, so not its share of the cores
ENCODE_AT_ONCE = os.cpu_count() or 1
FRESHET_MODEL_REFRESH_SECONDS = 0.5  # how often a serving process looks for a promoted version; 0: at each search
# how long an impression waits for what follows from it; after a change: rebuild_projection click_throughs
FRESHET_CLICK_THROUGH_SECONDS = env_int("FRESHET_CLICK_THROUGH_SECONDS", 1800)
FRESHET_TRAIN_EVERY = env_int("FRESHET_TRAIN_EVERY", 500)  # clicked click-throughs a minor version trains on
_tensorboard = os.environ.get("FRESHET_TENSORBOARD", str(FRESHET_HOME / "tensorboard"))
FRESHET_TENSORBOARD = Path(_tensorboard).resolve() if _tensorboard else None  # curves of each version; empty: none
FRESHET_RUNS_KEPT = env_int("FRESHET_RUNS_KEPT", 100)  # of each shop: more curves than that nobody tells apart
WANDB_API_KEY = os.environ.get("WANDB_API_KEY", "")  # set: W&B is told of each version too
FRESHET_SHADOW = env_int("FRESHET_SHADOW", 0)  # later ones that judge it again before it serves; 0: it serves at once
# of shops that did not say otherwise (manage.py privacy): what a version may tell of a shopper, and all of them together
FRESHET_PRIVACY_EPSILON = env_float("FRESHET_PRIVACY_EPSILON", 0.0)  # 0: no noise, no bound
FRESHET_PRIVACY_DELTA = env_float("FRESHET_PRIVACY_DELTA", 1e-6)
FRESHET_PRIVACY_BUDGET = env_float("FRESHET_PRIVACY_BUDGET", 8.0)
# how long a major version that nothing serves from can be rolled back to; until then its vectors are kept current
FRESHET_MAJOR_KEPT_SECONDS = env_int("FRESHET_MAJOR_KEPT_SECONDS", 86_400)
API_PUBLIC_RATE = "20/s"  # of each visitor's address, for public keys that have no rate of their own

LOGGING = configure_logs(level=os.environ.get("FRESHET_LOG_LEVEL", "INFO"))
