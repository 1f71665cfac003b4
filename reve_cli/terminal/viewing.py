"""Shows saved images: on the terminal, if it can draw them, or in the desktop's viewer.

May import: pictures, terminal.graphics, terminal.query, terminal.output, terminal.streams.
"""

import os
import shutil
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from reve_cli.terminal.output import Output
from reve_cli.terminal.streams import shows_blocks, stdout_is_terminal

if TYPE_CHECKING:
    import subprocess

    from reve_cli.terminal.graphics import Room
    from reve_cli.terminal.query import Abilities

_LARGEST_FILE = 4 << 20
"""Maximum bytes of a file that is sent unchanged. Pillow scales larger files down first."""
_MOST_PIXELS = 50_000_000
"""Maximum pixels of a PNG that is sent unchanged: a small file can have enough pixels to fill a terminal's memory."""
_NO_PICTURES = ("", "dumb", "unknown", "linux")
"""Values of TERM for terminals that show no pictures. Old Linux consoles print the question."""


class Preview:
    """Draws images on one run's terminal, each at most half as high as the window.

    wanted: the user asked for it, so half blocks are drawn if there is nothing better, and a note says why an image is
    not drawn. is_over: whether the run must end soon, so that nothing more is drawn.
    """

    def __init__(
        self, output: Output, environ: Mapping[str, str], *, wanted: bool, is_over: Callable[[], bool]
    ) -> None:
        self._output, self._environ, self._wanted, self._is_over = output, environ, wanted, is_over

    def draw(self, path: str) -> None:
        """Draw the image in a file, or say why not. Never raises: the image itself is safe."""
        if self._is_over():
            return
        why = self._obstacle or self._draw(path)
        if why and self._wanted:
            self._output.note(f"no preview: {why}")

    @cached_property
    def _obstacle(self) -> str:
        """Why nothing may be drawn in this run; empty if it may."""
        if self._output.json or self._output.quiet:
            return "--json and --quiet turn it off"
        if not stdout_is_terminal():
            return "standard output is not a terminal"
        if self._environ.get("CI"):
            return "CI is set"
        if os.name != "nt" and (term := self._environ.get("TERM", "")) in _NO_PICTURES:
            return f"TERM={term}"
        return ""

    @cached_property
    def _abilities(self) -> "Abilities | None":
        from reve_cli.terminal.query import ask

        return ask()

    def _draw(self, path: str) -> str:
        """Draw the image. Returns why that is not possible, else an empty text."""
        from reve_cli.terminal.graphics import Room

        found = self._abilities
        protocol = found.protocol if found else None
        if protocol is None and not (self._wanted and shows_blocks(self._environ)):
            return "this terminal shows no pictures"
        size = shutil.get_terminal_size()
        room = Room(size.columns, max(size.lines // 2, 1))
        if found and found.cell:
            room = replace(room, cell=found.cell)
        try:
            self._output.picture(self._drawn(path, protocol, room))
        except ImportError:
            from reve_cli.pictures.conversion import INSTALL

            return f"it needs Pillow here: {INSTALL}"
        except Exception as error:  # Pillow raises errors of many kinds for a file that it cannot read
            return f"the image cannot be drawn ({type(error).__name__})"
        return ""

    def _drawn(self, path: str, protocol: str | None, room: "Room") -> bytes:
        """The image as escape sequences. Raises as `graphics.opened`."""
        from reve_cli.terminal import graphics

        if protocol == "sixel":
            return graphics.sixel(path, room)
        if protocol is None:
            true_color = self._environ.get("COLORTERM") in ("truecolor", "24bit")
            return graphics.half_blocks(path, room, true_color=true_color)
        data = _small_file(path, of=("image/png",) if protocol == "kitty" else None) or graphics.as_png(path, room)
        return graphics.kitty(data, room) if protocol == "kitty" else graphics.iterm2(data, room)


def _small_file(path: str, of: Collection[str] | None) -> bytes:
    """The bytes of a complete image that a terminal can take as they are; empty for any other file.

    of: the media types that it takes; None for all.
    """
    from reve_cli.pictures.formats import image_format
    from reve_cli.terminal.graphics import png_size

    size = os.path.getsize(path)
    if size > _LARGEST_FILE:
        return b""
    with open(path, "rb") as file:
        found = image_format(file, size)
        file.seek(0)
        data = file.read(size)
    width, height = png_size(data) or (1, 1)
    is_taken = found is not None and (of is None or found.media_type in of) and width * height <= _MOST_PIXELS
    return data if is_taken else b""


_OPENED: "list[subprocess.Popen[bytes]]" = []
"""The viewers that reve started and does not wait for. Python warns if they are forgotten while they run."""


def open_image(path: str, environ: Mapping[str, str]) -> str:
    """Open a file in the desktop's viewer, which goes on by itself and gets no API key.

    Returns why that is not possible, else an empty text.
    """
    import subprocess

    path = os.path.abspath(path)
    try:
        if sys.platform == "win32":
            os.startfile(path)  # noqa: S606  # as a double click does
            return ""
        is_mac = sys.platform == "darwin"
        if not is_mac and not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
            return "there is no desktop (neither DISPLAY nor WAYLAND_DISPLAY is set)"
        keyless = {name: value for name, value in environ.items() if not name.endswith("_API_KEY")}
        nothing = subprocess.DEVNULL
        viewer = subprocess.Popen(
            ["open" if is_mac else "xdg-open", path],
            stdin=nothing,
            stdout=nothing,
            stderr=nothing,
            env=keyless,
            start_new_session=True,
        )
        _OPENED.append(viewer)
    except OSError as error:
        return f"{error.filename or 'the viewer'}: {error.strerror}"
    return ""
