"""Bodies that come in chunks or too large, as gunicorn hands them over."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIRequest
from gunicorn.http.errors import InvalidChunkSize

from config.api import body
from config.api.body import BodyIncomplete, LengthRequired, discard_body, receive_body
from config.api.parsers import BodyTooLarge


def request(content: bytes, **meta: Any) -> WSGIRequest:
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/v1/events", "wsgi.input": BytesIO(content)}
    return WSGIRequest(environ | meta)


CHUNKED = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}


def test_chunks_are_read_as_a_body() -> None:
    asked = request(b'{"a": 1}', **CHUNKED)
    receive_body(asked)
    assert asked.read() == b'{"a": 1}'
    assert asked.META["CONTENT_LENGTH"] == "8"


def test_too_many_chunks_are_refused(settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 7
    with pytest.raises(BodyTooLarge):
        receive_body(request(b'{"a": 1}', **CHUNKED))


def test_a_stated_length_over_the_limit_is_refused_unread(settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 7
    asked = request(b'{"a": 1}', CONTENT_LENGTH="8")
    with pytest.raises(BodyTooLarge):
        receive_body(asked)
    assert asked.environ["wsgi.input"].tell() == 0


def test_a_server_that_cannot_end_chunks_needs_a_length() -> None:
    with pytest.raises(LengthRequired):
        receive_body(request(b"", HTTP_TRANSFER_ENCODING="chunked"))


@pytest.mark.parametrize("error", [OSError("the client hung up"), InvalidChunkSize(b"zz")])
def test_broken_chunks_are_the_callers_error(error: Exception) -> None:
    class Broken(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise error

    with pytest.raises(BodyIncomplete):
        receive_body(request(b"", **CHUNKED | {"wsgi.input": Broken()}))
    discard_body(request(b"", **CHUNKED | {"wsgi.input": Broken()}))


def test_what_nobody_read_is_read_away_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "_DISCARD_AT_MOST", 100_000)
    for size, left in [(70_000, 0), (300_000, 300_000 - 2 * 65_536)]:
        asked = request(b"x" * size, **CHUNKED)
        discard_body(asked)
        assert len(asked.environ["wsgi.input"].read()) == left
