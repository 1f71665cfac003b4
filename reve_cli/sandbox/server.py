"""An HTTP/1.1 server on a loopback socket: reads requests, calls a function, sends its answers.

It uses plain sockets because faults need them (resets, half bodies, silence), and because `stop` must close every
connection at once.

May import: sandbox.messages.
"""

import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from reve_cli.sandbox.messages import Answer, error_answer

HOST = "127.0.0.1"
BODY_LIMIT = 64 * 1024
_HEAD_LIMIT = 64 * 1024
_DRAIN_LIMIT = 4 * 1024 * 1024
_IDLE_SECONDS = 60.0
_STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Message:
    """A request as read, not checked yet. Header names are in lower case; repeated headers are joined with commas."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    keeps_alive: bool


class BadRequestError(Exception):
    """The bytes are not a valid request. Carries the answer; the connection is closed after it."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Listener:
    """A listening socket, a thread that accepts connections, and a thread for each connection."""

    def __init__(
        self, name: str, port: int, answer: Callable[[Message], Answer], defaults: Callable[[], dict[str, str]]
    ) -> None:
        """answer: answers a request. defaults: returns the headers of every answer."""
        self._name = name
        self._answer = answer
        self._defaults = defaults
        self._lock = threading.Lock()
        self._stopping = False
        self._open: dict[threading.Thread, socket.socket] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if os.name != "nt":
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((HOST, port))
            self._socket.listen(128)
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name=f"sandbox-{name}", daemon=True)

    def start(self) -> None:
        self._acceptor.start()

    def stop(self) -> None:
        """Close every socket and wait for all threads to end."""
        with self._lock:
            self._stopping = True
        if self._acceptor.is_alive():
            with suppress(OSError), socket.create_connection((HOST, self.port), timeout=1):
                pass  # wakes the acceptor; closing its socket does not, on some systems
            self._acceptor.join(_STOP_SECONDS)
        self._socket.close()
        with self._lock:
            connections = dict(self._open)
        for connection in connections.values():
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in connections:
            thread.join(_STOP_SECONDS)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with self._lock:
                if self._stopping:
                    connection.close()
                    return
                thread = threading.Thread(
                    target=self._serve, args=(connection,), name=f"sandbox-{self._name}-connection", daemon=True
                )
                self._open[thread] = connection
                try:
                    thread.start()
                except RuntimeError:  # the system allows no more threads: the client tries again
                    del self._open[thread]
                    connection.close()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with suppress(OSError), connection.makefile("rb") as reader:
                connection.settimeout(_IDLE_SECONDS)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while self._exchange(connection, reader):
                    pass
        finally:
            with self._lock:
                del self._open[threading.current_thread()]
                connection.close()

    def _exchange(self, connection: socket.socket, reader: BinaryIO) -> bool:
        """Serve one request. Returns whether the connection can serve another."""
        try:
            message = read_message(connection, reader)
        except BadRequestError as bad:
            head = bad.answer.head({**self._defaults(), "Connection": "close"})
            return bad.answer.delivery(connection, head, bad.answer.body) and False
        if message is None:
            return False
        answer = self._answer(message)
        defaults = self._defaults() if message.keeps_alive else {**self._defaults(), "Connection": "close"}
        body = b"" if message.method == "HEAD" else answer.body
        return answer.delivery(connection, answer.head(defaults), body) and message.keeps_alive


def read_message(connection: socket.socket, reader: BinaryIO) -> Message | None:
    """The next request; None if the client has left. Raises BadRequestError."""
    lines = _head(reader)
    if lines is None:
        return None
    words = lines[0].split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0") or not words[0].isalpha():
        raise BadRequestError(error_answer(400, "Not an HTTP/1.1 request"))
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequestError(error_answer(400, "Malformed header"))
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    body = _body(connection, reader, headers)
    wish = headers.get("connection", "").lower()
    return Message(words[0], words[1], headers, body, wish != "close" if words[2] == "HTTP/1.1" else False)


def _head(reader: BinaryIO) -> list[str] | None:
    lines: list[str] = []
    left = _HEAD_LIMIT
    while True:
        line = reader.readline(left + 1)
        left -= len(line)
        if left < 0:
            raise BadRequestError(error_answer(431, "The headers are too large"))
        if not line.endswith(b"\n"):
            return None
        text = line.rstrip(b"\r\n").decode("latin-1")
        if text:
            lines.append(text)
        elif lines:
            return lines


def _body(connection: socket.socket, reader: BinaryIO, headers: dict[str, str]) -> bytes:
    if "transfer-encoding" in headers:
        raise BadRequestError(error_answer(411, "Content-Length is required"))
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit() and len(length) < 16):
        raise BadRequestError(error_answer(400, "Malformed Content-Length"))
    waits = headers.get("expect", "").lower() == "100-continue"
    if int(length) > BODY_LIMIT:
        _drain(reader, 0 if waits else int(length))
        raise BadRequestError(error_answer(413, f"The body is larger than {BODY_LIMIT} bytes"))
    if waits:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = reader.read(int(length))
    if len(body) < int(length):
        raise ConnectionResetError("the client left in the middle of its request")
    return body


def _drain(reader: BinaryIO, length: int) -> None:
    """Read a body that is too large, up to a limit. Unread bytes would reset the connection before the answer."""
    left = min(length, _DRAIN_LIMIT)
    while left > 0 and (block := reader.read(min(left, 65536))):
        left -= len(block)
