"""Certificates, proxies, timeouts and connection errors: what every HTTP client here has in common.

httpx is slow to load: import this module only just before a request.
May import: core.clock, core.errors, core.models.
"""

import base64
import contextlib
import errno
import importlib
import os
import re
import socket
import ssl
import sys
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx

from reve_cli import __version__
from reve_cli.core.clock import Deadline, Limits
from reve_cli.core.errors import ReveError
from reve_cli.core.models import is_loopback

_PROXY_VARIABLES = "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY"
_PROXY_PASSWORD = "the proxy needs a user name and a password: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"  # noqa: S105
_STRANGE_AUTHORITY = (
    "if your network has its own certificate authority, set SSL_CERT_FILE to its certificates; see reve doctor"
)
_ANOTHER_SERVER = "this is another server's certificate: check the base URL, the proxy and the network"
# by OpenSSL's error number
_CERTIFICATE_HINTS = {
    9: "check this machine's clock; see reve doctor",  # not yet valid
    10: "check this machine's clock; see reve doctor",  # expired
    62: _ANOTHER_SERVER,  # host name mismatch
    64: _ANOTHER_SERVER,  # address mismatch
}
# OpenSSL's name for a certificate in a folder
_IN_FOLDER = re.compile(r"[0-9a-f]{8}\.[0-9]+")
# the gateway refused the default User-Agent of HTTP libraries with an HTML page
USER_AGENT = f"reve-cli/{__version__}"
SYSTEM = "system"
# Seconds for which a connection without a request may be used again.
_IDLE_SECONDS = 30.0
# httpx has errors with the same names.
_HTTPCORE_ERRORS = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)
# of every request
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "User-Agent": USER_AGENT}

Trace = Callable[[str, Mapping[str, Any]], None]


@cache
def tls_context() -> ssl.SSLContext:
    """The trusted certificates: SSL_CERT_FILE, else SSL_CERT_DIR, else those of the system, else those of certifi.

    The system's come before certifi's because companies add their own there; a small container may have none.
    Raises `ReveError` (code `config`) if the certificates cannot be read.
    """
    variable = next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)), None)
    try:
        if variable == "SSL_CERT_DIR" and not any(map(os.path.isdir, os.environ[variable].split(os.pathsep))):
            raise NotADirectoryError(errno.ENOTDIR, "no such folder")
        return (httpx.create_ssl_context() if variable else _system_context()) or httpx.create_ssl_context()
    except OSError as error:
        keys = os.environ.get("SSLKEYLOGFILE")
        if keys and error.filename == keys:  # Python writes the keys of each connection there
            message = f"cannot write to SSLKEYLOGFILE={keys}: {error.strerror}"
            raise ReveError("config", message, hint="correct or unset SSLKEYLOGFILE") from None
        source = f"{variable}={os.environ[variable]}" if variable else "the system"
        message = f"cannot read the trusted certificates of {source}: {error.strerror or error}"
        hint = f"correct or unset {variable}" if variable else "set SSL_CERT_FILE to a file of certificates"
        raise ReveError("config", message, hint=hint) from None


def trust_store() -> str:
    """The source of the trusted certificates: the name of a variable, `SYSTEM`, or `certifi`."""
    named = (name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name))
    return next(named, None) or (SYSTEM if _system_context() else "certifi")


@cache
def _system_context() -> ssl.SSLContext | None:
    """The system's trusted certificates, None if it has none."""
    import truststore  # not needed for an API on this machine

    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if sys.platform in ("win32", "darwin"):
        return context  # the system verifies each handshake
    # Elsewhere truststore knows the places of the certificate files. It would read them for every connection and let
    # handshakes wait for each other, so read them once into a context that only OpenSSL uses.
    try:
        filled = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost").context
    except ssl.SSLError:  # a file without certificates
        return None
    filled.sslsocket_class, filled.sslobject_class = ssl.SSLSocket, ssl.SSLObject
    folder = ssl.get_default_verify_paths().capath
    # OpenSSL reads the certificates of a folder when it needs them, so they are not counted yet
    found = filled.cert_store_stats()["x509"] or any(map(_IN_FOLDER.fullmatch, os.listdir(folder) if folder else ()))
    return filled if found else None


