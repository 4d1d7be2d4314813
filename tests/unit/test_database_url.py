from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.env import database_from_url


def test_a_database_url_becomes_djangos_dictionary() -> None:
    assert database_from_url("postgresql://me:p%40ss@db:5433/shop") == {
        "HOST": "db",
        "PORT": 5433,
        "NAME": "shop",
        "USER": "me",
        "PASSWORD": "p@ss",
        "OPTIONS": {},
    }


def test_its_parameters_are_libpqs() -> None:
    url = "postgresql://db/shop?sslmode=verify-full&sslrootcert=%2Fetc%2Four%20ca.pem&application_name=shop"
    assert database_from_url(url)["OPTIONS"] == {
        "sslmode": "verify-full",
        "sslrootcert": "/etc/our ca.pem",
        "application_name": "shop",
    }


@pytest.mark.parametrize(
    "url",
    [
        "mysql://db/shop",
        "postgresql://db/shop?ssl=true",  # JDBC's; libpq would have gone without
        "postgresql://db/shop?sslmode",
        "postgresql://db/shop?host=other",
    ],
)
def test_a_database_url_that_would_be_misread_stops_the_process(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL"):
        database_from_url(url)
