"""The storefront page: markup and a public key; everything it shows comes from the REST API."""

from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.utils.translation import get_language_from_request
from django.views.decorators.http import require_safe

LANGUAGES = ("en", "zh")


@require_safe
def storefront(request: HttpRequest) -> HttpResponse:
    """Render the page in the visitor's language, or say how to get a key when there is none."""
    key = storefront_key(Path(settings.STOREFRONT_API_KEY_FILE))
    page_language = language_of(request)
    context = {"language": page_language, "config": {"key": key, "language": page_language}, "key_missing": key is None}
    response = render(request, "storefront/page.html", context, status=503 if key is None else 200)
    # the key in the page must be the one of the file: a page from a cache would hold a revoked one
    response["Cache-Control"] = "no-store"
    return response


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    """Show the page's own mark where browsers look by themselves: on pages that name none, such as /v1/docs."""
    return redirect(static("storefront/mark.svg"))


def storefront_key(file: Path) -> str | None:
    """Return the page's public key (scopes search and beacon), None while there is none."""
    try:
        return file.read_text("utf-8").strip() or None
    except FileNotFoundError:
        return None


def language_of(request: HttpRequest) -> str:
    """Return the language asked for by `?lang=`, else the browser's, of those that the page speaks."""
    wanted = request.GET.get("lang") or get_language_from_request(request)
    return wanted[:2] if wanted[:2] in LANGUAGES else LANGUAGES[0]
