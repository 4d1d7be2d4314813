"""Request bodies: JSON objects read by orjson, at most 8 MB, with errors that say where."""

from __future__ import annotations

import re
from typing import IO, Any

import orjson
from django.conf import settings
from rest_framework.parsers import BaseParser

from config.api.permissions import scopes_for
from eventlog.errors import FreshetError

_NOT_A_NUMBER = re.compile(rb"-?(NaN|Infinity|inf)", re.IGNORECASE)


class BadJson(FreshetError):
    """The body is not JSON."""

    code = "bad_json"


class NotAnObject(FreshetError):
    """The body must be a JSON object, such as {"events": [...]}."""

    code = "not_an_object"


class BodyTooLarge(FreshetError):
    """A request's body may have 8 MB; send several smaller ones."""

    code = "body_too_large"
    status = 413


class UnsupportedContent(FreshetError):
    """Send the body as application/json, in UTF-8, not compressed."""

    code = "unsupported_media_type"
    status = 415


class OrjsonParser(BaseParser):
    """application/json."""

    media_type = "application/json"

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> dict[str, Any]:
        """Read a JSON object. Raises BadJson, NotAnObject, BodyTooLarge, UnsupportedContent."""
        meta = parser_context["request"].META
        if (encoding := meta.get("HTTP_CONTENT_ENCODING", "identity")) != "identity":
            raise UnsupportedContent(f"Content-Encoding {encoding[:40]!r} is not understood; send the body as it is.")
        return read_object(read_body(stream))


class BeaconParser(OrjsonParser):
    """text/plain, which is what navigator.sendBeacon sends without asking first; only where beacons are taken."""

    media_type = "text/plain"

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> dict[str, Any]:
        """Read a JSON object, as OrjsonParser does."""
        if "beacon" not in scopes_for(parser_context["view"], parser_context["request"].method):
            raise UnsupportedContent()
        return super().parse(stream, media_type, parser_context)


def read_body(stream: IO[Any]) -> bytes:
    """Read at most 8 MB. Raises BodyTooLarge."""
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    body: bytes = stream.read(limit + 1)
    if len(body) > limit:
        raise BodyTooLarge()
    return body


def read_object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object. Raises BadJson with the position, NotAnObject."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadJson(_what_is_wrong(body, error)) from None
    if not isinstance(data, dict):
        raise NotAnObject()
    return data


def _what_is_wrong(body: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        body.decode()
    except UnicodeDecodeError as bad:
        return f"The body is not UTF-8: byte {bad.object[bad.start]:#04x} at position {bad.start}."
    at = len(body.decode()[: error.pos].encode())  # orjson counts characters
    for start in (max(at - 1, 0), at):  # it may point behind the sign
        if found := _NOT_A_NUMBER.match(body, start):
            return f"{found[0].decode()} at position {start} is no number in JSON; leave the member out or send null."
    return f"{error.msg} (line {error.lineno}, column {error.colno}, position {error.pos})."