def proxy_for(url: str) -> str | None:
    """The proxy for `url` from the environment or the system settings. None for addresses of this machine."""
    parts = urlsplit(url)
    if is_loopback(parts.hostname or "") or urllib.request.proxy_bypass(parts.netloc):
        return None
    found = urllib.request.getproxies()
    proxy = found.get(parts.scheme) or found.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


class Connections:
    """HTTP connections to servers of one scheme, all through one proxy or none. Any thread may use them.

    Requests go through the connections of httpcore, on which httpx is built: they follow no redirects and keep no
    cookies. Pools and an `httpx.Client` on top of them take more processor time, as `tests/bench/floor.py` shows.
    """

    def __init__(self, scheme: str, proxy: str | None, headers: Mapping[str, str]) -> None:
        """headers: of every request. Certificates are loaded only if `scheme` is https.

        Raises `ReveError` (code `config`) for an invalid proxy. The error does not repeat the proxy's URL, which may
        hold a password.
        """
        context = tls_context() if scheme == "https" else None
        self._headers = _raw({**_HEADERS, **headers}.items())
        try:
            through = proxy and _proxy(proxy)
        except ImportError:
            hint = "install it next to reve (pipx inject reve-cli socksio), or unset the variable"
            message = f"the SOCKS proxy in {_PROXY_VARIABLES} needs the package socksio"
            raise ReveError("config", message, hint=hint) from None
        except (ValueError, httpx.InvalidURL):
            message = f"the proxy in {_PROXY_VARIABLES} is invalid"
            raise ReveError("config", message, hint="set it to the URL of an HTTP proxy: http://host:port") from None
        # Makes connections, and has none of its own.
        self._pool = httpcore.ConnectionPool(context, through or None, keepalive_expiry=_IDLE_SECONDS)
        # All open connections, and by host those without a request. The last one used is the first to be used again.
        self._open: set[_Connection] = set()
        self._idle: defaultdict[bytes, list[_Connection]] = defaultdict(list)

    def close(self) -> None:
        """Close the connections."""
        for connection in self._open.copy():  # other threads may still add some
            connection.inner.close()

    @contextlib.contextmanager
    def stream(
        self,
        method: str,
        url: str,
        *,
        timeout: Mapping[str, float],
        params: Mapping[str, str] | None = None,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes | None = None,
        trace: Trace | None = None,
    ) -> Iterator[httpx.Response]:
        """Send a request and yield the answer, whose body is still to be read.

        timeout: see `patience`. trace: is called with httpcore's events. Raises the exceptions of httpx.
        """
        target = _parsed(url)
        if params is not None:
            target = target.copy_merge_params(params)
        host = target.netloc
        fields = [(b"Host", host), *self._headers, *_raw(headers)]
        if target.userinfo:
            pair = f"{target.username}:{target.password}".encode()
            fields.append((b"Authorization", b"Basic " + base64.b64encode(pair)))
        if body is not None:
            fields.append((b"Content-Length", str(len(body)).encode()))
        request = httpcore.Request(method, _wire(target), headers=fields, content=body)
        connection = self._take(host, request.url.origin)
        try:
            request.extensions = {"timeout": timeout, "trace": connection.follow(trace, timeout["read"])}
            answer = connection.inner.handle_request(request)
            response = httpx.Response(
                answer.status, headers=answer.headers, stream=_Body(answer.stream), extensions=answer.extensions
            )
            try:
                yield response
            finally:
                response.close()
        except _HTTPCORE_ERRORS as error:
            of_httpx: type[httpx.RequestError] = getattr(httpx, type(error).__name__)
            raise of_httpx(str(error)) from error
        finally:
            self._give_back(host, connection)

    def _take(self, host: bytes, origin: httpcore.Origin) -> "_Connection":
        """A connection that the server has not closed, or a new one."""
        idle = self._idle[host]
        with contextlib.suppress(IndexError):  # another thread may take the last one
            while True:
                connection = idle.pop()
                if not connection.inner.has_expired():
                    return connection
                self._drop(connection)
        connection = _Connection(self._pool.create_connection(origin))
        self._open.add(connection)
        return connection

    def _give_back(self, host: bytes, connection: "_Connection") -> None:
        if connection.inner.is_idle() and not connection.inner.is_closed():
            self._idle[host].append(connection)
        else:
            self._drop(connection)

    def _drop(self, connection: "_Connection") -> None:
        connection.inner.close()
        self._open.discard(connection)


