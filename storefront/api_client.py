"""The REST API as the storefront's own programs call it."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx

TRIES = 6
LONGEST_WAIT_SECONDS = 30.0


class ApiRefused(Exception):
    """The API refused a call; the message says what it answered."""


class ApiClient:
    """Searches and sends events, and waits when the API asks for it.

    `key` is sent as `Authorization: Api-Key`. `transport` and `sleep` are for tests.
    """

    def __init__(
        self,
        *,
        url: str,
        key: str,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.waits = 0
        self._sleep = sleep
        self._http = httpx.Client(
            base_url=url, headers={"Authorization": f"Api-Key {key}"}, timeout=30, transport=transport
        )

    def search(self, *, query: str, k: int) -> dict[str, Any]:
        """Return the answer of `GET /v1/search`. Raises ApiRefused."""
        return self._call("GET", "/v1/search", params={"q": query, "k": k})

    def send_events(self, events: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Post up to 1,000 events and return what became of them. Raises ApiRefused."""
        return self._call("POST", "/v1/events", json={"events": list(events)})

    def freshness(self) -> dict[str, Any]:
        """Return the answer of `GET /v1/freshness`. Raises ApiRefused."""
        return self._call("GET", "/v1/freshness")

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        for attempt in range(TRIES):
            try:
                response = self._http.request(method, path, **options)
            except httpx.TransportError as error:
                # events keep their ids, so that sending them a second time changes nothing
                self._wait(2.0**attempt / 4, last=attempt == TRIES - 1, why=f"{method} {path}: {error}")
                continue
            if response.status_code != 429:
                return _json_of(response)
            self._wait(retry_after_seconds(response), last=attempt == TRIES - 1, why=f"{method} {path}: 429")
        raise AssertionError("the last try either returned or raised")

    def _wait(self, seconds: float, *, last: bool, why: str) -> None:
        if last:
            raise ApiRefused(f"{why} (after {TRIES} tries)")
        self.waits += 1
        self._sleep(min(seconds, LONGEST_WAIT_SECONDS))


def retry_after_seconds(response: httpx.Response) -> float:
    """Return what `Retry-After` asks for, 1 second when it says nothing useful."""
    try:
        return max(0.0, float(response.headers.get("Retry-After", "1")))
    except ValueError:
        return 1.0


def _json_of(response: httpx.Response) -> dict[str, Any]:
    if response.is_error:
        raise ApiRefused(
            f"{response.request.method} {response.request.url.path}: {response.status_code} {response.text}"
        )
    answer: dict[str, Any] = response.json()
    return answer
