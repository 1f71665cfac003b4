"""The way out of this machine: whose certificates are trusted, which proxy is asked, how long a silence may last.

Imports `clock`, `models`, `errors`, truststore and httpx, which is slow to load, like `http`.
"""

import errno
import os
import re
import socket
import ssl
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

import httpx
import truststore

from reve_cli import __version__
from reve_cli.core.clock import Deadline, Limits
from reve_cli.core.errors import ReveError
from reve_cli.core.models import is_loopback

_PROXY_VARIABLES = "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY"
_PROXY_PASSWORD = "the proxy wants to know who you are: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"  # noqa: S105
_STRANGE_AUTHORITY = "if your network signs certificates itself, name its own in SSL_CERT_FILE; reve doctor shows more"
_ANOTHER_SERVER = "this is another server's certificate: check the base URL, the proxy and the network"
_CERTIFICATE_HINTS = {
    9: "check this machine's clock; reve doctor shows more",  # not yet valid
    10: "check this machine's clock; reve doctor shows more",  # expired
    62: _ANOTHER_SERVER,  # of another host
    64: _ANOTHER_SERVER,  # of another address
}
"""By OpenSSL's number of what is wrong with a certificate."""
_IN_FOLDER = re.compile(r"[0-9a-f]{8}\.[0-9]+")
"""A certificate in a folder of certificates."""
USER_AGENT = f"reve-cli/{__version__}"
"""Not the library's default: the gateway has been seen to refuse those with an HTML page."""
SYSTEM = "system"


@cache
def tls_context() -> ssl.SSLContext:
    """Whom to trust: as SSL_CERT_FILE or else SSL_CERT_DIR says, else this system, as a company has set it up.

    Where the system trusts nobody (a container without certificates), those that httpx brings along.
    Raises `ReveError` (code `config`) where the certificates cannot be read.
    """
    variable = next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)), None)
    try:
        if variable == "SSL_CERT_DIR" and not any(map(os.path.isdir, os.environ[variable].split(os.pathsep))):
            raise NotADirectoryError(errno.ENOTDIR, "there is no such folder")
        return (httpx.create_ssl_context() if variable else _system_context()) or httpx.create_ssl_context()
    except OSError as error:
        named = f"those of {variable}={os.environ[variable]}" if variable else "those of this system"
        message = f"no certificates to trust: {named} cannot be read: {error.strerror or error}"
        hint = f"correct or unset {variable}" if variable else "name others in SSL_CERT_FILE"
        raise ReveError("config", message, hint=hint) from None


def trust_store() -> str:
    """Where the trusted authorities come from: a variable of the environment, the system, or the package certifi."""
    named = (name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name))
    return next(named, None) or (SYSTEM if _system_context() else "certifi")


@cache
def _system_context() -> ssl.SSLContext | None:
    """Whom this system trusts; None where it trusts nobody."""
    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if sys.platform in ("win32", "darwin"):
        return context  # the system itself is asked, in each handshake
    # Elsewhere these are files, whose places truststore knows. It reads them anew for each connection, and has one
    # handshake wait for another. So they are read once here, into a context that OpenSSL alone makes use of.
    try:
        filled = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost").context
    except ssl.SSLError:  # a file without any
        return None
    filled.sslsocket_class, filled.sslobject_class = ssl.SSLSocket, ssl.SSLObject
    folder = ssl.get_default_verify_paths().capath
    # those of a folder are read as they are needed, by the names that OpenSSL gives them
    found = filled.cert_store_stats()["x509"] or any(map(_IN_FOLDER.fullmatch, os.listdir(folder) if folder else ()))
    return filled if found else None


def proxy_for(url: str) -> str | None:
    """The proxy that the environment, or the system, names for `url`. None for this machine's own addresses."""
    parts = urlsplit(url)
    if is_loopback(parts.hostname or "") or urllib.request.proxy_bypass(parts.netloc):
        return None
    found = urllib.request.getproxies()
    proxy = found.get(parts.scheme) or found.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


def new_client(scheme: str, proxy: str | None, headers: Mapping[str, str]) -> httpx.Client:
    """A client that follows no redirects. Certificates are loaded only where `scheme` needs them.

    Raises `ReveError` (code `config`), which does not repeat the proxy's URL: that may hold a password.
    """
    try:
        return httpx.Client(
            verify=tls_context() if scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            trust_env=False,
            proxy=proxy
            and httpx.Proxy(proxy, ssl_context=tls_context() if proxy.lower().startswith("https:") else None),
            headers={"User-Agent": USER_AGENT, **headers},
            limits=httpx.Limits(keepalive_expiry=30.0),
        )
    except ImportError:
        hint = "install it beside reve, as with pipx inject reve-cli socksio; or unset the variable"
        message = f"a SOCKS proxy, as {_PROXY_VARIABLES} names it, needs the package socksio"
        raise ReveError("config", message, hint=hint) from None
    except (ValueError, httpx.InvalidURL):
        message = f"the proxy that {_PROXY_VARIABLES} names cannot be used"
        raise ReveError("config", message, hint="it must be the URL of an HTTP proxy: http://host:port") from None


@dataclass(frozen=True)
class Trouble:
    """Why there was no answer; what may help; whether another try is pointless as long as nobody does something."""

    reason: str
    hint: str | None = None
    lasting: bool = False


def explain(error: Exception) -> Trouble:
    """What an exception of httpx's is about."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = f"certificate verify failed: {cause.verify_message}"
            return Trouble(reason, _CERTIFICATE_HINTS.get(cause.verify_code, _STRANGE_AUTHORITY), lasting=True)
        if isinstance(cause, socket.gaierror):
            return Trouble(f"a name could not be resolved: {cause.strerror}")
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.TimeoutException):
        return Trouble("no answer in time")
    wants_password = isinstance(error, httpx.ProxyError) and str(error).startswith("407")
    return Trouble(str(error) or type(error).__name__, _PROXY_PASSWORD if wants_password else None)


def patience(limits: Limits, deadline: Deadline) -> httpx.Timeout:
    """How long one exchange may be silent: as `limits` say, and not past `deadline`."""
    left = max(deadline.left, 0.001)
    return httpx.Timeout(min(limits.silence, left), connect=min(limits.connect, left))
