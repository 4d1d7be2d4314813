"""The OpenAPI document: what drf-spectacular finds, with the key, the scopes and the problems of every operation."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from drf_spectacular.contrib.pydantic import PydanticExtension
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from pydantic import BaseModel
from pydantic.json_schema import model_json_schema

from config.api.permissions import scopes_for
from config.api.problems import CONTENT_TYPE
from config.api.renderers import to_json

log = structlog.get_logger(__name__)
_TEXT = {"type": "string"}
PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457). Programs read `code`, people read `detail`.",
    "properties": {
        "type": {"type": "string", "const": "about:blank"},
        "title": _TEXT,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "code": {"type": "string", "pattern": "^[a-z0-9_]+$", "description": "Stable; never translated."},
        "detail": {"type": "string", "description": "What was expected, in words."},
        "field": {"type": "string", "description": "The member, parameter or header that is meant."},
        "request_id": {"type": "string", "description": "Also in the header X-Request-ID and in the log."},
    },
    "required": ["type", "title", "status", "code", "detail"],
}
# status: (when, an example of code and detail)
_ANY = {
    "400": ("The request is wrong; nothing was changed.", "bad_value", "k must be a whole number from 1 to 100."),
    "401": ("No key, or an unknown one.", "key_missing", "Send the header `Authorization: Api-Key <your key>`."),
    "403": ("The key may not do this.", "wrong_scope", "This call needs the scope search; this key has beacon."),
    "429": ("Too many requests.", "too_many_requests", "Too many requests with this key; try again in 1 s."),
    "503": ("A server is away.", "database_unavailable", "The database does not answer; nothing was changed."),
}
_BODY = {
    "413": ("The body is too large.", "body_too_large", "A request's body may have 8 MB; send several smaller ones."),
    "415": ("The body is not JSON.", "unsupported_media_type", "Send the body as application/json, in UTF-8."),
}
_PATH = {"404": ("There is no such thing.", "not_found", "There is nothing at this address.")}


class FreshetSchema(AutoSchema):
    """Adds to each operation the scope it needs and the problems it may answer."""

    def get_description(self) -> str:  # type: ignore[override]  # as drf-spectacular does
        """The view's own text, then the scope."""
        text: str = super().get_description() or ""
        scopes = scopes_for(self.view, self.method)
        return f"{text}\n\nScope: {' or '.join(f'`{scope}`' for scope in scopes)}.".strip() if scopes else text

    def map_parsers(self) -> list[str]:
        """What a body may be: a beacon's text/plain only where beacons are taken."""
        beacon = "beacon" in scopes_for(self.view, self.method)
        return [parser.media_type for parser in self.view.get_parsers() if beacon or parser.media_type != "text/plain"]

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        problem = _register(self, "Problem", PROBLEM)
        wanted = _ANY | (_BODY if "requestBody" in operation else {}) | (_PATH if "{" in self.path else {})
        for status, (text, code, detail) in wanted.items():
            operation["responses"].setdefault(status, _problem_response(problem, text, int(status), code, detail))
        operation["responses"]["default"] = _response(problem, "Any other error.")
        operation["responses"] = dict(sorted(operation["responses"].items()))
        return operation


def _register(schema: AutoSchema, name: str, shape: dict[str, Any]) -> dict[str, str]:
    """Put a shape among the document's components and return the reference to it."""
    component = ResolvedComponent(name=name, type=ResolvedComponent.SCHEMA, object=name, schema=shape)  # type: ignore[no-untyped-call]
    if component in schema.registry and schema.registry[component].schema != shape:
        log.warning("schema_name_taken", name=name)  # two apps call different shapes the same: one of them is not shown
    schema.registry.register_on_missing(component)
    reference: dict[str, str] = component.ref
    return reference


def _response(problem: dict[str, str], text: str) -> dict[str, Any]:
    return {"description": text, "content": {CONTENT_TYPE: {"schema": problem}}}


def _problem_response(problem: dict[str, str], text: str, status: int, code: str, detail: str) -> dict[str, Any]:
    response = _response(problem, text)
    example = {"type": "about:blank", "title": text.rstrip("."), "status": status, "code": code, "detail": detail}
    response["content"][CONTENT_TYPE]["examples"] = {code: {"value": example}}
    if status in (429, 503):
        response["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    if status == 401:
        response["headers"] = {"WWW-Authenticate": {"schema": _TEXT}}
    return response


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the key is sent."""

    target_class = "config.api.authentication.ApiKeyAuthentication"
    name = "Api-Key"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        text = "`Api-Key <your key>`, made by `manage.py create_api_key --name N --scope S`."
        return {"type": "apiKey", "in": "header", "name": "Authorization", "description": text}


class PydanticShapes(PydanticExtension):  # type: ignore[no-untyped-call]
    """Pydantic models as they are read, so that a member with a default may be left out, in answers as well."""

    target_class = "pydantic.BaseModel"
    priority = 1

    def map_serializer(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        model: type[BaseModel] = self.target
        schema = model_json_schema(model, ref_template="#/components/schemas/{model}", mode="validation")
        for name, part in schema.pop("$defs", {}).items():
            _register(auto_schema, name, part)
        return schema


@cache
def openapi_document() -> bytes:
    """The document as JSON; made once a process, for it follows from the code alone."""
    generator = SchemaGenerator()  # type: ignore[no-untyped-call]
    return to_json(generator.get_schema(request=None, public=True))  # type: ignore[no-untyped-call]


def schema(request: HttpRequest) -> HttpResponse:
    """GET /v1/schema: open to everybody, as the documentation is."""
    content = openapi_document()
    etag = f'"{blake2b(content, digest_size=8).hexdigest()}"'
    if request.META.get("HTTP_IF_NONE_MATCH") == etag:
        return HttpResponseNotModified(headers={"ETag": etag})
    return HttpResponse(content, content_type="application/json", headers={"ETag": etag})
