"""`reve resume`: finish interrupted jobs. May import: cli, core; the rest late."""

from typing import TYPE_CHECKING

from reve_cli.cli import command, options
from reve_cli.core.errors import ReveError

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime


@command.api_command
def resume(
    run: "Runtime",
    jobs: options.Names = None,
    dry_run: options.WouldDo = False,
    abandon: options.Abandon = False,
) -> int:
    """Finish interrupted jobs that were paid for but not saved.

    Examples:
        reve resume --dry-run
        reve resume
        reve resume --sandbox
    """
    import contextlib

    from reve_cli.actions import resume as action
    from reve_cli.album import kept_page
    from reve_cli.batch.resumed import Finished
    from reve_cli.inputs.reading import read_names

    if abandon and (not jobs or dry_run):
        raise ReveError("usage", "--abandon needs the jobs, keys or runs to give up, and cannot be used with --dry-run")
    names = read_names(run, jobs or [])
    if jobs and not names:
        raise ReveError("usage", "no jobs, keys or runs on standard input")
    with contextlib.closing(Finished(run.is_simulated, lambda folder: kept_page(run, folder))) as finished:
        return action.resume(run, names, finished.note, dry_run=dry_run, abandon=abandon)
