"""Colors, and the rich consoles that apply them.

May import: nothing of ours. Imports rich late.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console

    from reve_cli.settings.settings import Color

ColorSystem = Literal["auto", "standard"] | None


def color_system(color: "Color", environ: Mapping[str, str]) -> ColorSystem:
    """The color system for rich. None turns off all styles, bold too."""
    if color == "never" or (color == "auto" and environ.get("NO_COLOR")):
        return None
    return "standard" if color == "always" else "auto"


def stdout_console(colors: ColorSystem) -> "Console":
    """A console to lay out text for stdout. The caller captures the result and writes it."""
    from rich.console import Console

    return Console(highlight=False, no_color=False, color_system=colors)


def stderr_console(colors: ColorSystem, *, force: bool) -> "Console":
    """A console that draws on stderr. With `force` it uses colors even if stderr is not a terminal."""
    from rich.console import Console

    class Steady(Console):
        """Never hides the cursor: it would flicker, and a killed process would leave it hidden."""

        def show_cursor(self, show: bool = True) -> bool:
            return show

    return Steady(
        stderr=True,
        emoji=False,
        highlight=False,
        no_color=False,
        color_system=colors,
        force_terminal=True if force else None,
    )


_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
"""Escape sequences of the styles that need no rich."""
_VERDICTS = {
    **dict.fromkeys(("ok", "saved", "COMPLETED", "done"), "green"),
    **dict.fromkeys(("failed", "FAILED", "CANCELLED", "refused", "expired", "mismatch"), "red"),
    **dict.fromkeys(("warning", "completed", "sending", "unfinished"), "yellow"),
}
"""The style of each word that says how something ended. The word is always there, so the color only repeats it."""
_VERDICT = re.compile(rf"\b(?:\d[\d,]* (?:of \d[\d,]* )?)?({'|'.join(_VERDICTS)})\b")


def verdict(text: str) -> str:
    """The style of a verdict, by its first word; empty for any other text."""
    return _VERDICTS.get(text.split(" ")[0].rstrip(":"), "")


def verdicts(text: str) -> list[tuple[int, int, str]]:
    """Start, end and style of every verdict, with its count, in a text that has no words of the user."""
    return [(*found.span(), _VERDICTS[found[1]]) for found in _VERDICT.finditer(text)]


def paint(text: str, style: str) -> str:
    """`text` with the escape sequences of a style, empty for none."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if style and text else text


def has_colors(colors: ColorSystem, environ: Mapping[str, str]) -> bool:
    """Whether a terminal gets colors."""
    return colors == "standard" or (colors == "auto" and environ.get("TERM") not in (None, "", "dumb", "unknown"))
