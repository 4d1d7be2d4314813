"""Pseudonyms and seals: a shopper's raw id enters here and goes no further; what names or groups a person is encrypted.

Destroying a shopper's row destroys the key and the only way from a raw id to a subject. Nothing else needs to be
touched; no process keeps a key longer than a batch takes.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from hashlib import sha256
from uuid import UUID, uuid4

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from eventlog.database import query, rows, scalar
from eventlog.errors import FreshetError

_NONCE_BYTES = 12  # what AES-GCM is specified for


class SealBroken(FreshetError):
    """The personal part of this event cannot be opened: another key, another event, or altered bytes."""

    code = "seal_broken"
    status = 500


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom an event is about: a random id, and the key that the personal part is sealed with."""

    subject_id: UUID
    key: bytes


def derived_key(purpose: str) -> bytes:
    """Return 32 bytes derived from SECRET_KEY for one purpose (HKDF-SHA256, RFC 5869)."""
    return _derived_key(settings.SECRET_KEY, purpose)


def shopper_hash(shop_id: int, raw_id: str) -> bytes:
    """Return the pseudonym of a shopper of a shop: keyed HMAC-SHA256, 32 bytes. Without SECRET_KEY it says nothing."""
    return hmac.digest(derived_key("shopper"), b"%d/%s" % (shop_id, raw_id.encode()), sha256)


def session_hash(shop_id: int, raw_id: str) -> bytes:
    """Return the pseudonym of a session, made as that of a shopper and never equal to one."""
    return hmac.digest(derived_key("session"), b"%d/%s" % (shop_id, raw_id.encode()), sha256)


def subjects_get_or_create(*, shop_id: int, hashes: Collection[bytes], now: datetime) -> dict[bytes, Subject]:
    """Return the subject of each hash; those met for the first time get a random id and a key of their own.

    One statement when all are known. Racing batches insert in the same order and end up with the same rows.
    """
    found = _known_subjects(shop_id, hashes)
    # again when one was erased between the insert that found it there and the look at it
    while missing := sorted(each for each in set(hashes) if each not in found):
        query(
            """INSERT INTO feedback_shopper (shop_id, shopper_hash, subject_id, key, created_at)
               SELECT %s, g.hash, g.subject_id, g.key, %s
                 FROM unnest(%s::bytea[], %s::uuid[], %s::bytea[]) WITH ORDINALITY AS g (hash, subject_id, key, n)
                ORDER BY g.n ON CONFLICT (shop_id, shopper_hash) DO NOTHING""",
            [shop_id, now, missing, [uuid4() for _ in missing], [os.urandom(32) for _ in missing]],
        )
        found |= _known_subjects(shop_id, missing)  # in a statement of its own: it sees what a racing batch committed
    return found


def subject_reference(*, shop_id: int, raw_id: str) -> UUID | None:
    """By what a ranking token names a shopper; None for one who is not known.

    Another random id than the subject's: a token may be kept by the shop beside the raw id, and must lead nowhere once
    the shopper is erased.
    """
    sql = "SELECT reference FROM feedback_shopper WHERE shop_id = %s AND shopper_hash = %s"
    found: UUID | None = scalar(sql, [shop_id, shopper_hash(shop_id, raw_id)])
    return found


def reference_known(*, shop_id: int, reference: UUID) -> bool:
    """Say whether the shopper that a token names is still there."""
    sql = "SELECT EXISTS (SELECT 1 FROM feedback_shopper WHERE shop_id = %s AND reference = %s)"
    return bool(scalar(sql, [shop_id, reference]))


def personal_seal(key: bytes, event_id: UUID, content: dict[str, str]) -> bytes:
    """Encrypt what is personal about an event (AES-256-GCM, AAD = event id): nonce, ciphertext, tag."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, orjson.dumps(content), event_id.bytes)


def personal_open(key: bytes, event_id: UUID, sealed: bytes) -> dict[str, str]:
    """Return what was sealed. Raises SealBroken."""
    try:
        content = AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], event_id.bytes)
    except (InvalidTag, ValueError) as error:  # ValueError: shorter than a nonce
        raise SealBroken from error
    opened: dict[str, str] = orjson.loads(content)
    return opened


def signature_valid(shop_secret: str, shopper_id: str, signature: str) -> bool:
    """Say whether the shop's server signed this shopper's id: HMAC-SHA256 over its UTF-8, in hex."""
    expected = hmac.digest(shop_secret.encode(), shopper_id.encode(), sha256).hex()
    return hmac.compare_digest(expected.encode(), signature.encode(errors="replace"))


@cache
def _derived_key(secret: str, purpose: str) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=f"freshet/{purpose}/1".encode()).derive(secret.encode())


def _known_subjects(shop_id: int, hashes: Collection[bytes]) -> dict[bytes, Subject]:
    sql = """SELECT shopper_hash, subject_id, key FROM feedback_shopper
              WHERE shop_id = %s AND shopper_hash = ANY(%s::bytea[])"""
    return {bytes(each): Subject(subject, bytes(key)) for each, subject, key in rows(sql, [shop_id, list(hashes)])}
