"""`reve gallery`: a page of images. May import: cli, core; the rest late."""

from typing import TYPE_CHECKING

from reve_cli.cli import command, options
from reve_cli.core.errors import ReveError

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime


@command.local_command
def gallery(
    run: "Runtime",
    folder: options.Folder = None,
    history: options.FromHistory = False,
    since: options.Since = None,
    until: options.Until = None,
    search: options.Search = None,
    out: options.PageOut = None,
    force: options.Force = False,
) -> int:
    """Write a page with the images of a folder, their prompts and seeds. The page needs no network.

    Examples:
        reve gallery
        reve gallery --history --since 7d --out new.html
        printf '%s\\n' "a red fox" "a blue fox" > prompts.txt
        reve batch prompts.txt --out tried/ --sandbox && reve gallery tried/
    """
    from reve_cli.actions.history import Query, journal_of
    from reve_cli.album import gallery as action
    from reve_cli.core.filesystem import local_path

    out = None if out is None else local_path(out, "--out")
    if history:
        if folder is not None:
            raise ReveError("usage", "--history takes no folder; to choose the page's path: --out PATH")
        query = Query.of([], since, until, search, 0, run.process.clock.now(), everything=True)
        return action.of_journal(run, journal_of(run), query, out, force=force)
    if since or until or search:
        raise ReveError("usage", "--since, --until and --search need --history; the page itself has a filter")
    folder = run.defaults.output_folder if folder is None else local_path(folder, "DIR")
    return action.of_folder(run, folder, out, force=force)
