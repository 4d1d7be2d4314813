"""The base of every anticipated error. Each other error stands beside the service that raises it."""

from __future__ import annotations

from typing import ClassVar


class FreshetError(Exception):
    """Something that Freshet anticipates went wrong."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 400

    def __init__(self, detail: str | None = None, *, field: str | None = None) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip().partition("\n")[0]
        self.field = field
        super().__init__(self.detail)


class ConcurrentChange(FreshetError):
    """Somebody else changed this in the meantime: read it again, then repeat the change."""

    code = "concurrent_change"
    status = 412


class UnstorableText(FreshetError):
    """A text holds U+0000 or half of a surrogate pair, which PostgreSQL cannot store."""

    code = "bad_text"


class LostClaim(FreshetError):
    """Another worker moved this consumer's checkpoint first; its work stands and this one is dropped."""

    code = "lost_claim"
    status = 409


class LogDamaged(FreshetError):
    """The log is not what it must be (a hole, a missing event): stop and run `manage.py verify_log`."""

    code = "log_damaged"
    status = 500


class UnreadableEvent(FreshetError):
    """A stored event cannot be brought to the newest schema version of its type."""

    code = "unreadable_event"
    status = 500
