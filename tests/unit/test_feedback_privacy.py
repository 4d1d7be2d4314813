from __future__ import annotations

import hmac
from hashlib import sha256
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from feedback.inputs import InteractionIn, event_check
from feedback.privacy import SealBroken, personal_open, personal_seal, session_hash, shopper_hash, signature_valid
from feedback.recording import content_hash, event_uuid, person_of

KEY = bytes(range(32))
EVENT = UUID("6a1f0c52-7b1e-4b0e-9a57-0f6f1f2d8c01")


@given(st.dictionaries(st.sampled_from(["shopper", "session"]), st.text(st.characters(codec="utf-8"))))
def test_what_was_sealed_can_be_opened(content: dict[str, str]) -> None:
    assert personal_open(KEY, EVENT, personal_seal(KEY, EVENT, content)) == content


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_an_altered_seal_is_broken(at: int, flip: int) -> None:
    sealed = bytearray(personal_seal(KEY, EVENT, {"shopper": "alice"}))
    sealed[at % len(sealed)] ^= flip

    with pytest.raises(SealBroken):
        personal_open(KEY, EVENT, bytes(sealed))


@pytest.mark.parametrize(("key", "event"), [(bytes(32), EVENT), (KEY, uuid4())], ids=["another key", "another event"])
def test_a_seal_opens_with_its_own_key_for_its_own_event_only(key: bytes, event: UUID) -> None:
    with pytest.raises(SealBroken):
        personal_open(key, event, personal_seal(KEY, EVENT, {"shopper": "alice"}))


def test_sealing_twice_gives_other_bytes() -> None:
    assert personal_seal(KEY, EVENT, {}) != personal_seal(KEY, EVENT, {})


def test_a_pseudonym_is_a_keyed_hash_in_its_shop(settings: pytest.FixtureRequest) -> None:
    settings.SECRET_KEY = "s" * 50  # type: ignore[attr-defined]
    key = HKDF(SHA256(), length=32, salt=None, info=b"freshet/shopper/1").derive(b"s" * 50)

    assert shopper_hash(3, "alice") == hmac.new(key, b"3/alice", sha256).digest()
    assert len({shopper_hash(3, "alice"), shopper_hash(4, "alice"), session_hash(3, "alice")}) == 3


def test_another_secret_gives_other_pseudonyms(settings: pytest.FixtureRequest) -> None:
    before = shopper_hash(1, "alice")
    settings.SECRET_KEY = "another " * 8  # type: ignore[attr-defined]

    assert shopper_hash(1, "alice") != before


def a_click(**members: str) -> InteractionIn:
    event = {"event_id": "e", "kind": "click", "occurred_at": "2026-01-01T00:00:00Z", "product_id": "mug"} | members
    given = event_check(event, index=0)
    assert isinstance(given, InteractionIn)
    return given


def test_a_session_without_a_shopper_is_a_person_of_its_own() -> None:
    person, sealed = person_of(1, a_click(session_id="s-3"))

    assert (person, sealed) == (session_hash(1, "s-3"), {"session": session_hash(1, "s-3").hex()})


def test_a_known_shoppers_session_is_sealed_under_the_shoppers_key() -> None:
    person, sealed = person_of(1, a_click(session_id="s-3", shopper_id="alice"))

    assert person == shopper_hash(1, "alice")
    assert set(sealed) == {"session", "shopper"}


def test_an_event_of_nobody_has_nothing_personal() -> None:
    assert person_of(1, a_click()) == (None, {})


def test_an_event_id_that_is_a_uuid_is_kept_and_any_other_text_stands_for_one() -> None:
    assert event_uuid(str(EVENT)) == event_uuid(str(EVENT).upper()) == EVENT
    assert event_uuid(EVENT.hex) not in {EVENT, event_uuid("e")}  # 32 digits may be somebody's own id


def test_the_order_of_fields_does_not_make_other_content() -> None:
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1}) != content_hash({"a": 1, "b": 3})


def test_the_shops_signature_lets_its_shopper_in_and_nobody_else() -> None:
    signed = hmac.new("秘密".encode(), b"alice", sha256).hexdigest()

    assert signature_valid("秘密", "alice", signed)
    assert not any(signature_valid("秘密", "alice", other) for other in ("", signed[:-1], signed.upper(), "é\ud800"))
    assert not signature_valid("秘密", "bob", signed)
