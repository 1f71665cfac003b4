"""`reve history`: the jobs in this machine's journal. May import: cli; the rest late."""

from typing import TYPE_CHECKING

import typer

from reve_cli.cli import command, options

if TYPE_CHECKING:
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
    """List the jobs started on this machine and their cost, newest first.

    Examples:
        reve history --since 24h
        reve history --sandbox
        reve history --state saved --search fox --json | jq -r '.files[].path'
    """
    from reve_cli.actions.history import Query, in_the_sandbox, journal_of, listing
    from reve_cli.terminal.streams import stdout_is_terminal

    now, everything = run.process.clock.now(), run.output.json or not stdout_is_terminal()
    query = Query.of(state or [], since, until, search, limit, now, everything=everything)
    return listing(run.output, journal_of(run), query, now, lambda: in_the_sandbox(run), simulated=run.sandbox)


@app.command()
@command.local_command
def show(run: "Runtime", name: options.Name) -> int:
    """Show everything known about a job, with every attempt.

    Examples:
        reve history show "$job"
        reve generate "a fox" --sandbox && reve history show last --sandbox
        reve history show "$file"
    """
    from reve_cli.actions.history import details, journal_of
    from reve_cli.journal.names import full_names

    journal = journal_of(run)
    (full,) = full_names([name], lambda: (journal, ""), only_jobs=False)
    return details(run.output, journal, full, run.process.clock.now())
