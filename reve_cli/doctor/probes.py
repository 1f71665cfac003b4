"""What `doctor` asks the network: proxy, certificates, the API, its clock, the key's account, the images' server.

Each probe is short of patience. The key goes along only with the questions for the account and its newest job.
Imports `checks`, `api`, `download`, `http`, `network`, `origins`, `accounts`, `models`, `clock`, `errors`; slow to
load, like `http`.
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
from reve_cli.api.network import SYSTEM, new_client, patience, proxy_for, tls_context, trust_store
from reve_cli.api.origins import Origins
from reve_cli.core.clock import Clock, Deadline, Limits
from reve_cli.core.errors import ErrorCode, ReveError
from reve_cli.core.models import Job, cut, is_web_url
from reve_cli.doctor.findings import Finding, problem

PATIENCE = 6.0
"""Seconds for a probe: what takes longer is not fit to work with."""
SKEW = 300.0
"""Seconds that this machine's clock may be wrong before signatures and certificates fail."""
_CONNECT = 5.0
_KEYLESS = "/v2/models?modality=image"
_TIME_FAULTS = (9, 10)
"""OpenSSL's numbers for a certificate that is not valid yet, and for one that has expired."""


def limits_of(limits: Limits) -> Limits:
    """The patience of a run, as short as a probe's."""
    silence = min(limits.silence, PATIENCE)
    return Limits(connect=min(limits.connect, _CONNECT), silence=silence, tries=1, grace=limits.grace)


def proxy(base_url: str) -> Iterator[Finding]:
    """The proxy on the way to the API. Its user and password are not told."""
    url = proxy_for(base_url)
    shown = None if url is None else bare_proxy(url)
    if url is not None and _is_misspelt(url):
        hint = "write / ? # and @ in its user and password as %2F %3F %23 %40"
        raise ReveError("config", f"the URL of the proxy {shown} means another host than that", hint=hint)
    new_client("http", url, {}).close()  # raises where it is none
    named = ", with a user's name or password" if url and "@" in url else ""
    yield Finding("proxy", "ok", f"{shown or 'none'}{named}", details={"url": shown})


def bare_proxy(url: str) -> str:
    """A proxy's URL without user and password, however they are spelt."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].split('/')[0]}"


def certificates(base_url: str, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Whose certificates are trusted. Raises `ReveError` where they cannot be read."""
    if not base_url.startswith("https:"):
        yield Finding("certificates", "ok", "none needed: the API is on this machine", details={"store": None})
        return
    store = trust_store()
    tls_context()
    where = environ.get(store)
    said = f"the {SYSTEM}'s" if store == SYSTEM else f"those of {store}" + (f" ({where})" if where else "")
    yield Finding("certificates", "ok", f"trusted are {said}", details={"store": store, "path": where})


def _is_misspelt(url: str) -> bool:
    """Whether user or password hold what ends them in a URL."""
    return bool(re.search("[/?#].*@", url.partition("://")[2]))


def api(base_url: str, clock: Clock, limits: Limits, deadline: Deadline) -> Iterator[Finding]:
    """How fast and how safely the API answers, and whether its clock and ours agree."""
    reached = _reach(base_url, clock, limits, deadline)
    secured = ""
    if reached.tls:
        secured = f"; {reached.tls}, certificate of {reached.issuer or 'an authority that the system does not tell'}"
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
        return Finding("clock", "ok", "not compared: the API's answer has no date", details={"aheadSeconds": None})
    details = {"aheadSeconds": round(skew, 1)}
    if abs(skew) <= SKEW:
        return Finding("clock", "ok", "agrees with the API's", details=details)
    apart = f"{abs(skew) / 60:.0f} minutes {'ahead of' if skew > 0 else 'behind'} the API's"
    remedy = "set this machine's clock by the network, on Linux with: timedatectl set-ntp true"
    return problem("clock", ReveError("config", f"this machine's clock is {apart}", hint=remedy), details=details)


@dataclass(frozen=True)
class _Reached:
    """How the API was reached. Times are in seconds; `skew` is how far this machine's clock is ahead of the API's."""

    connected: float
    answered: float
    tls: str | None
    issuer: str | None
    expires: str | None
    skew: float | None


