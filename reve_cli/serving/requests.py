"""Reads HTTP/1.1 requests from a socket, with h11, within limits of time and size.

h11 alone does not keep these limits: it accepts headers of any size that arrive in one read, and a Content-Length
beside a Transfer-Encoding. Importing it costs nothing after httpx, which uses it.

May import: serving.answers.
"""

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count

import h11

from reve_cli.serving.answers import Answer

_READ = 8192
_PROBLEMS = {
    400: "Malformed request",
    408: "The request took too long",
    413: "The body is too large",
    431: "The headers are too large",
    501: "This Transfer-Encoding is not supported",
    505: "This HTTP version is not supported",
}


@dataclass(frozen=True)
class Bounds:
    """Limits of one connection, in seconds and bytes.

    head_seconds: from the first byte of a request (on a new connection: from its start) to the end of the headers.
    request_seconds: from the same moment to the end of the body. The same again for sending the answer.
    idle_seconds: between two requests.
    """

    head_seconds: float = 3.0
    request_seconds: float = 10.0
    idle_seconds: float = 60.0
    head_bytes: int = 16 * 1024
    body_bytes: int = 1024 * 1024


@dataclass(frozen=True)
class Request:
    """A request. `target`: the path with its query. Header names are in lower case."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    keeps_alive: bool
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def values(self, name: str) -> list[str]:
        """The values of all headers with this name, which must be in lower case."""
        return [value for each, value in self.headers if each == name]


class RefusedError(Exception):
    """A request was refused before it was complete; the connection ends with this answer. `method` may be empty."""

    def __init__(self, answer: Answer, method: str = "") -> None:
        super().__init__(answer.status)
        self.answer = answer
        self.method = method


def read_requests(
    connection: socket.socket,
    bounds: Bounds,
    refuse: Callable[[Request], Answer | None],
    malformed: Callable[[int, str], Answer],
) -> Iterator[Request]:
    """The requests of one connection, one after the other, until the client sends no more.

    refuse: sees each request before its body is read, and may answer it. malformed: makes an answer from a status and
    a text. Raises RefusedError, and OSError if the client leaves in the middle of a request.
    """
    rest, began = b"", time.monotonic()
    for number in count():
        try:
            rest = rest or _receive(connection, began + (bounds.idle_seconds if number else bounds.head_seconds))
        except TimeoutError:
            return
        if not rest:
            return
        if number:
            began = time.monotonic()
        # A parser for each request: h11 does not see the answers, so it could not begin a second request.
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=bounds.head_bytes)
        parser.receive_data(rest)
        try:
            request = _read_head(connection, parser, bounds, began + bounds.head_seconds)
            answer = refuse(request)
            if answer is not None:
                raise RefusedError(answer, request.method)
            body = _read_body(connection, parser, bounds, began + bounds.request_seconds)
        except TimeoutError as error:
            raise RefusedError(malformed(408, _PROBLEMS[408])) from error
        except h11.RemoteProtocolError as error:
            status = error.error_status_hint
            raise RefusedError(malformed(status, _PROBLEMS.get(status, _PROBLEMS[400]))) from error
        yield replace(request, body=body)
        rest, began = parser.trailing_data[0], time.monotonic()


def _read_head(connection: socket.socket, parser: h11.Connection, bounds: Bounds, deadline: float) -> Request:
    event = _next_event(connection, parser, deadline)
    assert isinstance(event, h11.Request)
    if len(event.method) + len(event.target) + sum(len(name) + len(value) + 4 for name, value in event.headers) > (
        bounds.head_bytes
    ):
        raise h11.RemoteProtocolError("headers", error_status_hint=431)
    if event.http_version not in (b"1.1", b"1.0"):
        raise h11.RemoteProtocolError("version", error_status_hint=505)
    headers = tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in event.headers)
    asked = ",".join(value for name, value in headers if name == "connection").lower()
    keeps_alive = event.http_version == b"1.1" and "close" not in [word.strip() for word in asked.split(",")]
    request = Request(event.method.decode("ascii"), event.target.decode("ascii"), headers, keeps_alive)
    lengths = request.values("content-length")
    if lengths and request.values("transfer-encoding"):
        raise h11.RemoteProtocolError("two lengths", error_status_hint=400)
    if lengths and int(lengths[0]) > bounds.body_bytes:
        raise h11.RemoteProtocolError("body", error_status_hint=413)
    return request


def _read_body(connection: socket.socket, parser: h11.Connection, bounds: Bounds, deadline: float) -> bytes:
    if parser.they_are_waiting_for_100_continue:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = bytearray()
    while isinstance(event := _next_event(connection, parser, deadline), h11.Data):
        body += event.data
        if len(body) > bounds.body_bytes:
            raise h11.RemoteProtocolError("body", error_status_hint=413)
    return bytes(body)


def _next_event(connection: socket.socket, parser: h11.Connection, deadline: float) -> h11.Event:
    while True:
        event = parser.next_event()
        if isinstance(event, h11.Event):
            return event
        data = _receive(connection, deadline)
        if not data:
            raise ConnectionResetError("the client left in the middle of its request")
        parser.receive_data(data)


def _receive(connection: socket.socket, deadline: float) -> bytes:
    """Some bytes; none if the client has left. Raises TimeoutError at the deadline."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)
    return connection.recv(_READ)
