"""Requests, answers, and the ways in which a fault breaks the sending of an answer.

May import: serving.answers.
"""

import json
import os
import socket
import struct
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

from reve_cli.serving import answers
from reve_cli.serving.answers import reason

Side = Literal["api", "cdn"]

_OVERSIZE = 200_000_000
_LINGER = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


@dataclass(frozen=True)
class Request:
    """One request.

    target: the path with its query. headers: names in lower case. now: when it was read.
    key_delay: seconds until later requests find the job by this request's idempotency key.
    """

    side: Side
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    now: float
    origin: str
    cdn_url: str
    key_delay: float = 0.0

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass(frozen=True)
class Answer(answers.Answer):
    """One answer. `about`: ids of the jobs whose state the client learns."""

    about: tuple[str, ...] = ()

    def spoilt(self, **changes: Any) -> "Answer":
        """This answer with `changes`; the client learns no job's state from it."""
        return replace(self, about=(), **changes)


def to_json(data: Any) -> bytes:
    """`data` as JSON in UTF-8. UTF-8 has no lone surrogates, so these stay escaped."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def json_answer(status: int, data: Any, about: Iterable[str] = (), **headers: str) -> Answer:
    fields = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Answer(status, to_json(data), fields, about=tuple(about))


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
    """The API's error document. `extra`: more fields, as some statuses have."""
    wording = text or _WORDING.get(status) or reason(status) or f"Error {status}"
    return json_answer(status, {"error": wording, **(extra or {})}, **headers)


def invalid(details: Mapping[str, list[str]]) -> Answer:
    return error_answer(400, extra={"details": details})


def reset_connection(connection: socket.socket, head: bytes, body: bytes) -> bool:
    """Send nothing and reset the TCP connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
    return False


def hang(connection: socket.socket, head: bytes, body: bytes) -> bool:
    """Send nothing until the client or the server closes the connection."""
    connection.settimeout(None)
    while connection.recv(65536):
        pass
    return False


def half(connection: socket.socket, head: bytes, body: bytes) -> bool:
    connection.sendall(head + body[: len(body) // 2])
    return False


def drip(connection: socket.socket, head: bytes, body: bytes) -> bool:
    """Send the head at once, then one byte a second until the body ends or the connection is closed."""
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
    """Send zero bytes, as many as `oversize` announces, while the client reads them."""
    connection.sendall(head)
    block = bytes(1_000_000)
    for _ in range(_OVERSIZE // len(block)):
        connection.sendall(block)
    return False


def oversize(media_type: str) -> Answer:
    return Answer(200, b"", {"Content-Type": media_type, "Content-Length": str(_OVERSIZE)}, delivery=zeros)
