"""Answers: JSON written by orjson, whatever the client says it accepts (there is nothing else)."""

from __future__ import annotations

from typing import Any

import orjson
from django.utils.functional import Promise
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z


class OrjsonRenderer(BaseRenderer):
    """application/json; times in UTC end in Z."""

    media_type = "application/json"
    format = "json"
    charset = None  # JSON is UTF-8, and bytes are rendered here
    render_style = "binary"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        """Write JSON; nothing for an answer without content."""
        return b"" if data is None else to_json(data)


def to_json(data: Any) -> bytes:
    """Write JSON by orjson; NaN becomes null."""
    return orjson.dumps(data, default=_plain, option=_OPTIONS)


def _plain(value: object) -> object:
    if isinstance(value, Promise):  # a text that Django translates when it is read
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


class FirstOfEach(BaseContentNegotiation):
    """Chooses the parser by content type and always the view's first renderer: 406 would help nobody."""

    def select_parser(self, request: Request, parsers: Any) -> BaseParser | None:
        kind = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == kind), None)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type
