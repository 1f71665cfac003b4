"""The one way to send anything to the API: one client, one table of what an answer means, one loop of tries.

What matters about a failed POST is whether a job may have been made. `judge` answers that for every answer and every
failure, and `Http.send` never lets a later refusal hide an earlier "perhaps".
Imports `clock`, `errors`, `models`, `network`, `pace` and httpx, which is slow to load: import this module only where a
request is about to be made.

The API client follows no redirects, so the key goes to no other origin, and it takes the key out of all that it reads.
"""

import email.utils
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from reve_cli.api.network import explain, new_client, patience, proxy_for
from reve_cli.api.pace import LONGEST, LONGEST_URGENT, Obstacles, Pace
from reve_cli.core.clock import Clock, Deadline, Limits, Stop
from reve_cli.core.errors import ErrorCode, ReveError
from reve_cli.core.models import cut, is_loopback

T = TypeVar("T")
Say = Callable[[str], None]

BODY_CAP = 16 * 2**20
"""Bytes of an answer that are read at most; what is longer is no answer of this API."""
ERROR_BODY_CAP = 64 * 2**10
FOREVER = float("inf")
_LOUD_WAIT = 2.0
"""Waits longer than this, in seconds, are announced."""
_CONFLICT_TRIES = 3
_DEBUG_LENGTH = 2000
_DEBUG_HEADERS = ("content-type", "content-length", "date", "location", "retry-after", "server", "x-request-id")


class Verdict(Enum):
    """What one try of a POST came to."""

    OK = auto()
    REFUSED = auto()
    """Final, and nothing was accepted."""
    NOT_ACCEPTED = auto()
    """Worth another try, and nothing was accepted."""
    CONFLICT = auto()
    """The idempotency key is known with another body, or its first request is still being worked on."""
    PERHAPS = auto()
    """Worth another try with the same key: the request may have been accepted."""


@dataclass(frozen=True)
class Answer:
    """What came back: the status, and the body where it was JSON. `data` is None where it was not."""

    status: int
    data: Any
    headers: Mapping[str, str]

    @property
    def request_id(self) -> str | None:
        return self.headers.get("x-request-id")

    @property
    def text(self) -> str:
        """The API's own words, cut to one readable line."""
        said = self.data.get("error") if isinstance(self.data, dict) else None
        words = " ".join(said.split()) if isinstance(said, str) else ""
        return cut(words)

    def seconds(self, clock: Clock) -> float:
        """How long `Retry-After` asks to wait, given in seconds or as a date; 0 where it does not."""
        value = self.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdigit():
            return float(value[:9])
        moment = http_date(value)
        return max(0.0, moment - (http_date(self.headers.get("date", "")) or clock.now())) if moment else 0.0


@dataclass(frozen=True)
class Failure:
    """No answer: why, and whether any byte of the request had left."""

    reason: str
    sent: bool
    hint: str | None = None
    lasting: bool = False
    """Another try is pointless as long as nobody does something about it."""


def http_date(text: str) -> float | None:
    """An HTTP date as seconds since the epoch, or None."""
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


_REFUSALS: dict[int, ErrorCode] = {401: "invalid_key", 403: "forbidden", 402: "insufficient_credits", 404: "not_found"}
_HINTS: dict[ErrorCode, str] = {
    "invalid_key": "check the key: reve auth status tells where it comes from",
    "forbidden": "the key is inactive or lacks a permission: see the Apiframe console",
    "gateway": "this came from something in front of the API: check the base URL, the proxy and the network",
}


def judge(method: str, outcome: Answer | Failure, usable: bool) -> tuple[Verdict, ErrorCode]:
    """What one try came to, and the error that the request ends with if it was the last one.

    `usable`: the answer was what was asked for. A GET makes no job: for it, "perhaps accepted" is "not accepted".
    """
    verdict, code = _judge_post(outcome, usable)
    if method == "POST":
        return verdict, "invalid_request" if code == "not_found" else code
    if verdict is Verdict.CONFLICT:
        return Verdict.REFUSED, "invalid_request"
    return (Verdict.NOT_ACCEPTED if verdict is Verdict.PERHAPS else verdict), code


