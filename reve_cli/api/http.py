"""One exchange with the API over one HTTP client.

The client follows no redirects, so the key reaches no other origin. The key is removed from everything that is read.
httpx is slow to load: import this module only just before a request.
May import: core.clock, core.models, api.answers, api.network.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx

from reve_cli.api.answers import Answer, Failure
from reve_cli.api.network import Connections, explain, patience, proxy_for
from reve_cli.core.clock import Clock, Deadline, Limits, Stop
from reve_cli.core.models import cut, is_loopback

Say = Callable[[str], None]

# bytes read of a successful answer; a longer one counts as not JSON
BODY_CAP = 16 * 2**20
# bytes read of any other answer
ERROR_BODY_CAP = 64 * 2**10
# NaN and Infinity, which JSON lacks, count as null
_DECODER = json.JSONDecoder(parse_constant=lambda _: None)
_DEBUG_LENGTH = 2000
_DEBUG_HEADERS = ("content-type", "content-length", "date", "location", "retry-after", "server", "x-request-id")


@dataclass(frozen=True)
class Request:
    """A request to the API. `body` is JSON; `path` begins with a slash."""

    method: Literal["GET", "POST"]
    path: str
    params: Mapping[str, str] | None = None
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Http:
    """The client of one run, with its key, its time limits and the clock it runs by. Any thread may use it.

    loopback: whether the API is on this machine.
    simulated: whether the API is the sandbox.
    is_connecting: the newest attempt to connect has not ended.
    """

    def __init__(self, base_url: str, key: str, *, clock: Clock, stop: Stop, limits: Limits, debug: Say | None) -> None:
        url = urlsplit(base_url)
        self.base_url, self.key = base_url, key
        self.clock, self.stop, self.limits = clock, stop, limits
        self.loopback = is_loopback(url.hostname or "")
        self.simulated = False
        self.is_connecting = False
        self._debug = debug
        self._connections = Connections(url.scheme, proxy_for(base_url), {"X-API-Key": key})

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def exchange(self, request: Request, deadline: Deadline, leaving: Callable[[], None]) -> Answer | Failure:
        """Send a request once and read the answer. Network and server problems become a `Failure`.

        leaving: called just before the first byte leaves. If it was not called before `stop` was set, no byte of a
            POST leaves any more.
        """
        trace = _Trace(self, request, deadline, leaving)
        started = self.clock.monotonic()
        if self._debug and request.body is not None:
            self._debug(f"{_name(request)} {cut(self._clean(request.body.decode()), _DEBUG_LENGTH)}")
        try:
            with self._connections.stream(
                request.method,
                self.base_url + request.path,
                params=request.params,
                body=request.body,
                headers=request.headers.items(),
                timeout=patience(self.limits, deadline),
                trace=trace,
            ) as response:
                answer = self._read(response, deadline)
        except (httpx.RequestError, httpx.StreamError, httpx.InvalidURL, UnicodeError) as error:
            self.is_connecting = False
            trouble = explain(error)
            reason = self._clean(trouble.reason)
            if self._debug:
                self._debug(f"{_name(request)} failed after {self.clock.monotonic() - started:.3f} s: {reason}")
            return Failure(reason, trace.sent, trouble.hint, trouble.lasting)
        if self._debug:
            shown = ", ".join(f"{name}: {answer.headers[name]}" for name in _DEBUG_HEADERS if name in answer.headers)
            took = f"{self.clock.monotonic() - started:.3f} s"
            body = cut(json.dumps(answer.data), _DEBUG_LENGTH)
            self._debug(f"{_name(request)} -> {answer.status} in {took} ({shown}) {body}")
        return answer

    def _read(self, response: httpx.Response, deadline: Deadline) -> Answer:
        """Read and decode an answer up to its size limit."""
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
            text = raw.decode()
            data = _DECODER.decode(text)
            if "\\" in text or self.key in text:
                data = self._cleaned(data)
        except (ValueError, RecursionError):
            data = None
        headers = {
            name.decode("latin-1").lower(): self._clean(value.decode("latin-1")) for name, value in response.headers.raw
        }
        self.simulated |= self.loopback and "x-reve-sandbox" in headers
        return Answer(response.status_code, data, headers)

    def _clean(self, text: str) -> str:
        """Remove the key from text, in case the server repeats it."""
        return text.replace(self.key, "afk_[hidden]")

    def _cleaned(self, data: Any) -> Any:
        """Remove the key from all text in parsed JSON: there, backslash escapes no longer disguise it."""
        if isinstance(data, dict):
            return {self._clean(name): self._cleaned(value) for name, value in data.items()}
        if isinstance(data, list):
            return [self._cleaned(item) for item in data]
        return self._clean(data) if isinstance(data, str) else data


class _Trace:
    """Follows one exchange through httpx's trace events. `sent`: whether any byte of the request has left."""

    def __init__(self, http: Http, request: Request, deadline: Deadline, leaving: Callable[[], None]) -> None:
        self._http, self._request, self._deadline, self._leaving = http, request, deadline, leaving
        self.sent = False

    def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.started":
            self._http.is_connecting = True
        elif event == "connection.connect_tcp.complete":
            self._http.is_connecting = False
        elif event.endswith("send_request_headers.started") and info["request"].method != b"CONNECT":
            # before the check of `stop`: whoever sets `stop` then asks whether `leaving` was called
            self._leaving()
            stopped = self._http.stop or self._deadline.passed
            if self._request.method == "POST" and stopped:  # connecting can take long
                raise httpx.ConnectError("stopped before it was sent")
            self.sent = True


def _name(request: Request) -> str:
    return f"{request.method} {request.path}"
