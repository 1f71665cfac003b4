"""`reve sandbox`: the simulated API. May import: cli, core; the rest late."""

import shlex
import time
from typing import Annotated

import typer

from reve_cli.cli import command
from reve_cli.core.process import Process

app = typer.Typer(
    help="Simulate the API on this machine: no key, no account, no charge.",
    callback=command.show_help,
    invoke_without_command=True,
    epilog="""
With --sandbox, any command uses the simulated API.

Examples:
    reve generate "a fox" --sandbox --out simulated.png
    reve sandbox reset
""",
)

Port = Annotated[
    int, typer.Option("--port", metavar="N", min=0, max=65535, help="Port to listen on; 0 picks a free port.")
]


@app.command()
@command.documented
def serve(ctx: typer.Context, port: Port = 0) -> None:
    """Run the simulated API until interrupted.

    Prints the two environment variables that point reve at it.

    Examples:
        reve sandbox serve > sandbox.env &
        until grep -qs API_KEY sandbox.env; do sleep 0.1; done
        (. ./sandbox.env; reve generate "a fox" --out tried.png)
        kill $!
    """
    from reve_cli.sandbox.simulation import simulate
    from reve_cli.terminal.output import Output

    process: Process = ctx.obj
    output = process.output = Output(process.environ)
    simulation = simulate(process, port)
    simulation.deliver()
    output.lines(f"export APIFRAME_BASE_URL={simulation.url}", f"export APIFRAME_API_KEY={shlex.quote(simulation.key)}")
    output.note("serving; press Ctrl-C to stop")
    while not (output.error or output.reader_left):  # a signal ends the process
        time.sleep(3600)


@app.command()
@command.documented
def reset(ctx: typer.Context) -> None:
    """Delete the simulated jobs and the sandbox's key.

    Examples:
        reve sandbox reset
    """
    from reve_cli.journal.journal import open_journal
    from reve_cli.sandbox import reset as forget
    from reve_cli.settings.folders import SANDBOX, state_folder

    process: Process = ctx.obj
    folder = state_folder(process.environ)
    if folder:
        forget(folder / SANDBOX)
        journal = open_journal(folder / SANDBOX, process.clock, lambda text: None, begin=False)
        if journal:
            journal.forget()
            journal.close()