def _judge_post(outcome: Answer | Failure, usable: bool) -> tuple[Verdict, ErrorCode]:
    if isinstance(outcome, Failure):
        return (Verdict.PERHAPS if outcome.sent else Verdict.NOT_ACCEPTED), "network"
    status, is_json = outcome.status, isinstance(outcome.data, dict)
    if 200 <= status < 300:
        return (Verdict.OK, "internal") if usable else (Verdict.PERHAPS, "gateway")
    if status == 429:
        return Verdict.NOT_ACCEPTED, "rate_limited"
    if status == 503 and is_json:
        return Verdict.NOT_ACCEPTED, "server"
    if status >= 500 or status == 408:
        return Verdict.PERHAPS, "server" if is_json else "gateway"
    if status == 409:
        return Verdict.CONFLICT, "key_conflict"
    if status == 403 and not is_json:
        return Verdict.NOT_ACCEPTED, "gateway"
    if status in (302, 303):  # how a form answers that it has taken a POST
        return Verdict.PERHAPS, "gateway"
    if status < 400 or status == 407 or (status in (404, 405) and not is_json):
        return Verdict.REFUSED, "gateway"
    return Verdict.REFUSED, _REFUSALS.get(status, "invalid_request")


class Http:
    """The API's origin, the key and the patience of one run."""

    def __init__(
        self, base_url: str, key: str, *, clock: Clock, stop: Stop, limits: Limits, say: Say, debug: Say | None
    ) -> None:
        self.base_url = base_url
        self.clock, self.stop, self.limits = clock, stop, limits
        self.simulated = False
        self.trouble: str | None = None
        """What the last try came to, where it brought no answer that could be used; or what this one waits for."""
        self.pace: Pace | None = None
        """At what rate to ask, for a command that asks so much that it matters, and that shows `obstacles` itself."""
        self.obstacles = Obstacles(clock)
        self.key, self._say, self._debug = key, say, debug
        url = urlsplit(base_url)
        self.loopback = is_loopback(url.hostname or "")
        self._client = new_client(url.scheme, proxy_for(base_url), {"X-API-Key": key})

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def send(
        self,
        method: str,
        path: str,
        read: Callable[[Answer], T | None],
        deadline: Deadline,
        *,
        tries: float,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        before: Callable[[], None] = lambda: None,
        leaving: Callable[[], None] = lambda: None,
        perhaps: bool = False,
    ) -> T:
        """Send a request until it is answered with something that `read` can use (it answers None where not).

        Raises `ReveError`: after a final refusal, after `tries` tries, at the deadline, or when told to stop; also when
        the next try would be after the deadline, unless `tries` is `FOREVER`: then it waits for the deadline. For a
        POST it is `unsettled` (exit 75) once any try may have been accepted, be it one of another process (`perhaps`).
        `before` is called before every try, and may raise `ReveError` to have none. `leaving` is called as the first
        byte is about to leave: where it was not called before `stop`, nothing has left, and nothing will.
        """
        conflicts = number = 0
        conflict: ReveError | None = None
        error = ReveError("timed_out", f"the time limit of {deadline.seconds:g} s passed before anything was sent")
        while True:
            if self.stop or deadline.passed:
                if number == 0 and self.stop.signum is not None:
                    error = ReveError("interrupted", "interrupted before anything was sent")
                raise self._settle(conflict or error, perhaps)
            if self.pace and not self._may_go(method, deadline):
                continue
            try:
                before()
            except ReveError as refused:
                raise self._settle(refused, perhaps) from refused
            number += 1
            started = self.clock.monotonic()
            outcome = self._try(method, path, params, body, headers or {}, deadline, leaving)
            result = read(outcome) if isinstance(outcome, Answer) else None
            verdict, code = judge(method, outcome, result is not None)
            if verdict in (Verdict.OK, Verdict.REFUSED):
                self.obstacles.passed(method, started)
            if result is not None and verdict is Verdict.OK:
                self.trouble = None
                return result
            error = self._error(code, outcome)
            self.trouble = error.message
            if verdict is Verdict.CONFLICT:
                conflicts, conflict = conflicts + 1, error
            perhaps |= verdict in (Verdict.PERHAPS, Verdict.CONFLICT)
            delay = self._delay(number, verdict, outcome)
            if self.pace or tries == FOREVER:  # no single answer is to end what is to go on
                delay = min(delay, LONGEST if method == "POST" else LONGEST_URGENT)
            if self.pace and code == "rate_limited":
                number -= 1  # it is not this request's fault
            why = _why(code, outcome)
            if verdict is not Verdict.REFUSED:
                self.obstacles.met(method, delay, why)
            hopeless = delay >= deadline.left or (isinstance(outcome, Failure) and outcome.lasting)
            over = number >= tries or conflicts >= _CONFLICT_TRIES or (hopeless and tries != FOREVER)
            if verdict is Verdict.REFUSED or over:
                raise self._settle(conflict or error, perhaps)  # no later answer undoes it
            if delay > _LOUD_WAIT and not self.pace and self.obstacles.is_news(why):
                self._say(f"{error.message}; trying again in {delay:.0f} s")
            self.clock.sleep(min(delay, max(0.0, deadline.left)), self.stop)

    def _may_go(self, method: str, deadline: Deadline) -> bool:
        """Wait for a request's turn. Returns whether it came, and not the end of the whole command.

        Questions go first: images that are done are not to wait until others are begun.
        """
        assert self.pace is not None
        self.pace.wait(self.stop, deadline, urgent=method != "POST")
        return not (self.stop or deadline.passed)

    def _settle(self, error: ReveError, perhaps: bool) -> ReveError:
        """What a request ends with: no refusal undoes an earlier try that may have been accepted."""
        if not perhaps or error.exit_code == 75:
            return error
        message = f"sent, and perhaps accepted: {error.message}"
        return ReveError("unsettled", message, request_id=error.request_id, details=error.details)

    def _delay(self, number: int, verdict: Verdict, outcome: Answer | Failure) -> float:
        """Seconds until the next try: doubling, jittered, and never less than the server asked for.

        After a "perhaps" it is at least 2 s, so that a server that de-duplicates late has noted the first try.
        """
        first = 2.0 if verdict in (Verdict.PERHAPS, Verdict.CONFLICT) else 0.5
        backoff = min(first * 2.0 ** min(number - 1, 10), 30.0)
        asked = outcome.seconds(self.clock) if isinstance(outcome, Answer) else 0.0
        return max(backoff * random.uniform(1, 1.25), asked)  # noqa: S311 - spreads retries, keeps no secret

    def _error(self, code: ErrorCode, outcome: Answer | Failure) -> ReveError:
        if isinstance(outcome, Failure):
            problem = "no usable answer from" if outcome.sent else "cannot reach"
            return ReveError(code, f"{problem} {self.base_url}: {cut(outcome.reason)}", hint=outcome.hint)
        details = outcome.data.get("details") if isinstance(outcome.data, dict) else None
        if code == "insufficient_credits":
            details = {name: outcome.data.get(name) for name in ("creditsRequired", "creditsAvailable")}
        message = f"the API answered {outcome.status}" + (f": {outcome.text}" if outcome.text else "")
        if code == "gateway":
            message = f"no answer of the API's, but status {outcome.status} with something else than its JSON"
        if isinstance(details, dict):
            words = (f"{name}: {_words(value)}" for name, value in list(details.items())[:5])
            message += f" ({cut('; '.join(words))})"
        return ReveError(
            code,
            message + (f" [request {outcome.request_id}]" if outcome.request_id else ""),
            hint=_HINTS.get(code),
            request_id=outcome.request_id,
            details=details if isinstance(details, dict) else None,
        )

    def _try(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        body: bytes | None,
        headers: Mapping[str, str],
        deadline: Deadline,
        leaving: Callable[[], None],
    ) -> Answer | Failure:
        """One exchange. Never raises for anything that the network or the server does."""
        sent, trouble = False, self.trouble

        def trace(event: str, info: Mapping[str, Any]) -> None:
            nonlocal sent
            if event == "connection.connect_tcp.started":
                self.trouble = f"no connection to {self.base_url} yet: its name server, or the server, does not answer"
            elif event == "connection.connect_tcp.complete":
                self.trouble = trouble
            if event.endswith("send_request_headers.started") and info["request"].method != b"CONNECT":
                leaving()  # before the look at `stop`, which is set before anybody asks whether this was called
                if method == "POST" and (self.stop or deadline.passed):  # connecting took its time
                    raise httpx.ConnectError("stopped before it was sent")
                sent = True

        started = self.clock.monotonic()
        if self._debug and body is not None:
            self._debug(f"{method} {path} {cut(self._clean(body.decode()), _DEBUG_LENGTH)}")
        try:
            with self._client.stream(
                method,
                self.base_url + path,
                params=params,
                content=body,
                headers={**headers, "Content-Type": "application/json"} if body is not None else headers,
                timeout=patience(self.limits, deadline),
                extensions={"trace": trace},
            ) as response:
                answer = self._read(response, deadline)
        except (httpx.RequestError, httpx.StreamError, httpx.InvalidURL, UnicodeError) as error:
            met = explain(error)
            reason = self._clean(met.reason)
            if self._debug:
                self._debug(f"{method} {path} failed after {self.clock.monotonic() - started:.3f} s: {reason}")
            return Failure(reason, sent, met.hint, met.lasting)
        if self.pace and answer.status == 429:
            self.pace.refused(answer.seconds(self.clock))
        elif self.pace:
            self.pace.passed()
        if self._debug:
            shown = ", ".join(f"{name}: {answer.headers[name]}" for name in _DEBUG_HEADERS if name in answer.headers)
            took = f"{self.clock.monotonic() - started:.3f} s"
            self._debug(
                f"{method} {path} -> {answer.status} in {took} ({shown}) {cut(json.dumps(answer.data), _DEBUG_LENGTH)}"
            )
        return answer

    def _read(self, response: httpx.Response, deadline: Deadline) -> Answer:
        """The whole answer, decoded, or as much of it as anyone could want."""
        cap = BODY_CAP if response.is_success else ERROR_BODY_CAP
        raw = bytearray()
        for chunk in response.iter_bytes():
            raw += chunk
            if len(raw) > cap:
                raw.clear()
                break
            if deadline.passed:
                raise httpx.ReadTimeout("no complete answer in time")
        try:
            data = self._cleaned(json.loads(raw.decode(), parse_constant=lambda _: None))
        except (ValueError, RecursionError):
            data = None
        headers = {name: self._clean(value) for name, value in response.headers.items()}
        self.simulated |= self.loopback and "x-reve-sandbox" in headers
        return Answer(response.status_code, data, headers)

    def _clean(self, text: str) -> str:
        """Server text without the key, should a server repeat it."""
        return text.replace(self.key, "afk_[hidden]")

    def _cleaned(self, data: Any) -> Any:
        """Parsed JSON without the key, however it was escaped."""
        if isinstance(data, dict):
            return {self._clean(name): self._cleaned(value) for name, value in data.items()}
        if isinstance(data, list):
            return [self._cleaned(item) for item in data]
        return self._clean(data) if isinstance(data, str) else data


def _why(code: ErrorCode, outcome: Answer | Failure) -> str:
    """What one try came to, in a few words that are the same for all that came to the same."""
    if isinstance(outcome, Failure):
        return "no answer from the API" if outcome.sent else "the API cannot be reached"
    return f"{'something else than the API' if code == 'gateway' else 'the API'} says {outcome.status}"


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
