"""The event catalogue in docs/ is what the code says."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from eventlog.catalogue import event_catalogue
from eventlog.events import type_registry
from eventlog.projection import projections

PAGE = Path(settings.BASE_DIR, "docs", "event-catalogue.md")


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == event_catalogue(), "run: python manage.py event_catalogue > docs/event-catalogue.md"


def test_every_event_says_what_it_means() -> None:
    page = event_catalogue()
    assert "Schema version 1. \n" not in page
    assert "(self" not in page  # a dataclass without a docstring shows its signature


def test_every_projection_consumes_events_that_exist() -> None:
    wanted = {event_type for projection in projections().values() for event_type in projection.event_types}
    assert wanted <= type_registry.keys()
