"""Reads the WHEN of `--since` and `--until`. May import: core."""

import datetime
import re

from reve_cli.core.clock import DAY, HOUR, MINUTE
from reve_cli.core.errors import ReveError

_UNITS = {"m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_AGE = re.compile(rf"([0-9]+(?:\.[0-9]+)?)([{''.join(_UNITS)}])")


def read_when(text: str, option: str, now: float, *, ends: bool = False) -> float:
    """Return the time that `text` means, in epoch seconds. A date or a time without a zone is local.

    ends: a date means the end of that day, not its start. Raises `ReveError` (code `usage`), naming `option`.
    """
    if age := _AGE.fullmatch(text):
        return now - float(age[1]) * _UNITS[age[2]]
    try:
        try:
            day = datetime.date.fromisoformat(text) + datetime.timedelta(days=int(ends))
        except ValueError:
            return datetime.datetime.fromisoformat(text).timestamp()
        return datetime.datetime.combine(day, datetime.time()).timestamp()
    except (ValueError, OverflowError, OSError):
        forms = "(2026-07-01, 2026-07-01T12:30; 90m, 24h, 7d, 2w)"
        raise ReveError("usage", f"{option} {text!r} is not a date, time or age {forms}") from None
