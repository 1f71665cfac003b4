"""Progress for the terminal's own tab or taskbar icon: the escape sequence OSC 9;4, which ConEmu introduced.

Terminals that do not know it may show it as a notification, so only those listed here get it, and never through tmux or
screen, which do not pass it on, or in CI.
May import: nothing of ours.
"""

from collections.abc import Mapping

_PROGRAMS = ("ghostty", "mintty", "WezTerm")
"""Values of TERM_PROGRAM: Ghostty from 1.2, mintty from 3.4, WezTerm from February 2025; others ignore the sequence."""
CLEAR = "\x1b]9;4;0\x1b\\"
"""Removes the progress."""


def knows_progress(environ: Mapping[str, str]) -> bool:
    """Whether the terminal shows progress: Windows Terminal, ConEmu, iTerm2 from 3.6.6, or one of `_PROGRAMS`."""
    program = environ.get("TERM_PROGRAM", "")
    if environ.get("CI") or environ.get("TMUX") or environ.get("TERM", "").startswith(("screen", "tmux")):
        return False
    return (
        bool(environ.get("WT_SESSION"))
        or environ.get("ConEmuANSI") == "ON"
        or program in _PROGRAMS
        or (program == "iTerm.app" and "P" in environ.get("TERM_FEATURES", ""))
    )


def progress(share: float | None) -> str:
    """The sequence for a share of 0 to 1, or for work of unknown length."""
    return "\x1b]9;4;3\x1b\\" if share is None else f"\x1b]9;4;1;{min(max(share, 0.0), 1.0) * 100:.0f}\x1b\\"
