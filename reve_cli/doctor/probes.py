"""The checks that ask the network: proxy, certificates, API, clock, account, images.

Each gives up after a few seconds. Only the account check and the request for the newest job send the key. Slow to load,
like `api.http`.

May import: doctor.findings, api, core; httpx.
"""

import contextlib
import io
import json
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from reve_cli.api.accounts import Account
from reve_cli.api.answers import Answer
from reve_cli.api.download import Images, Unusable
from reve_cli.api.endpoints import Api
from reve_cli.api.http import BODY_CAP, Request, Say
from reve_cli.api.judging import judge
from reve_cli.api.network import SYSTEM, Connections, patience, proxy_for, tls_context, trust_store
from reve_cli.api.origins import Origins
from reve_cli.core.clock import Clock, Deadline, Limits
from reve_cli.core.contract import CONSOLE
from reve_cli.core.errors import ErrorCode, ReveError
from reve_cli.core.models import Job, credits_of, cut, is_web_url
from reve_cli.doctor.findings import Finding, problem

# Seconds for one check. A slower network is not usable anyway.
PATIENCE = 6.0
# Seconds between this clock and the API's. With more, signatures and certificates fail.
SKEW = 300.0
_CONNECT = 5.0
# The API answers this without a key.
_KEYLESS = "/v2/models?modality=image"
# OpenSSL's codes for a certificate that is not valid yet, and for an expired one.
_TIME_FAULTS = (9, 10)


def limits_of(limits: Limits) -> Limits:
    """The limits of a run, shortened for a check: one try, a few seconds."""
    silence = min(limits.silence, PATIENCE)
    return Limits(connect=min(limits.connect, _CONNECT), silence=silence, tries=1, grace=limits.grace)


def proxy(base_url: str) -> Iterator[Finding]:
    """The proxy used for the API, shown without user and password. Raises `ReveError` if its URL is invalid."""
    url = proxy_for(base_url)
    shown = None if url is None else bare_proxy(url)
    if url is not None and _is_misspelt(url):
        hint = "write / ? # @ in user and password as %2F %3F %23 %40"
        raise ReveError("config", f"user or password in the URL of the proxy {shown} contain / ? or #", hint=hint)
    Connections("http", url, {}).close()  # raises if the URL is invalid
    named = " (with user or password)" if url and "@" in url else ""
    yield Finding("proxy", "ok", f"{shown or 'none'}{named}", details={"url": shown})


def bare_proxy(url: str) -> str:
    """A proxy's URL without user and password, even if they contain characters that should be escaped."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].split('/')[0]}"


def certificates(base_url: str, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Which certificate authorities are trusted. Raises `ReveError` if they cannot be read."""
    if not base_url.startswith("https:"):
        yield Finding("certificates", "ok", "not needed: the API is on this machine", details={"store": None})
        return
    store = trust_store()
    tls_context()
    where = environ.get(store)
    said = "the system" if store == SYSTEM else store + (f" ({where})" if where else "")
    yield Finding("certificates", "ok", f"trusted authorities from {said}", details={"store": store, "path": where})


def _is_misspelt(url: str) -> bool:
    """Whether user or password contain a character that ends them in a URL."""
    return bool(re.search("[/?#].*@", url.partition("://")[2]))


def api(base_url: str, clock: Clock, limits: Limits, deadline: Deadline) -> Iterator[Finding]:
    """How fast and how securely the API answers, and whether its clock and ours agree. Raises `ReveError`."""
    reached = _reach(base_url, clock, limits, deadline)
    secured = ""
    if reached.tls:
        secured = f"; {reached.tls}, certificate from {reached.issuer or 'an unknown issuer'}"
    said = f"{base_url}: connected in {_ms(reached.connected)}, answered in {_ms(reached.answered)}{secured}"
    details = {
        "url": base_url,
        "connectSeconds": round(reached.connected, 3),
        "answerSeconds": round(reached.answered, 3),
        "tls": reached.tls,
        "issuer": reached.issuer,
        "expires": reached.expires,
    }
    yield Finding("api", "ok", said, details=details)
    yield _clock(reached.skew)


