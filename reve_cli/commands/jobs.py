"""`reve jobs`: the account's jobs, started on any machine. May import: cli, core; the rest late."""

from typing import TYPE_CHECKING

from reve_cli.cli import command, options
from reve_cli.core.errors import ReveError

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime


@command.api_command
def jobs(
    run: "Runtime",
    status: options.Statuses = None,
    model: options.OfModel = None,
    scope: options.OfScope = None,
    job: options.OfJob = None,
    since: options.CreatedSince = None,
    until: options.CreatedUntil = None,
    limit: options.JobLimit = None,
    download: options.Download = False,
    out: options.Out = None,
    force: options.Force = False,
    metadata: options.Metadata = None,
    quality: options.Quality = None,
) -> int:
    """List the account's jobs, newest first. With --download, save their images.

    Examples:
        reve jobs --since 24h
        reve jobs --status failed --limit 0
        reve jobs --json | jq -s 'map(.creditCost) | add'
        reve jobs --since 7d --download
        reve jobs --sandbox
    """
    from reve_cli.actions.jobs import Query, save, show
    from reve_cli.inputs import reading
    from reve_cli.terminal.streams import stdout_is_terminal

    if not download and (out is not None or force or metadata or quality):
        raise ReveError("usage", "--out, --force, --metadata and --quality need --download")
    run.choose_style(metadata, quality)
    now, everything = run.process.clock.now(), download or run.output.json or not stdout_is_terminal()
    job = job and reading.full_ids(run, [job])[0]
    query = Query.of(status or [], model, scope, job, since, until, limit, now, all_by_default=everything)
    return save(run, query, out, force=force) if download else show(run, query)
