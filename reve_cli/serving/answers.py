"""Answers to HTTP requests, and their way onto the socket.

An answer carries its own delivery function, so a simulated fault can break the sending without the server knowing.

May import: nothing of ours.
"""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

# Sends a head and a body; returns whether the connection can serve another request.
Delivery = Callable[[socket.socket, bytes, bytes], bool]

_REASONS = {int(status): status.phrase for status in HTTPStatus}


def whole(connection: socket.socket, head: bytes, body: bytes) -> bool:
    connection.sendall(head + body)
    return True


@dataclass(frozen=True)
class Answer:
    """One answer. A header set to None is left out."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str | None] = field(default_factory=dict)
    delivery: Delivery = whole

    def send(self, connection: socket.socket, method: str, close: bool) -> bool:
        """Send it. Returns whether the connection can serve another request. `close` announces that it will not."""
        head = self._head({"Connection": "close"} if close else {})
        return self.delivery(connection, head, b"" if method == "HEAD" else self.body)

    def _head(self, more: Mapping[str, str]) -> bytes:
        """The status line and headers. Control characters in header values are removed."""
        length = {} if self.status == 204 else {"Content-Length": str(len(self.body))}
        lines = [f"HTTP/1.1 {self.status} {reason(self.status)}"]
        for name, value in {**length, **more, **self.headers}.items():
            if value is not None:
                lines.append(f"{name}: {''.join(character for character in value if character.isprintable())}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


def reason(status: int) -> str:
    """The usual words for a status; empty if there are none."""
    return _REASONS.get(status, "")


def plain(status: int, text: str) -> Answer:
    """An answer of one line of text."""
    return Answer(status, f"{text}\n".encode(), {"Content-Type": "text/plain; charset=utf-8"})