def _clock(skew: float | None) -> Finding:
    if skew is None:
        return Finding("clock", "ok", "not checked: the API's answer has no date", details={"aheadSeconds": None})
    details = {"aheadSeconds": round(skew, 1)}
    if abs(skew) <= SKEW:
        return Finding("clock", "ok", "agrees with the API's clock", details=details)
    apart = f"{abs(skew) / 60:.0f} minutes {'ahead of' if skew > 0 else 'behind'} the API's clock"
    remedy = "synchronize the clock; on Linux: timedatectl set-ntp true"
    return problem("clock", ReveError("config", f"this machine's clock is {apart}", hint=remedy), details=details)


@dataclass(frozen=True)
class _Reached:
    """One exchange with the API. Times in seconds; `skew`: how far this machine's clock is ahead of the API's."""

    connected: float
    answered: float
    tls: str | None
    issuer: str | None
    expires: str | None
    skew: float | None


def _reach(base_url: str, clock: Clock, limits: Limits, deadline: Deadline) -> _Reached:
    """Ask the API a question that needs no key. Raises `ReveError` if the answer is missing or not from the API."""
    route = proxy_for(base_url)
    moments: dict[str, float] = {}

    def trace(event: str, info: Mapping[str, Any]) -> None:
        if "request" not in info or info["request"].method != b"CONNECT":
            moments[event.rpartition("http11.")[2]] = clock.monotonic()

    started = clock.monotonic()
    with contextlib.closing(Connections(urlsplit(base_url).scheme, route, {})) as connections:
        try:
            with connections.stream(
                "GET", base_url + _KEYLESS, timeout=patience(limits, deadline), trace=trace
            ) as response:
                answered = clock.monotonic()
                secured = response.extensions["network_stream"].get_extra_info("ssl_object")
                tls, issuer, expires = (None, None, None) if secured is None else _secured(secured)
                answer = Answer(response.status_code, _data(response, deadline), response.headers)
        except (httpx.RequestError, httpx.StreamError, httpx.InvalidURL, UnicodeError) as error:
            raise _unreachable(base_url, error, route) from error
    _check(base_url, answer)
    sent = moments.get("send_request_headers.started", answered)
    date = answer.date
    skew = None if date is None else clock.now() - date
    return _Reached(sent - started, answered - sent, tls, issuer, expires, skew)


def account(endpoints: Api, deadline: Deadline) -> Iterator[Finding]:
    """Whether the API accepts the key, and whose key it is. Raises `ReveError` if it does not."""
    found = endpoints.account(deadline)
    details = {
        "email": _masked(found.email),
        "team": found.team_name,
        "plan": found.plan,
        "credits": found.credits,
        "keyName": found.key_name,
        "simulated": endpoints.http.simulated,
    }
    named = (
        _masked(found.email),
        found.team_name,
        found.plan and f"plan {found.plan}",
        _credits(found, simulated=endpoints.http.simulated),
    )
    said = ", ".join(part for part in ("key accepted", *named) if part)
    if found.credits is not None and found.credits <= 0:
        yield Finding("account", "hint", said, f"buy credits at {CONSOLE}", details)
    else:
        yield Finding("account", "ok", said, details=details)


def _credits(found: Account, *, simulated: bool) -> str:
    return "" if found.credits is None else credits_of(found.credits, simulated=simulated)


def _masked(email: str | None) -> str | None:
    name, at, domain = (email or "").rpartition("@")
    return f"{name[:1]}***@{domain}" if at else None


def images(api: Api, origins: Origins, deadline: Deadline, debug: Say | None) -> Iterator[Finding]:
    """Whether the newest image can be fetched. Reads only its first bytes. No other request names the image server."""
    url = _newest_image(api, deadline)
    if url is None:
        unknown = {"host": None, "proxy": None, "seconds": None}
        yield Finding("images", "ok", "not checked: there is no recent image to fetch", details=unknown)
        return
    if not is_web_url(url):
        said = f"the newest image has an invalid URL: {cut(url)}"
        error = ReveError("network", said, hint="report it to Apiframe; the API sent this URL")
        yield problem("images", error, details={"host": None, "proxy": None, "seconds": None})
        return
    http = api.http
    route, started = proxy_for(url), http.clock.monotonic()
    host = urlsplit(url).hostname
    details: dict[str, Any] = {"host": host, "proxy": route and bare_proxy(route), "seconds": None}
    client = Images(origins, clock=http.clock, stop=http.stop, limits=http.limits, debug=debug)
    try:
        client.fetch(url, _Taste(), deadline)
    except _EnoughError:
        took = http.clock.monotonic() - started
        details["seconds"] = round(took, 3)
        yield Finding("images", "ok", f"{host}: the newest image started to arrive in {_ms(took)}", details=details)
    except Unusable as error:
        said = f"the newest image cannot be fetched from {host}: {error}"
        if error.gone:
            yield Finding(
                "images",
                "hint",
                f"{host} answers, but {error}",
                "generate an image, then run reve doctor again",
                details,
            )
        else:
            remedy = f"allow {host} in firewall and proxy; images come from there, not from the API"
            yield problem("images", ReveError("network", said, hint=remedy), details=details)
    finally:
        client.close()


