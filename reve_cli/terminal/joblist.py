"""The one table of jobs, which `history`, `jobs` and `status` print on a terminal.

May import: terminal.columns, terminal.styles, terminal.text; core.clock.
"""

import os
from dataclasses import dataclass

from reve_cli.core.clock import DAY, HOUR, MINUTE
from reve_cli.terminal.columns import Column
from reve_cli.terminal.styles import verdict
from reve_cli.terminal.text import near_path, shorten_path

FIRST = 20
"""Jobs that a terminal shows without `--limit`."""
SHORT = 8
"""Characters of a job's id that a terminal shows."""

JOBS = (
    Column("JOB", 0),
    Column("AGE", 3),
    Column("STATE", 1, least=9, style=verdict),
    Column("CREDITS", 5),
    Column("EXPIRES", 6, beyond=100),
    Column("MODEL", 7, least=11, beyond=120),
    Column("PROMPT", 2, least=16),
    Column("FILE", 4, least=12, shorten=shorten_path),
)
"""At 80 columns it shows everything but expiry and model."""


@dataclass(frozen=True)
class JobLine:
    """What is known about a job. Empty texts are unknown. begun: seconds since the epoch."""

    name: str
    begun: float | None
    state: str
    credits: str
    expires: str = ""
    model: str = ""
    prompt: str = ""
    file: str = ""

    def cells(self, now: float) -> list[str]:
        """The cells of `JOBS`."""
        return [
            self.name[:SHORT],
            "" if self.begun is None else age(now - self.begun),
            self.state,
            self.credits,
            self.expires,
            self.model,
            " ".join(self.prompt.split()),
            near_path(self.file, _folder(), os.path.expanduser("~")),
        ]


def age(seconds: float) -> str:
    """How long ago something was, in its largest unit. A time ahead, by a clock set wrong, is 0 s ago."""
    for length, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(0.0, seconds) // 1:.0f} s"


def _folder() -> str:
    """The current folder, or "" if it was removed."""
    try:
        return os.getcwd()
    except OSError:
        return ""