class _Connection:
    """A connection, for one request at a time."""

    def __init__(self, inner: httpcore.ConnectionInterface) -> None:
        self.inner = inner
        self._socket: socket.socket | None = None

    def follow(self, trace: Trace | None, silence: float) -> Trace:
        """What httpcore calls with the events of a request: `trace`, then the wait for the answer.

        httpcore takes 64 KiB of memory before it waits for an answer. Here a thread waits first, for `silence` seconds.
        """

        def follow(event: str, info: Mapping[str, Any]) -> None:
            if trace is not None:
                trace(event, info)
            if event == "http11.receive_response_headers.started":
                self._wait(silence)
            elif event.endswith(("connect_tcp.complete", "start_tls.complete")):
                self._socket = info["return_value"].get_extra_info("socket")

        return follow

    def _wait(self, silence: float) -> None:
        """Wait until there is something to read, and leave it there. Raises the exceptions of httpcore."""
        assert self._socket is not None
        try:
            self._socket.settimeout(silence)
            socket.socket.recv(self._socket, 1, socket.MSG_PEEK)  # of the socket below TLS
        except TimeoutError as error:
            raise httpcore.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error


class _Body(httpx.SyncByteStream):
    """The body of an answer, for httpx. parts: httpcore's stream, whose type does not say that it can be closed."""

    def __init__(self, parts: Any) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._parts)

    def close(self) -> None:
        self._parts.close()


def _proxy(url: str) -> httpcore.Proxy:
    """Raises ValueError and `httpx.InvalidURL` if `url` is not a proxy's, ImportError if it needs a package."""
    proxy = httpx.Proxy(url)
    if proxy.url.scheme.startswith("socks"):
        importlib.import_module("socksio")
    context = tls_context() if proxy.url.scheme == "https" else None
    return httpcore.Proxy(_wire(proxy.url), proxy.raw_auth, proxy.headers.raw, context)


def _wire(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


@lru_cache(16)
def _parsed(url: str) -> httpx.URL:
    return httpx.URL(url)


def _raw(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers]


@dataclass(frozen=True)
class Trouble:
    """Why a request got no answer.

    hint: what may help.
    lasting: another try fails too until somebody fixes the cause.
    """

    reason: str
    hint: str | None = None
    lasting: bool = False


def explain(error: Exception) -> Trouble:
    """Put an exception of httpx into words."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = f"certificate verify failed: {cause.verify_message}"
            return Trouble(reason, _CERTIFICATE_HINTS.get(cause.verify_code, _STRANGE_AUTHORITY), lasting=True)
        if isinstance(cause, socket.gaierror):
            return Trouble(f"cannot resolve the host name: {cause.strerror}")
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.TimeoutException):
        return Trouble("no answer in time")
    wants_password = isinstance(error, httpx.ProxyError) and str(error).startswith("407")
    return Trouble(str(error) or type(error).__name__, _PROXY_PASSWORD if wants_password else None)


def patience(limits: Limits, deadline: Deadline) -> dict[str, float]:
    """The timeouts of one exchange in seconds: those in `limits`, cut at `deadline`."""
    left = max(deadline.left, 0.001)
    return timeouts(min(limits.connect, left), min(limits.silence, left))


def timeouts(connect: float, silence: float) -> dict[str, float]:
    """Timeouts in seconds, as httpx names them. silence: how long the other side may send or take nothing."""
    return {"connect": connect, "read": silence, "write": silence, "pool": silence}
