"""The work of `reve gallery`: one page for the images of a folder or of the journal. It calls no API.

May import: actions.history, journal, core, album.
"""

import os
from typing import TYPE_CHECKING

from reve_cli.album import thumbnails
from reve_cli.album.cards import card
from reve_cli.album.collect import Found, in_folder, in_journal
from reve_cli.album.page import MOST, NAME, check, page, write
from reve_cli.core.errors import ReveError
from reve_cli.core.models import plural

if TYPE_CHECKING:
    from reve_cli.actions.history import Query
    from reve_cli.journal.journal import Journal
    from reve_cli.runtime import Runtime


def of_folder(run: "Runtime", folder: str, out: str | None, *, force: bool) -> int:
    """Write the page of the images in `folder`. out: its path, by default in that folder. Returns the exit code."""
    folder = os.path.abspath(folder)
    if not os.path.isdir(folder):
        is_file = os.path.exists(folder)
        hint = f"for one image: reve show {folder}" if is_file else None
        raise ReveError("output", f"{folder} is not a folder" if is_file else f"{folder} does not exist", hint=hint)
    path = os.path.abspath(os.path.join(folder, NAME) if out is None else out)
    check(path, force=force)
    found = in_folder(folder, MOST)
    if not found:
        raise ReveError("output", f"{folder} contains no images")
    return _write(run, path, os.path.basename(folder) or folder, found)


def of_journal(run: "Runtime", journal: "Journal | None", query: "Query", out: str | None, *, force: bool) -> int:
    """Write the page of the images in the journal that `query` chooses, by default in the current folder."""
    path = os.path.abspath(NAME if out is None else out)
    check(path, force=force)
    found = in_journal(journal, query, MOST, run.process.clock.now())
    if not found:
        raise ReveError("output", "no saved image in the journal matches", hint="reve history lists the jobs")
    return _write(run, path, "reve history", found)


def _write(run: "Runtime", path: str, title: str, found: list[Found]) -> int:
    folder, total = os.path.dirname(path), len(found)
    small = thumbnails.make(
        [each.path for each in found],
        folder,
        is_over=run.is_over,
        done=lambda count: run.output.spin(f"thumbnails: {count:,} of {total:,}", share=count / total),
    )
    run.output.rest()
    if run.process.stop:
        raise ReveError("interrupted", "interrupted")
    write(path, page(title, [card(each.path, each.facts, folder, small.get(each.path)) for each in found]))
    if run.output.json:
        run.output.document({"page": path, "images": total, "thumbnails": len(small)})
    else:
        run.output.line(path)
    run.output.note(f"{plural(total, 'image')}; open the page in a browser")
    return 0
