"""Which variant a shopper is in: by a keyed hash, so that nothing has to be remembered (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

ROUNDING = 1e-9  # shares such as three thirds add up to 1 only about so well


def assigned(seed: int, subject: bytes, shares: Sequence[float]) -> int | None:
    """The number of the variant of a shopper, None for one who is in none.

    `shares` of all shoppers, in the order of the variants, add up to 1 at most. Uniform over shoppers, the same for ever
    for one shopper and seed, and independent between seeds: each keys the hash anew.
    """
    point, reached = _point(seed, subject), 0.0
    for number, share in enumerate(shares):
        reached += share
        if point < reached:
            return number
    return len(shares) - 1 if reached > 1 - ROUNDING else None


def draw_seed(seed: int, subject: bytes, context_key: str) -> int:
    """The seed of an interleaved list: one shopper gets one list of a context, on its second page as well."""
    return int.from_bytes(_digest(seed, subject + b"\0" + context_key.encode("utf-8", "replace"), b"freshet/teams"))


def _point(seed: int, subject: bytes) -> float:
    return int.from_bytes(_digest(seed, subject, b"freshet/variant")[:6]) / 2.0**48


def _digest(seed: int, content: bytes, purpose: bytes) -> bytes:
    return blake2b(content, digest_size=8, key=seed.to_bytes(8), person=purpose).digest()
