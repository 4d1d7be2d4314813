"""Bodies at the edge: those that come in chunks, those that are too large, those that nobody read."""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO
from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest
from gunicorn.http.errors import ParseException

from config.api.parsers import BodyTooLarge, read_body
from eventlog.errors import FreshetError

_DISCARD_AT_MOST = 64 * 1024 * 1024
_PIECE = 64 * 1024
_BROKEN = (OSError, ParseException)  # the client hung up; its chunks cannot be read


class BodyIncomplete(FreshetError):
    """The body ended before its end, or its chunks cannot be read."""

    code = "body_incomplete"


class LengthRequired(FreshetError):
    """Send the header Content-Length."""

    code = "length_required"
    status = 411


def receive_body(request: HttpRequest) -> None:
    """Refuse a body that says it is too large; read one that comes in chunks, of which Django would see nothing.

    Raises BodyTooLarge, BodyIncomplete, LengthRequired.
    """
    meta = request.META
    if "chunked" not in meta.get("HTTP_TRANSFER_ENCODING", "").lower():
        length = meta.get("CONTENT_LENGTH")
        if length and length.isdigit() and int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise BodyTooLarge()
        return
    if not _ends_by_itself(request):
        raise LengthRequired()
    try:
        body = read_body(meta["wsgi.input"])
    except _BROKEN as error:
        raise BodyIncomplete() from error
    meta["CONTENT_LENGTH"] = str(len(body))
    cast(Any, request)._stream = BytesIO(body)


def discard_body(request: HttpRequest) -> None:
    """Read what the view left unread: a client that is still sending would get a broken connection, and no answer."""
    if not _ends_by_itself(request):
        return
    stream, left = request.META["wsgi.input"], _DISCARD_AT_MOST
    with suppress(*_BROKEN):  # the client has gone; gunicorn notices by itself
        while left > 0 and (piece := stream.read(_PIECE)):
            left -= len(piece)


def _ends_by_itself(request: HttpRequest) -> bool:
    """Whether reading stops at the body's end (gunicorn); elsewhere it would wait for ever."""
    return bool(request.META.get("wsgi.input_terminated"))
