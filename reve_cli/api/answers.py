"""The result of one HTTP exchange: an answer, or a failure without one.

May import: core.clock, core.models.
"""

import email.utils
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reve_cli.core.clock import Clock
from reve_cli.core.models import cut


@dataclass(frozen=True)
class Answer:
    """An HTTP answer. `data` is the parsed JSON body, None if the body is not JSON. Header names are in lower case."""

    status: int
    data: Any
    headers: Mapping[str, str]

    @property
    def request_id(self) -> str | None:
        return self.headers.get("x-request-id")

    @property
    def text(self) -> str:
        """The API's error message as one line of readable length; empty if there is none."""
        said = self.data.get("error") if isinstance(self.data, dict) else None
        words = " ".join(said.split()) if isinstance(said, str) else ""
        return cut(words)

    @property
    def date(self) -> float | None:
        """The server's time of the answer, in epoch seconds; None if it is missing or invalid."""
        return http_date(self.headers.get("date", ""))

    def retry_after(self, clock: Clock) -> float:
        """Seconds that `Retry-After` asks to wait, given in seconds or as a date; 0 if it is missing or invalid."""
        value = self.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdigit():
            return float(value[:9])
        moment = http_date(value)
        return max(0.0, moment - (self.date or clock.now())) if moment else 0.0


@dataclass(frozen=True)
class Failure:
    """A request without an answer.

    sent: whether any byte of the request had left.
    lasting: another try fails too until somebody fixes the cause.
    """

    reason: str
    sent: bool
    hint: str | None = None
    lasting: bool = False


def http_date(text: str) -> float | None:
    """Parse an HTTP date into epoch seconds; None if it is invalid."""
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
