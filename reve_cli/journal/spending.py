"""Spending caps: the most that a command, or any 24 hours, may cost. They are checked before anything is submitted.

Charges count, and so do possible charges: every image requested counts in full, even if its job fails later.

May import: core; journal.journal (for types only).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reve_cli.core.clock import DAY, HOUR, Clock
from reve_cli.core.errors import ReveError
from reve_cli.core.models import credits_of, plural

if TYPE_CHECKING:
    from reve_cli.journal.journal import Journal

KEY_LIFETIME = 23 * HOUR
"""Seconds after its first try in which a request may be sent again. The API keeps a key for 24 hours."""


@dataclass(frozen=True)
class Caps:
    """Limits in credits, or None: for this command, and for any 24 hours. `price`: the most that an image costs."""

    command: float | None
    day: float | None
    price: float
    simulated: bool = False

    def check_command(self, count: int) -> None:
        """Raise `ReveError` (code `over_cap`) if `count` images cost more than the command may."""
        cost = count * self.price
        if self.command is not None and cost > self.command:
            raise ReveError(
                "over_cap",
                f"{self._images(count)} may cost {self._credits(cost)}, but --max-credits is {self.command:g}; "
                "nothing was submitted",
                hint="raise --max-credits or request fewer images",
            )

    def check_day(self, spent: float, count: int) -> None:
        """Raise `ReveError` (code `over_cap`) if `count` more images cost more than the last 24 hours may."""
        cost = count * self.price
        if self.day is not None and spent + cost > self.day:
            raise ReveError(
                "over_cap",
                f"{self._images(count)}, after {self._credits(spent)} in the last 24 hours, may cost "
                f"{self._credits(spent + cost)}, but max_credits_per_day is {self.day:g}; nothing was submitted",
                hint="reve history shows past charges; raise max_credits_per_day or wait",
            )

    def _images(self, count: int) -> str:
        return f"{plural(count, 'image')} at up to {self._credits(self.price)} each"

    def _credits(self, amount: float) -> str:
        return credits_of(amount, simulated=self.simulated)


class Spending:
    """The images that one command may be charged for, counted against its caps. `caps` is None if it has none."""

    def __init__(self, origin: str, key_tag: str, clock: Clock) -> None:
        self._origin, self._key_tag, self._clock = origin, key_tag, clock
        self.caps: Caps | None = None
        self._count = 0

    def add(self, journal: "Journal", rows: Sequence[Mapping[str, Any]]) -> None:
        """Count new rows. A key that already made its job costs nothing more. Raises `ReveError` over a cap."""
        if self.caps:
            keys = [str(row["key"]) for row in rows]
            made = journal.made_before(self._origin, self._key_tag, keys, self._clock.now() - KEY_LIFETIME)
            self._add(journal, len(rows) - made)

    def restart(self, journal: "Journal", rows: Sequence[int]) -> None:
        """Count again from zero: the unsent rows (ids) of a run that continues. Raises `ReveError` over a cap."""
        self._count = 0
        self._add(journal, len(rows), without=rows)

    def subtract(self) -> None:
        """Take back one image whose job failed: it is not charged."""
        self._count -= 1

    def _add(self, journal: "Journal", count: int, *, without: Sequence[int] = ()) -> None:
        """Count `count` images. without: their rows, if the journal already has them."""
        if self.caps:
            self.caps.check_command(self._count + count)
            if self.caps.day is not None:
                since = self._clock.now() - DAY
                spent = journal.spent(self._origin, since, self.caps.price, without=without)
                self.caps.check_day(spent, count)
            self._count += count
