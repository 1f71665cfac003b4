"""What goes over the wire: a request as it was read, an answer as it is to be sent, and the ways of sending it.

An answer carries its own delivery, so that a fault can spoil the sending without the server knowing of faults.
Imports the standard library only.
"""

import json
import os
import socket
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Literal

Side = Literal["api", "cdn"]
Delivery = Callable[[socket.socket, bytes, bytes], bool]
"""Sends a head and a body; answers whether the connection can serve another request."""

_REASONS = {int(status): status.phrase for status in HTTPStatus}
_OVERSIZE = 200_000_000
_LINGER = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


@dataclass(frozen=True)
class Request:
    """One request. `target` is the path with its query; header names are in lower case; `now` is when it was read."""

    side: Side
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    now: float
    origin: str
    cdn_url: str
    key_delay: float = 0.0
    """Seconds before an idempotency key that this request brings is known to later ones."""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


def whole(connection: socket.socket, head: bytes, body: bytes) -> bool:
    connection.sendall(head + body)
    return True


@dataclass(frozen=True)
class Answer:
    """One answer. A header set to None is left out; `about` names the jobs that it tells the client about."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str | None] = field(default_factory=dict)
    about: tuple[str, ...] = ()
    delivery: Delivery = whole

    def spoilt(self, **changes: Any) -> "Answer":
        """This answer with changes after which it tells about no job."""
        return replace(self, about=(), **changes)

    def head(self, defaults: Mapping[str, str]) -> bytes:
        """The status line and headers. Control characters never get into a header, whatever a value holds."""
        fields = {**defaults, "Content-Length": str(len(self.body)), **self.headers}
        lines = [f"HTTP/1.1 {self.status} {_reason(self.status)}"]
        lines += [f"{name}: {_one_line(value)}" for name, value in fields.items() if value is not None]
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


def to_json(data: Any) -> bytes:
    """`data` in UTF-8; a lone surrogate, which UTF-8 cannot hold, stays the escape that it came as."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def json_answer(status: int, data: Any, about: Iterable[str] = (), **headers: str) -> Answer:
    fields = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Answer(status, to_json(data), fields, tuple(about))


_WORDING = {
    400: "Validation failed",
    401: "Invalid API key",
    402: "Insufficient credits",
    403: "API key is inactive",
    404: "Not found",
    409: "Idempotency-Key was already used with a different request body",
    410: "The file has expired",
    429: "Rate limit exceeded",
    500: "Internal server error",
    503: "Service temporarily unavailable",
}


def error_answer(
    status: int, text: str | None = None, extra: Mapping[str, Any] | None = None, **headers: str
) -> Answer:
    """The API's error envelope; `extra` are the fields that some statuses add to it."""
    wording = text or _WORDING.get(status) or _reason(status) or f"Error {status}"
    return json_answer(status, {"error": wording, **(extra or {})}, **headers)


def invalid(details: Mapping[str, list[str]]) -> Answer:
    return error_answer(400, extra={"details": details})


def reset_connection(connection: socket.socket, head: bytes, body: bytes) -> bool:
    """Nothing is sent: the connection ends in a TCP reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
    return False


def hang(connection: socket.socket, head: bytes, body: bytes) -> bool:
    """Nothing is sent until the client leaves, or the server shuts the connection down."""
    connection.settimeout(None)
    while connection.recv(65536):
        pass
    return False


def half(connection: socket.socket, head: bytes, body: bytes) -> bool:
    connection.sendall(head + body[: len(body) // 2])
    return False


def drip(connection: socket.socket, head: bytes, body: bytes) -> bool:
    """The head at once, then a byte a second until the body, the client or the server comes to its end."""
    connection.sendall(head)
    connection.settimeout(1)
    for position in range(len(body)):
        end = time.monotonic() + 1
        with suppress(TimeoutError):
            if not connection.recv(65536):
                return False
        time.sleep(max(0.0, end - time.monotonic()))
        connection.sendall(body[position : position + 1])
    return False


def zeros(connection: socket.socket, head: bytes, body: bytes) -> bool:
    """As many zero bytes as `oversize` claims, for as long as the client takes them."""
    connection.sendall(head)
    block = bytes(1_000_000)
    for _ in range(_OVERSIZE // len(block)):
        connection.sendall(block)
    return False


def oversize(media_type: str) -> Answer:
    return Answer(200, b"", {"Content-Type": media_type, "Content-Length": str(_OVERSIZE)}, delivery=zeros)


def _reason(status: int) -> str:
    return _REASONS.get(status, "")


def _one_line(value: str) -> str:
    return "".join(character for character in value if character.isprintable())
