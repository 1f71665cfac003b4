"""Show each saved image as `--preview` and `--open` say.

May import: runtime and every package below it.
"""

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from reve_cli.core.errors import ReveError

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime
    from reve_cli.terminal.viewing import Preview


def looker(run: "Runtime", preview: bool | None, open_: bool, *, saves: bool) -> Callable[[str], None]:
    """Return a function that shows the image in a file. Only the first is opened in the desktop's viewer.

    preview: draw it on the terminal; None leaves it to the setting. saves: whether the command saves images in files;
    if not, `ReveError` refuses the options. The function itself never raises.
    """
    if not saves and (preview or open_):
        option = "--preview" if preview else "--open"
        raise ReveError("usage", f"{option} needs a saved image, and this command saves none")
    draws = run.settings.preview == "auto" if preview is None else preview

    @functools.cache
    def drawing() -> "Preview":
        from reve_cli.terminal.viewing import Preview

        return Preview(run.output, run.process.environ, wanted=bool(preview), is_over=run.is_over)

    def look(path: str) -> None:
        nonlocal open_
        if not os.path.isfile(path):  # a device, or a pipe from which nothing must be read
            return
        if draws:
            drawing().draw(path)
        if open_:
            from reve_cli.terminal.viewing import open_image

            open_ = False
            if why := open_image(path, run.process.environ):
                run.output.warn(f"cannot open {path}: {why}")

    return look