class _EnoughError(Exception):
    """The first bytes of the image have arrived."""


class _Taste(io.BytesIO):
    """A file that stops the download at the first bytes written to it."""

    def write(self, data: Any) -> int:
        raise _EnoughError


def _newest_image(api: Api, deadline: Deadline) -> str | None:
    """The first image URL of the newest completed job (GET /v2/jobs); None if it has expired or there is no job."""

    def read(answer: Answer) -> list[Job] | None:
        found = answer.data.get("jobs") if isinstance(answer.data, dict) else None
        return [job for job in map(Job.from_wire, found) if job] if isinstance(found, list) else None

    request = Request("GET", "/v2/jobs", params={"status": "COMPLETED", "limit": "1"})
    jobs = api.sender.send(request, read, deadline, tries=api.http.limits.tries)
    return next((job.urls[0] for job in jobs if job.urls and not job.expired), None)


# Reading an answer, or explaining why there is none


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _secured(secured: Any) -> tuple[str | None, str | None, str | None]:
    """TLS version, certificate issuer and expiry date; None for what the system's verifier does not reveal."""
    certificate = secured.getpeercert() or {}
    issuer = dict(pair for part in certificate.get("issuer", ()) for pair in part)
    named = [issuer[name] for name in ("organizationName", "commonName") if name in issuer]
    return secured.version(), " ".join(named) or None, certificate.get("notAfter")


def _data(response: httpx.Response, deadline: Deadline) -> Any:
    raw = bytearray()
    for chunk in response.iter_bytes():
        raw += chunk
        if len(raw) > BODY_CAP:
            return None
        if deadline.passed:
            raise httpx.ReadTimeout("no complete answer in time")
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _check(base_url: str, answer: Answer) -> None:
    """Raise `ReveError` unless the answer is from the API. A demand for a key counts as one."""
    if isinstance(answer.data, dict | list) and answer.status in (200, 401, 403):
        return
    _, code = judge("GET", answer, usable=False)
    if code == "server":
        raise ReveError(code, f"{base_url} answers with status {answer.status}", hint="try again in a few minutes")
    if code == "rate_limited":
        raise ReveError(code, f"rate limit reached at {base_url}", hint="try again in a minute")
    said = f"a server in front of {base_url} answered with status {answer.status}, not the API"
    raise ReveError("gateway", said, hint="check the base URL and the proxy, and whether this network requires a login")


def _unreachable(base_url: str, error: Exception, route: str | None) -> ReveError:
    """The error for a request without an answer, with a hint that fits its cause."""
    causes = list(_causes(error))
    said = f"cannot reach {base_url}: {_reason(error)}"
    code: ErrorCode = "network"
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            if cause.verify_code in _TIME_FAULTS:
                hint = "check this machine's clock; if it is right, the server needs a new certificate"
            else:
                hint = (
                    "if your network or proxy inspects TLS, save its certificate authority to a file and run: "
                    "export SSL_CERT_FILE=authority.pem"
                )
            return ReveError(code, said, hint=hint)
    if route is not None:
        return ReveError(code, said, hint=f"check the proxy {bare_proxy(route)} (HTTPS_PROXY, NO_PROXY)")
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        hint = "check network and DNS; if this network requires a proxy, set HTTPS_PROXY"
        return ReveError(code, said, hint=hint)
    hint = "check network and firewall; if this network requires a proxy, set HTTPS_PROXY"
    return ReveError(code, said, hint=hint)


def _reason(error: Exception) -> str:
    return "no answer in time" if isinstance(error, httpx.TimeoutException) else str(error) or type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
