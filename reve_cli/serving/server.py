"""An HTTP/1.1 server in threads: reads requests, calls a function, sends its answers.

It uses plain sockets because simulated faults need them (resets, half bodies, silence), and because `stop` must close
every connection at once. Threads and memory are bounded: slow clients lose their place to new ones.

May import: serving.
"""

import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from reve_cli.serving.answers import Answer, plain
from reve_cli.serving.requests import Bounds, RefusedError, Request, read_requests

_STOP_SECONDS = 5.0
_LINGER_SECONDS = 2.0
_LINGER_BYTES = 4 * 1024 * 1024
_PAUSE_SECONDS = 0.05
_BACKLOG = 1024  # a client that meets a full queue tries again after a second


class _Client:
    """A connection. `busy`: it has sent a complete request, which is not answered yet. `dropped`: it lost its place."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.thread: threading.Thread | None = None
        self.busy = False
        self.dropped = False


class Server:
    """A listening socket, a thread that accepts connections, and a thread for each connection.

    If it is full, the connection that has waited longest for a complete request is dropped. While all are busy, new
    connections wait in the system's queue.
    """

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        answer: Callable[[Request], Answer],
        *,
        refuse: Callable[[Request], Answer | None] = lambda request: None,
        malformed: Callable[[int, str], Answer] = plain,
        bounds: Bounds | None = None,
        connections: int = 64,
    ) -> None:
        """Bind the socket. Raises OSError if the port cannot be used.

        name: of its threads. host: an IPv4 or IPv6 address or a name. port: 0 for any free one.
        answer: answers a request; called in several threads at once. refuse: may answer before the body is read; None
        reads it. malformed: makes the answer to an invalid request from a status and a text.
        """
        self._name = name
        self._answer = answer
        self._refuse = refuse
        self._malformed = malformed
        self._bounds = bounds or Bounds()
        self._connections = connections
        self._changed = threading.Condition()
        self._stopping = False
        # In the order in which they began to wait for a request.
        self._clients: dict[_Client, None] = {}
        self._waker, self._woken = socket.socketpair()
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            if os.name != "nt":
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, port))
            self._socket.listen(_BACKLOG)
        except OSError:
            self._close()
            raise
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept_all, name=name, daemon=True)

    def start(self) -> None:
        self._acceptor.start()

    def stop(self, grace: float = 0.0) -> None:
        """Close every socket and wait for all threads to end. grace: seconds for answers that are on their way."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not any(client.busy for client in self._clients), grace)
        self._waker.close()
        if self._acceptor.is_alive():
            self._acceptor.join(_STOP_SECONDS)
        self._close()
        with self._changed:
            clients = list(self._clients)
        for client in clients:
            self._drop(client)
        for client in clients:
            if client.thread is not None:
                client.thread.join(_STOP_SECONDS)

    def _close(self) -> None:
        for each in (self._socket, self._waker, self._woken):
            each.close()

    def _accept_all(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self._stopping:
                selector.select()
                try:
                    connection, _ = self._socket.accept()
                except BlockingIOError:  # `stop`, or a client that left at once
                    continue
                except OSError:  # too many open files, perhaps
                    time.sleep(_PAUSE_SECONDS)
                    continue
                self._admit(connection)

    def _admit(self, connection: socket.socket) -> None:
        """Start a thread for a connection once there is a place for it."""
        with self._changed:
            while len(self._clients) >= self._connections and not self._stopping:
                slow = next((client for client in self._clients if not client.busy), None)
                if slow and not slow.dropped:
                    self._drop(slow)
                self._changed.wait()
            if self._stopping:
                connection.close()
                return
            client = _Client(connection)
            client.thread = threading.Thread(
                target=self._serve, args=(client,), name=f"{self._name}-connection", daemon=True
            )
            self._clients[client] = None
            try:
                client.thread.start()
            except RuntimeError:  # the system allows no more threads: the client tries again
                del self._clients[client]
                connection.close()

    @staticmethod
    def _drop(client: _Client) -> None:
        client.dropped = True
        with suppress(OSError):
            client.connection.shutdown(socket.SHUT_RDWR)

    def _serve(self, client: _Client) -> None:
        connection = client.connection
        try:
            with suppress(OSError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._converse(client):
                    _linger(connection)
        finally:
            with self._changed:
                del self._clients[client]
                connection.close()
                self._changed.notify_all()

    def _converse(self, client: _Client) -> bool:
        """Answer one request after the other. Returns whether to wait until the client has read the last answer."""
        connection = client.connection
        try:
            for request in read_requests(connection, self._bounds, self._refuse, self._malformed):
                if not self._begin(client):
                    return False
                answer = self._answer(request)
                connection.settimeout(self._bounds.request_seconds)
                goes_on = answer.send(connection, request.method, close=not request.keeps_alive)
                self._rest(client)
                if not goes_on or not request.keeps_alive:
                    return goes_on
        except RefusedError as refused:
            connection.settimeout(self._bounds.request_seconds)
            return refused.answer.send(connection, refused.method, close=True)
        return False

    def _begin(self, client: _Client) -> bool:
        """Mark a client as busy, unless it has lost its place."""
        with self._changed:
            client.busy = True
            return not client.dropped

    def _rest(self, client: _Client) -> None:
        with self._changed:
            client.busy = False
            self._clients[client] = self._clients.pop(client)
            self._changed.notify_all()


def _linger(connection: socket.socket) -> None:
    """Discard what the client still sends. Bytes left unread would reset the connection before it reads the answer."""
    connection.shutdown(socket.SHUT_WR)
    end, left = time.monotonic() + _LINGER_SECONDS, _LINGER_BYTES
    while left > 0 and (seconds := end - time.monotonic()) > 0:
        connection.settimeout(seconds)
        block = connection.recv(65536)
        if not block:
            return
        left -= len(block)
