"""Servers on loopback that stand where the world would: a proxy, an HTTP origin with or without TLS, a silent port.

None of them imports reve: what they say of a request is what came over the wire.
"""

import http.client
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from types import TracebackType
from typing import BinaryIO, Self

from reve_cli.sandbox import Sandbox

HOST = "127.0.0.1"
_JOIN_SECONDS = 10.0
_HOP_BY_HOP = ("connection", "content-length", "host", "transfer-encoding")


@dataclass(frozen=True)
class Asked:
    """A request that was received. Header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Reply:
    """What an origin answers."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Server:
    """A socket that listens from construction until `stop`; `serve` gets each connection in a thread of its own.

    reached: set once somebody has connected.
    """

    def __init__(self, host: str = HOST) -> None:
        self.reached = threading.Event()
        self._socket = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.host = f"[{host}]" if ":" in host else host
        self.port: int = self._socket.getsockname()[1]
        self._address = host
        self._lock = threading.Lock()
        self._stopping = False
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def serve(self, connection: socket.socket) -> None:
        """Talk to a client until it leaves."""
        raise NotImplementedError

    def stop(self) -> None:
        """Close every connection and end every thread."""
        with self._lock:
            self._stopping = True
        with suppress(OSError), socket.create_connection((self._address, self.port), timeout=1):
            pass  # wakes the acceptor
        self._threads[0].join(_JOIN_SECONDS)
        self._socket.close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join(_JOIN_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _accept(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with self._lock:
                if self._stopping:
                    connection.close()
                    return
            self.reached.set()
            self._spawn(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), self.held(connection):
            self.serve(connection)

    def _spawn(self, work: Callable[[socket.socket], None], connection: socket.socket) -> threading.Thread:
        thread = threading.Thread(target=work, args=(connection,), daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()
        return thread

    def held(self, connection: socket.socket) -> "_Held":
        """The connection as one that `stop` shuts down, closed at the end."""
        return _Held(self._open, self._lock, connection)


class _Held:
    def __init__(self, among: list[socket.socket], lock: threading.Lock, connection: socket.socket) -> None:
        self._among, self._lock, self._connection = among, lock, connection

    def __enter__(self) -> socket.socket:
        with self._lock:
            self._among.append(self._connection)
        return self._connection

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._among.remove(self._connection)
        self._connection.close()


class Tap(Server):
    """Keeps what it is told, one entry for each connection. To the first bytes it answers `says`, and hangs up.

    Where it has nothing to say it listens until the client leaves.
    """

    def __init__(self, says: bytes = b"") -> None:
        self._says = says
        self._told: list[bytes] = []
        super().__init__()

    def serve(self, connection: socket.socket) -> None:
        heard = bytearray()
        try:
            while chunk := connection.recv(65536):
                heard += chunk
                if self._says:
                    connection.sendall(self._says)
                    break
        finally:
            self._told.append(bytes(heard))

    def told(self) -> list[bytes]:
        """Stop, and say what came: a complete record, for no connection is left."""
        self.stop()
        return self._told


class Origin(Server):
    """An HTTP/1.1 origin that answers as `answer` says: over TLS where it is given a context."""

    def __init__(self, answer: Callable[[Asked], Reply], tls: ssl.SSLContext | None = None, host: str = HOST) -> None:
        self.asked: list[Asked] = []
        self._answer, self._tls = answer, tls
        super().__init__(host)

    def serve(self, connection: socket.socket) -> None:
        if self._tls is None:
            self._converse(connection)
            return
        with self.held(self._tls.wrap_socket(connection, server_side=True)) as secured:
            self._converse(secured)

    def _converse(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as reader:
            while asked := read_request(reader):
                self.asked.append(asked)
                connection.sendall(_reply(self._answer(asked)))


class Proxy(Server):
    """An HTTP proxy. `routes` maps what CONNECT may name, as in `api.example:443`, to a port of this machine.

    status: what every request is answered, where it is not 200.
    """

    def __init__(self, routes: Mapping[str, int] | None = None, *, status: int = 200) -> None:
        self.asked: list[Asked] = []
        self._routes, self._status = routes or {}, status
        super().__init__()
        self.url = f"http://{HOST}:{self.port}"

    @property
    def tunnels(self) -> list[str]:
        """Where clients asked to be connected to."""
        return [asked.target for asked in self.asked if asked.method == "CONNECT"]

    def serve(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as reader:
            asked = read_request(reader)
        if asked is None:
            return
        self.asked.append(asked)
        port = self._routes.get(asked.target)
        if asked.method != "CONNECT" or self._status != 200 or port is None:
            connection.sendall(_reply(Reply(self._status if self._status != 200 else 502)))
            return
        with self.held(socket.create_connection((HOST, port))) as upstream:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = self._spawn(lambda source: _pump(source, connection), upstream)
            _pump(connection, upstream)
            back.join(_JOIN_SECONDS)


def sandbox_behind(sandbox: Sandbox, cdn_url: str) -> Callable[[Asked], Reply]:
    """The answers of both of a sandbox's servers, told apart by path, with `cdn_url` as the address of its images."""

    def answer(asked: Asked) -> Reply:
        inside = sandbox.cdn_url if asked.target.startswith("/images/") else sandbox.url
        connection = http.client.HTTPConnection(inside.removeprefix("http://"))
        headers = {name: value for name, value in asked.headers.items() if name not in _HOP_BY_HOP}
        try:
            connection.request(asked.method, asked.target, asked.body, headers)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        said = {name: value for name, value in response.getheaders() if name.lower() not in _HOP_BY_HOP}
        if said.get("Content-Type") == "application/json":
            body = body.replace(sandbox.cdn_url.encode(), cdn_url.encode())
        return Reply(response.status, body, said)

    return answer


@contextmanager
def answered(environ: dict[str, str], answer: Callable[[Asked], Reply]) -> Iterator[Origin]:
    """An API that answers as `answer` says, and an `environ` in which it is the one to ask."""
    with Origin(answer) as origin:
        environ |= {"APIFRAME_BASE_URL": f"http://{HOST}:{origin.port}", "APIFRAME_API_KEY": "afk_of_an_odd_server"}
        yield origin


def json_reply(data: object, status: int = 200, **headers: str) -> Reply:
    """An answer as the API gives it; of a header's name, `_` stands for `-`."""
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    fields = {"Content-Type": "application/json", "Date": formatdate(usegmt=True), **said}
    return Reply(status, json.dumps(data).encode(), fields)


def read_request(reader: BinaryIO) -> Asked | None:
    """The next request, or None where the client has left."""
    line = reader.readline(65536)
    if not line.endswith(b"\n"):
        return None
    method, target, _ = line.decode("latin-1").split(" ", 2)
    headers = {name.lower(): value for name, value in http.client.parse_headers(reader).items()}
    return Asked(method, target, headers, reader.read(int(headers.get("content-length", 0))))


def _reply(reply: Reply) -> bytes:
    fields = {**reply.headers, "Content-Length": str(len(reply.body))}
    lines = [f"HTTP/1.1 {reply.status} {http.client.responses[reply.status]}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + reply.body


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
