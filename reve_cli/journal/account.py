"""Whose API key a command uses, and which rows of the journal belong to that account.

May import: core.clock; journal.journal and journal.rows (for types only).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from reve_cli.core.clock import DAY

if TYPE_CHECKING:
    from reve_cli.journal.journal import Journal
    from reve_cli.journal.rows import Row

# A learned rate counts for this many seconds: the limit may change, and so may the number of programs that share it.
_RATE_SECONDS = 7 * DAY

Use = Callable[[Callable[["Journal"], Any]], Any]
"""Calls a function with the journal and returns its result, or None if there is no journal."""


class Account:
    """The account of this command's API key. Any thread may call any method.

    origin: of the API. key_tag: the journal's tag of the key, "" without a journal.
    """

    def __init__(self, origin: str, key_tag: str, use: Use) -> None:
        self.origin, self.key_tag, self._use = origin, key_tag, use
        self._name: str | None = None

    @property
    def name(self) -> str | None:
        """User and team, or None if the API was never asked."""
        if self._name is None:
            self._name = self._use(lambda journal: journal.account(self.origin, self.key_tag))
        return self._name

    def note(self, name: str) -> None:
        """Record the account's name, as the API answered it."""
        self._name = name
        self._use(lambda journal: journal.note_account(self.origin, self.key_tag, name))

    @property
    def rate(self) -> float | None:
        """Requests per minute that the API allows this key, as a command of the last days learned."""
        found: float | None = self._use(lambda journal: journal.rate(self.origin, self.key_tag, _RATE_SECONDS))
        return found

    def note_rate(self, per_minute: float) -> None:
        """Record the requests per minute that the API allows this key."""
        self._use(lambda journal: journal.note_rate(self.origin, self.key_tag, per_minute))

    def may_fetch(self, row: "Row") -> bool:
        """Whether this key can read a row's job: the row has the same origin, and the same key or account."""
        same = row.key_tag == self.key_tag or (row.account is not None and row.account == self.name)
        return row.origin == self.origin and same

    def may_own(self, row: "Row") -> bool:
        """Whether a row with another key may still belong to this account: one of the two accounts is unknown."""
        unknown = row.account is None or self.name is None
        return row.origin == self.origin and row.key_tag != self.key_tag and unknown
