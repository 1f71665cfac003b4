"""Spending caps: what a command, and a day, may cost at most. Checked before anything is sent.

What is compared is what is charged already plus what may yet be: every image that is asked for counts in full, whether
or not it fails later. Imports `errors`.
"""

from dataclasses import dataclass

from reve_cli.core.errors import ReveError


@dataclass(frozen=True)
class Caps:
    """Limits in credits, None for none: of this command, and of any 24 hours. `price`: credits an image, at most."""

    command: float | None
    day: float | None
    price: float

    def check_command(self, count: int) -> None:
        """Raises `ReveError` (code `over_cap`) where `count` images cost more than the command may."""
        cost = count * self.price
        if self.command is not None and cost > self.command:
            raise ReveError(
                "over_cap",
                f"{_images(count)} of up to {self.price:g} credits each would be {cost:g}, and --max-credits is "
                f"{self.command:g}; nothing was submitted",
                hint="raise --max-credits, or ask for fewer images",
            )

    def check_day(self, spent: float, count: int) -> None:
        """Raises `ReveError` (code `over_cap`) where `count` images more make the last 24 hours too expensive."""
        cost = count * self.price
        if self.day is not None and spent + cost > self.day:
            raise ReveError(
                "over_cap",
                f"{_images(count)} of up to {self.price:g} credits each on top of {spent:g} in the last 24 hours would "
                f"be {spent + cost:g}, and max_credits_per_day is {self.day:g}; nothing was submitted",
                hint="reve history shows what was paid; raise max_credits_per_day, or wait",
            )


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"
