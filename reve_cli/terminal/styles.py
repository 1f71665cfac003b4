"""Colors, and the rich consoles that apply them.

May import: nothing of ours. Imports rich late.
"""

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


def style_first_word(text: str, style: str, console: "Console") -> str:
    """A line of text with its first word in `style`, as escape sequences."""
    from rich.text import Text

    line = Text(text)
    line.stylize(style, 0, len(text.split(" ")[0]))
    with console.capture() as capture:
        console.print(line, soft_wrap=True)
    return capture.get()