def _reach(base_url: str, clock: Clock, limits: Limits, deadline: Deadline) -> _Reached:
    """Ask the API for what it tells without a key. Raises `ReveError` where no answer of the API's comes."""
    route = proxy_for(base_url)
    moments: dict[str, float] = {}

    def trace(event: str, info: Mapping[str, Any]) -> None:
        if "request" not in info or info["request"].method != b"CONNECT":
            moments[event.rpartition("http11.")[2]] = clock.monotonic()

    started = clock.monotonic()
    with contextlib.closing(new_client(urlsplit(base_url).scheme, route, {})) as client:
        try:
            with client.stream(
                "GET", base_url + _KEYLESS, timeout=patience(limits, deadline), extensions={"trace": trace}
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
    """Whether the API takes the key, and for whom. Raises `ReveError` where it does not."""
    found = endpoints.account(deadline)
    details = {
        "email": _masked(found.email),
        "team": found.team_name,
        "plan": found.plan,
        "credits": found.credits,
        "keyName": found.key_name,
        "simulated": endpoints.http.simulated,
    }
    named = (_masked(found.email), found.team_name, found.plan and f"plan {found.plan}", _credits(found))
    said = ", ".join(part for part in ("the key is taken", *named) if part)
    if found.credits is not None and found.credits <= 0:
        yield Finding("account", "hint", said, "buy credits in the Apiframe console", details)
    else:
        yield Finding("account", "ok", said, details=details)


def _credits(found: Account) -> str:
    return "" if found.credits is None else f"{found.credits:g} credits"


def _masked(email: str | None) -> str | None:
    name, at, domain = (email or "").rpartition("@")
    return f"{name[:1]}***@{domain}" if at else None


def images(api: Api, origins: Origins, deadline: Deadline, debug: Say | None) -> Iterator[Finding]:
    """Whether the newest image could be fetched. Only that tells where images are; nothing but its start is fetched."""
    url = _newest_image(api, deadline)
    if url is None:
        unknown = {"host": None, "proxy": None, "seconds": None}
        yield Finding("images", "ok", "their server is not known before the first image of these days", details=unknown)
        return
    if not is_web_url(url):
        said = f"the newest image's address is none: {cut(url)}"
        error = ReveError("network", said, hint="tell Apiframe: the API answers with it")
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
        yield Finding("images", "ok", f"{host}: the newest image began to come in {_ms(took)}", details=details)
    except Unusable as error:
        said = f"the newest image cannot be fetched from {host}: {error}"
        if error.gone:
            yield Finding("images", "hint", f"{host} answers, but {error}", "make an image, and look again", details)
        else:
            remedy = f"let {host} through the firewall and the proxy: images come from there, not from the API"
            yield problem("images", ReveError("network", said, hint=remedy), details=details)
    finally:
        client.close()


class _EnoughError(Exception):
    """The image has begun to come."""


class _Taste(io.BytesIO):
    """A file that an image is not written to."""

    def write(self, data: Any) -> int:
        raise _EnoughError


def _newest_image(api: Api, deadline: Deadline) -> str | None:
    """GET /v2/jobs: the first image of the newest job that has any which can still be fetched."""

    def read(answer: Answer) -> list[Job] | None:
        found = answer.data.get("jobs") if isinstance(answer.data, dict) else None
        return [job for job in map(Job.from_wire, found) if job] if isinstance(found, list) else None

    request = Request("GET", "/v2/jobs", params={"status": "COMPLETED", "limit": "1"})
    jobs = api.sender.send(request, read, deadline, tries=api.http.limits.tries)
    return next((job.urls[0] for job in jobs if job.urls and not job.expired), None)


# What an exchange came to


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _secured(secured: Any) -> tuple[str | None, str | None, str | None]:
    """TLS version, and the certificate's issuer and last day; None where the system verifies and does not tell."""
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
    """Raise `ReveError` unless this is an answer of the API's. That it wants a key is one."""
    if isinstance(answer.data, dict | list) and answer.status in (200, 401, 403):
        return
    _, code = judge("GET", answer, usable=False)
    if code == "server":
        raise ReveError(code, f"{base_url} answers with status {answer.status}", hint="try again in some minutes")
    if code == "rate_limited":
        raise ReveError(code, f"{base_url} answers that there are too many requests", hint="try again in a minute")
    said = f"something in front of {base_url} answers with status {answer.status}, not the API"
    raise ReveError("gateway", said, hint="check the base URL, the proxy, and whether this network wants a login")


def _unreachable(base_url: str, error: Exception, route: str | None) -> ReveError:
    """Why there is no answer, and what to do about it."""
    causes = list(_causes(error))
    said = f"cannot reach {base_url}: {_reason(error)}"
    code: ErrorCode = "network"
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            if cause.verify_code in _TIME_FAULTS:
                hint = "check this machine's clock; if it is right, tell whoever runs that server"
            else:
                hint = (
                    "if your company's network or proxy inspects TLS, put its authority into a file and name it: "
                    "export SSL_CERT_FILE=authority.pem"
                )
            return ReveError(code, said, hint=hint)
    if route is not None:
        return ReveError(code, said, hint=f"check the proxy {bare_proxy(route)} (HTTPS_PROXY, NO_PROXY)")
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        hint = "check the network and its name server; where only a proxy leads out, set HTTPS_PROXY"
        return ReveError(code, said, hint=hint)
    hint = "check the network and its firewall; where only a proxy leads out, set HTTPS_PROXY"
    return ReveError(code, said, hint=hint)


def _reason(error: Exception) -> str:
    return "no answer in time" if isinstance(error, httpx.TimeoutException) else str(error) or type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
