"""Sends events on to another program: the same bytes, the same content type and webhook headers.

After a connection error or a 5xx, an event is sent again after 1, 5 and 30 s; at most 4 are sent at once. The main
thread owns all state.
May import: webhooks.posting (late, as it loads httpx), webhooks.receiving, engine.workers, core.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from reve_cli.core.clock import Clock
from reve_cli.core.errors import ReveError
from reve_cli.engine.workers import Inbox, Then, Workers
from reve_cli.webhooks.receiving import Delivery

if TYPE_CHECKING:
    from reve_cli.webhooks.posting import Poster

_AT_ONCE = 4
_AGAIN = (1.0, 5.0, 30.0)


@dataclass
class Forwarded:
    """How an event was forwarded. status: of the last answer; None without one. tries: how often it was sent."""

    status: int | None = None
    tries: int = 0
    why: str = ""

    @property
    def arrived(self) -> bool:
        """Whether the program answered with anything but a 5xx, so the event is not sent again."""
        return self.status is not None and self.status < 500

    def document(self) -> dict[str, Any]:
        """The same in JSON."""
        return {"status": self.status, "tries": self.tries}


class Forwarder:
    """Forwards events, in threads."""

    def __init__(self, poster: "Poster", inbox: Inbox, clock: Clock) -> None:
        self._poster, self._clock = poster, clock
        self._workers = Workers(inbox, {"forward": _AT_ONCE})
        self._waiting: list[tuple[float, Delivery, Forwarded, Callable[[Forwarded], None]]] = []
        self._sending = 0

    def close(self) -> None:
        """End the threads."""
        self._workers.close()

    @property
    def is_busy(self) -> bool:
        """Whether an event is still to be forwarded."""
        return bool(self._waiting or self._sending)

    def send(self, delivery: Delivery, then: Callable[[Forwarded], None]) -> None:
        """Forward an event. then: called with the outcome, in the main thread."""
        self._waiting.append((0.0, delivery, Forwarded(), then))

    def tick(self) -> float:
        """Start what is due. Returns the seconds until something is due."""
        now = self._clock.monotonic()
        for each in sorted(self._waiting, key=lambda one: one[0]):
            due, delivery, outcome, then = each
            if due > now:
                return due - now
            if not self._workers.have_room("forward"):
                return math.inf  # the end of one of them wakes the main thread
            self._waiting.remove(each)
            self._sending += 1
            work = partial(self._post, delivery, outcome, then)
            self._workers.start("forward", work, partial(self._fail, outcome, then))
        return math.inf

    def _post(self, delivery: Delivery, outcome: Forwarded, then: Callable[[Forwarded], None]) -> Then:
        status, why = self._poster.post(delivery.body, list(delivery.headers))
        return partial(self._take, delivery, outcome, then, status, why)

    def _take(
        self,
        delivery: Delivery,
        outcome: Forwarded,
        then: Callable[[Forwarded], None],
        status: int | None,
        why: str,
    ) -> None:
        self._sending -= 1
        outcome.status, outcome.why, outcome.tries = status, why, outcome.tries + 1
        if outcome.arrived or outcome.tries > len(_AGAIN):
            then(outcome)
        else:
            due = self._clock.monotonic() + _AGAIN[outcome.tries - 1]
            self._waiting.append((due, delivery, outcome, then))

    def _fail(self, outcome: Forwarded, then: Callable[[Forwarded], None], error: ReveError) -> None:
        self._sending -= 1
        outcome.why = error.message
        then(outcome)
