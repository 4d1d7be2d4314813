"""gunicorn's threaded worker, which answers what it refuses before Django sees it as the API answers."""

from __future__ import annotations

import socket
from http import HTTPStatus
from typing import Any

from gunicorn.http.errors import LimitRequestLine
from gunicorn.workers.gthread import ThreadWorker

from config.api.problems import CONTENT_TYPE, Problem
from config.api.renderers import to_json

_TOO_LONG = Problem(
    status=414,
    code="query_too_long",
    detail="The first line of a request may have 8,190 bytes: shorten the query (a Chinese character takes 9 in an address), "
    "or post a long ranking token to /v1/rankings.",
)


class WebWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Threads, and a problem for a request line beyond the limit."""

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Answer an error of reading a request; all but one as gunicorn does."""
        if not isinstance(exc, LimitRequestLine):
            super().handle_error(req, client, addr, exc)
            return
        try:
            client.sendall(answer_of(_TOO_LONG))
        except OSError:  # the client hung up
            self.log.debug("Failed to send error message.")


def answer_of(problem: Problem) -> bytes:
    """A whole HTTP answer, after which the connection is closed."""
    body = to_json(problem.body(None))
    head = (
        f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\nConnection: close\r\n"
        f"Content-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
