"""Bodies that come in chunks, without a length: Django sees none of them, so they are read here, up to the limit."""

from __future__ import annotations

from io import BytesIO
from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest

from config.api.parsers import BodyTooLarge, read_body
from eventlog.errors import FreshetError


class LengthRequired(FreshetError):
    """Send the header Content-Length."""

    code = "length_required"
    status = 411


def receive_chunks(request: HttpRequest) -> None:
    """Refuse a body that says it is too large; read one that comes in chunks. Raises BodyTooLarge, LengthRequired."""
    meta = request.META
    if "chunked" not in meta.get("HTTP_TRANSFER_ENCODING", "").lower():
        length = meta.get("CONTENT_LENGTH")
        if length and length.isdigit() and int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise BodyTooLarge()
        return
    if not meta.get("wsgi.input_terminated"):  # reading would wait for ever
        raise LengthRequired()
    body = read_body(meta["wsgi.input"])
    meta["CONTENT_LENGTH"] = str(len(body))
    cast(Any, request)._stream = BytesIO(body)
