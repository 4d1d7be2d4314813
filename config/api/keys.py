"""Making, revoking and looking up API keys. The serving path finds them in this process, a few seconds old at most."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from threading import Lock

from cachetools import TTLCache
from django.db import transaction
from django.db.models import Q

from config.api.principal import Principal, Rate
from config.models import PUBLIC_SCOPES, SCOPES, ApiKey
from eventlog.errors import FreshetError
from eventlog.models import Shop

CACHE_SECONDS = 5.0  # how long a revoked key may go on working in a process that knows it
_USED_STEP = timedelta(hours=1)  # last_used_at is written this seldom
_ORIGIN = re.compile(r"\*|https?://[a-z0-9.\-\[\]:]+")

# unknown keys apart from known ones: a flood of guesses must not push real keys out
_known: TTLCache[bytes, Principal] = TTLCache(maxsize=10_000, ttl=CACHE_SECONDS)
_unknown: TTLCache[bytes, None] = TTLCache(maxsize=10_000, ttl=CACHE_SECONDS)
_origins: TTLCache[None, frozenset[str]] = TTLCache(maxsize=1, ttl=CACHE_SECONDS)
_lock = Lock()


class BadApiKeyRequest(FreshetError):
    """Such a key cannot be made."""

    code = "bad_api_key_request"


@transaction.atomic
def api_key_create(
    *,
    shop: Shop,
    name: str,
    scopes: Sequence[str],
    public: bool = False,
    allowed_origins: Sequence[str] = (),
    rate: str | None = None,
) -> tuple[str, ApiKey]:
    """Make a key and return its text, which is shown this once, with its row. A beacon key is always public.

    Raises BadApiKeyRequest, BadRate.
    """
    wanted = sorted(set(scopes))
    public = public or "beacon" in wanted
    _check(wanted, public=public, allowed_origins=allowed_origins)
    if rate is not None:
        Rate.parse(rate)
    prefix = f"fk_{secrets.token_hex(4)}"
    text = f"{prefix}_{secrets.token_urlsafe(32)}"
    key = ApiKey.objects.create(
        shop=shop,
        name=name,
        prefix=prefix,
        secret_hash=_hash(text),
        scopes=wanted,
        public=public,
        allowed_origins=sorted(set(allowed_origins)),
        rate=rate,
        signing_secret=secrets.token_urlsafe(32),
    )
    return text, key


def _check(scopes: list[str], *, public: bool, allowed_origins: Sequence[str]) -> None:
    if not scopes:
        raise BadApiKeyRequest(f"A key needs at least one scope of {', '.join(SCOPES)}.", field="scopes")
    if unknown := set(scopes) - set(SCOPES):
        raise BadApiKeyRequest(
            f"Unknown scope {', '.join(sorted(unknown))}; there are {', '.join(SCOPES)}.", field="scopes"
        )
    if public and (secret := set(scopes) - set(PUBLIC_SCOPES)):
        raise BadApiKeyRequest(
            f"Every visitor can read a public key, so it cannot have the scope {', '.join(sorted(secret))}.",
            field="scopes",
        )
    for origin in allowed_origins:
        if not _ORIGIN.fullmatch(origin):
            raise BadApiKeyRequest(
                f"{origin!r} is no origin; write https://shop.example, without a path.", field="origin"
            )


def api_keys_revoke(*, keys: Sequence[ApiKey], now: datetime) -> int:
    """Stop keys from working (within `CACHE_SECONDS` in every process); return how many worked until now."""
    changed = ApiKey.objects.filter(pk__in=[key.pk for key in keys], revoked_at=None).update(revoked_at=now)
    forget_keys()
    return changed


def principal_of(text: str, *, now: datetime) -> Principal | None:
    """Find who a key belongs to, None when it is unknown or revoked."""
    digest = _hash(text)
    with _lock:
        if found := _known.get(digest):
            return found
        if digest in _unknown:
            return None
    principal = _load(digest, now=now)
    with _lock:
        if principal is None:
            _unknown[digest] = None
        else:
            _known[digest] = principal
    return principal


def origin_is_known(origin: str) -> bool:
    """Say whether any key may be used from this origin. (A preflight request does not tell which key will come.)"""
    with _lock:
        known = _origins.get(None)
    if known is None:
        lists = (
            ApiKey.objects.filter(revoked_at=None).exclude(allowed_origins=[]).values_list("allowed_origins", flat=True)
        )
        known = frozenset(origin for origins in lists for origin in origins)
        with _lock:
            _origins[None] = known
    return origin in known or "*" in known


def forget_keys() -> None:
    """Drop what this process remembers of keys."""
    with _lock:
        _known.clear()
        _unknown.clear()
        _origins.clear()


def _load(digest: bytes, *, now: datetime) -> Principal | None:
    key = ApiKey.objects.filter(secret_hash=digest, revoked_at=None).first()
    if key is None:
        return None
    if key.last_used_at is None or now - key.last_used_at > _USED_STEP:
        stale = Q(last_used_at=None) | Q(last_used_at__lt=now - _USED_STEP)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now.replace(minute=0, second=0, microsecond=0))
    return Principal(
        key_id=key.pk,
        shop_id=key.shop_id,
        scopes=frozenset(key.scopes),
        public=key.public,
        rate=Rate.parse(key.rate) if key.rate else None,
        allowed_origins=frozenset(key.allowed_origins),
        signing_secret=key.signing_secret,
    )


def _hash(text: str) -> bytes:
    return sha256(text.encode(errors="surrogateescape")).digest()
