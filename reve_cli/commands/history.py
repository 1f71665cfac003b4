"""`reve history`: what the journal knows of the images of this machine."""

from typing import TYPE_CHECKING

import typer

from reve_cli.cli import command, options
from reve_cli.core.errors import ReveError

if TYPE_CHECKING:
    from reve_cli.journal.journal import Journal
    from reve_cli.runtime import Runtime

app = typer.Typer()


@app.callback(invoke_without_command=True)
@command.local_command
def history(
    run: "Runtime",
    state: options.States = None,
    since: options.Since = None,
    until: options.Until = None,
    search: options.Search = None,
    limit: options.Limit = None,
) -> int:
    """List the images that were made, or begun, on this machine, and what they cost, newest first.

    Examples:
        reve history --since 24h
        reve history --state saved --search fox --json | jq -r '.files[].path'
    """
    from reve_cli.actions.history import Query, listing

    now = run.process.clock.now()
    query = Query.of(state or [], since, until, search, limit, now, json=run.output.json)
    return listing(run.output, _journal(run), query, now)


@app.command()
@command.local_command
def show(run: "Runtime", name: options.Name) -> int:
    """Show all that is known of a job, with every attempt at it.

    Examples:
        reve history show "$job"
    """
    from reve_cli.actions.history import details

    return details(run.output, _journal(run), name, run.process.clock.now())


def _journal(run: "Runtime") -> "Journal | None":
    """The journal, or None where there is none yet. Raises `ReveError` where it cannot be used."""
    run.output.gave_up = lambda: False  # no time limit: a pager may be left open
    journal, lost = run.journal(begin=False)
    if lost:
        raise ReveError("journal", lost)
    return journal
