"""Images and how they were made: `show`, `rerun` and `gallery`.

Open subject.py first: it finds the image or job that a command names. show.py describes it, rerun.py makes it again.
gallery.py collects cards (collect.py, cards.py) and writes the page (page.py); live.py keeps the page of a running
batch up to date. The page's own parts are gallery.html, gallery.css and gallery.js.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from reve_cli.album.live import LivePage
    from reve_cli.runtime import Runtime


def live_page(run: "Runtime", *, force: bool) -> "LivePage":
    """The page of a batch, loaded only by batches that have one. force: replace another file."""
    from reve_cli.album.live import LivePage

    return LivePage(run.output, run.process.clock, force=force)


def kept_page(run: "Runtime", folder: "Path") -> "LivePage | None":
    """The page that an earlier batch kept in `folder`, begun again. None if there is none, or it cannot be written."""
    from reve_cli.album.page import NAME, is_ours
    from reve_cli.core.errors import ReveError

    if not is_ours(str(folder / NAME)):
        return None
    page = live_page(run, force=False)
    try:
        page.begin(folder)
    except ReveError as error:
        run.output.warn(f"the gallery is not up to date: {error.message}")
        return None
    return page
