"""Who calls, as views see it in `request.auth`: plain data, made from an API key."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha256

from eventlog.errors import FreshetError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class BadRate(FreshetError):
    """A rate is a whole number of requests and a period, such as 20/s, 600/m, 5000/h or 100000/d."""

    code = "bad_rate"


class ShopperNotSigned(FreshetError):
    """With a public key, shopper_id needs shopper_signature: its HMAC-SHA256 in hex, made by the shop's server."""

    code = "shopper_not_signed"
    status = 403


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so many seconds."""

    requests: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Read "20/s". Raises BadRate."""
        count, _, period = text.strip().partition("/")
        if not (count.isascii() and count.isdigit() and int(count) > 0 and period[:1] in _SECONDS and period):
            raise BadRate(f"{text!r} is no rate. {BadRate.__doc__}")
        return cls(int(count), _SECONDS[period[:1]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """An API key in use."""

    key_id: int
    shop_id: int
    scopes: frozenset[str]
    public: bool
    rate: Rate | None
    allowed_origins: frozenset[str]
    signing_secret: str

    def check_shopper(self, shopper_id: str, signature: str | None) -> None:
        """Refuse a shopper id that a visitor may have invented: no signature of the shop. Raises ShopperNotSigned."""
        if not self.public:
            return
        expected = shopper_signature(self.signing_secret, shopper_id)
        if not hmac.compare_digest(expected.encode(), (signature or "").encode()):
            raise ShopperNotSigned(field="shopper_signature")

    def allows_origin(self, origin: str) -> bool:
        """Say whether a page of this origin may use the key."""
        return "*" in self.allowed_origins or origin in self.allowed_origins


def shopper_signature(signing_secret: str, shopper_id: str) -> str:
    """Sign a shopper's id as the shop's server does: HMAC-SHA256 in hex over the UTF-8 of the id."""
    return hmac.new(signing_secret.encode(), shopper_id.encode(), sha256).hexdigest()
