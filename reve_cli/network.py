"""The way out of this machine: whose certificates are trusted, which proxy is asked, how long a silence may last.

Imports `clock`, `models`, `errors`, truststore and httpx, which is slow to load, like `http`.
"""

import os
import ssl
import sys
import urllib.request
from collections.abc import Mapping
from functools import cache
from urllib.parse import urlsplit

import httpx
import truststore

from reve_cli import __version__
from reve_cli.clock import Deadline, Limits
from reve_cli.errors import ReveError
from reve_cli.models import is_loopback

USER_AGENT = f"reve-cli/{__version__}"
"""Not the library's default: the gateway has been seen to refuse those with an HTML page."""
SYSTEM = "system"


@cache
def tls_context() -> ssl.SSLContext:
    """Whom to trust: as SSL_CERT_FILE and SSL_CERT_DIR say, else this system, as a company has set it up.

    Where the system trusts nobody (a container without certificates), those that httpx brings along.
    """
    try:
        if trust_store() != SYSTEM:
            return httpx.create_ssl_context()
    except OSError as error:
        raise ReveError(
            "config", f"the certificates of SSL_CERT_FILE or SSL_CERT_DIR cannot be read: {error}"
        ) from None
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def trust_store() -> str:
    """Where the trusted authorities come from: a variable of the environment, the system, or the package certifi."""
    named = (name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name))
    return next(named, SYSTEM if _system_has_authorities() else "certifi")


def _system_has_authorities() -> bool:
    """Whether there is anything where OpenSSL looks; elsewhere than on Linux the system itself is asked."""
    paths = ssl.get_default_verify_paths()
    return not sys.platform.startswith("linux") or any((paths.cafile, paths.capath and os.listdir(paths.capath)))


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
            proxy=proxy,
            headers={"User-Agent": USER_AGENT, **headers},
            limits=httpx.Limits(keepalive_expiry=30.0),
        )
    except (ValueError, ImportError, httpx.InvalidURL):
        message = "the proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names cannot be used"
        raise ReveError("config", message, hint="it must be the URL of an HTTP proxy: http://host:port") from None


def patience(limits: Limits, deadline: Deadline) -> httpx.Timeout:
    """How long one exchange may be silent: as `limits` say, and not past `deadline`."""
    left = max(deadline.left, 0.001)
    return httpx.Timeout(min(limits.silence, left), connect=min(limits.connect, left))
