"""`reve sandbox`: the API, simulated on this machine."""

import shlex
import time
from typing import Annotated

import typer

from reve_cli import options
from reve_cli.process import Process

app = typer.Typer(
    help="The API, simulated on this machine: no key, no account, no charge.",
    callback=options.show_help,
    invoke_without_command=True,
)

Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Listen here; 0 is any free port.")]


@app.command()
def serve(ctx: typer.Context, port: Port = 0) -> None:
    """Simulate the API until interrupted, and print the two variables that point reve at it."""
    from reve_cli.output import Output
    from reve_cli.runtime import simulate

    process: Process = ctx.obj
    output = process.output = Output(process.environ)
    simulation = simulate(process, port)
    output.line(f"export APIFRAME_BASE_URL={simulation.url}")
    output.line(f"export APIFRAME_API_KEY={shlex.quote(simulation.key)}")
    output.note("serving; Ctrl-C ends it")
    while not (output.error or output.reader_left):  # until a signal ends the process
        time.sleep(3600)


@app.command()
def reset(ctx: typer.Context) -> None:
    """Forget the simulated jobs."""
    from reve_cli.config import state_folder
    from reve_cli.journal import open_journal
    from reve_cli.runtime import SANDBOX
    from reve_cli.sandbox import reset as forget

    process: Process = ctx.obj
    folder = state_folder(process.environ)
    if folder:
        forget(folder / SANDBOX)
        journal = open_journal(folder / SANDBOX, process.clock, lambda text: None, begin=False)
        if journal:
            journal.forget()
            journal.close()
