"""Answers the requests of a webhook: refuses what the API did not sign, stores an event, then answers 204.

The order: path 404, method 405, `Origin` 403, size 413 (the server's), signature 401, JSON 400, stored, 204; 503 if it
cannot be stored. The Host is not checked, because a tunnel changes it; the query is ignored.

May import: webhooks.events, serving, journal.database (late), core.clock.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from reve_cli.core.clock import Clock
from reve_cli.serving.answers import Answer, plain
from reve_cli.serving.requests import Request
from reve_cli.serving.signatures import HEADER, BadSignature, Derivation, verify
from reve_cli.webhooks.events import Event, read_event

# Seconds between two notes about refused requests.
_QUIET = 10.0
_REWRITTEN = "; a tunnel or proxy that rewrites JSON breaks signatures: see reve help webhooks"
_PASSED_ON = ("content-type", "x-webhook-")


@dataclass(frozen=True)
class Delivery:
    """An event that was received, with the bytes that were signed.

    headers: those that are passed on with it. received: in epoch seconds. is_new: not a repetition.
    """

    event: Event
    body: bytes
    headers: tuple[tuple[str, str], ...]
    received: float
    verified_as: Derivation
    is_new: bool = True


class Store(Protocol):
    """Stores an event and returns whether it is new. Raises `JournalError`. See `journal.events.Events.add`."""

    def __call__(self, job: str, event: str, body: bytes, verified_as: str, received: float) -> bool: ...


@dataclass
class Receiver:
    """Answers requests, in the threads of a server.

    keys: API keys, any of which may have signed. path: the only one that is served; None for any. told: called with
    each event once it is stored. say: prints a warning. Both are called in any thread.
    """

    keys: Sequence[str]
    path: str | None
    store: Store
    told: Callable[[Delivery], None]
    say: Callable[[str], None]
    clock: Clock

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._silent_until, self._untold = 0.0, 0

    def refuse(self, request: Request) -> Answer | None:
        """The answer to a request whose body need not be read; None for all others."""
        if self.path is not None and request.path != self.path:
            return self._refusal(404, f"a request for {request.path!r} was refused: the path is {self.path}")
        if request.method != "POST":
            answer = self._refusal(405, f"a {request.method} request was refused: webhooks are POST requests")
            return Answer(answer.status, answer.body, {**answer.headers, "Allow": "POST"})
        if request.values("origin"):
            return self._refusal(403, "a request from a web page was refused")
        return None

    def answer(self, request: Request) -> Answer:
        """Check, store and answer an event."""
        from reve_cli.journal.database import JournalError

        try:
            verified_as = verify(request.body, request.values(HEADER.lower()), self.keys)
        except BadSignature as bad:
            hint = _REWRITTEN if "does not match" in str(bad) else ""
            return self._refusal(401, f"an event was refused: {bad}{hint}")
        try:
            event = read_event(request.body)
        except ValueError as error:
            return self._refusal(400, f"a signed event was refused: {error}")
        now = self.clock.now()
        try:
            is_new = self.store(event.job, event.name, request.body, verified_as, now)
        except JournalError as error:
            return self._refusal(503, f"an event could not be stored, so the API sends it again: {error}")
        headers = tuple((name, value) for name, value in request.headers if name.startswith(_PASSED_ON))
        self.told(Delivery(event, request.body, headers, now, verified_as, is_new))
        return Answer(204)

    def _refusal(self, status: int, why: str) -> Answer:
        """Refuse, and say why unless something was said a moment ago."""
        with self._lock:
            now = self.clock.monotonic()
            if now < self._silent_until:
                self._untold += 1
            else:
                more = f" ({self._untold} others before it)" if self._untold else ""
                self._silent_until, self._untold = now + _QUIET, 0
                self.say(f"{why}{more}")
        return plain(status, why.partition(";")[0])
