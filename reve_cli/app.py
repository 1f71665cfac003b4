"""The Typer app, and the one place where an error becomes an exit code.

May import: every package; slow libraries only when they are needed.
"""

import functools
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from reve_cli import __version__
from reve_cli.cli import completion
from reve_cli.cli.command import documented, in_order
from reve_cli.commands import (
    account,
    auth,
    batch,
    config,
    doctor,
    download,
    generate,
    help,
    history,
    jobs,
    model,
    resume,
    sandbox,
    status,
    wait,
)
from reve_cli.core.errors import ReveError, worst
from reve_cli.core.process import Process
from reve_cli.core.signals import die, die_by_broken_pipe
from reve_cli.core.typer_private import Command, parse_strictly
from reve_cli.help.topics import TOPICS
from reve_cli.help.tree import describe_commands, walk
from reve_cli.terminal.output import Output
from reve_cli.terminal.streams import discard_stdout

_MAKE, _LOOK, _SET_UP = "Make images", "Inspect", "Set up and learn"


app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"Topics for reve help: {', '.join(TOPICS)}.",
)
app.command(rich_help_panel=_MAKE)(generate.generate)
app.command(rich_help_panel=_MAKE)(batch.batch)
app.command(rich_help_panel=_MAKE)(wait.wait)
app.command(rich_help_panel=_MAKE)(download.download)
app.command(rich_help_panel=_MAKE)(resume.resume)
app.command(rich_help_panel=_LOOK)(status.status)
app.add_typer(history.app, name="history", rich_help_panel=_LOOK)
app.command(rich_help_panel=_LOOK)(jobs.jobs)
app.command(rich_help_panel=_LOOK)(account.account)
app.command(rich_help_panel=_LOOK)(model.model)
app.add_typer(auth.app, name="auth", rich_help_panel=_SET_UP)
app.add_typer(config.app, name="config", rich_help_panel=_SET_UP)
app.add_typer(sandbox.app, name="sandbox", rich_help_panel=_SET_UP)
app.command(rich_help_panel=_SET_UP)(doctor.doctor)
app.command("help", rich_help_panel=_SET_UP)(help.help_)


def _print_version(ctx: typer.Context, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:  # a completion request runs callbacks as well
        output = ctx.obj.output = Output(ctx.obj.environ)
        output.line(f"reve {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
@documented
def root(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", "-V", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
    show_completion: completion.ShowCompletion = None,
) -> None:
    """Make images with the Reve model through Apiframe. Never pays twice, never loses a paid image.

    Examples:
        reve generate "a red fox in the snow" --seed 1 --out fox.png
    """
    del version, show_completion
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
        raise typer.Exit


@functools.cache
def _commands() -> Command:
    """The tree of commands, built once: it takes longer to build than a small command takes to run."""
    root = describe_commands(typer.main.get_command(app))
    for _, command in walk(root):
        parse_strictly(command)
    return root


def run(arguments: Sequence[str], process: Process) -> int:
    """Run one command line. Returns its exit code, or does not return if the process must die by a signal."""
    commands = _commands()
    if process.environ.get("_REVE_COMPLETE"):
        completion.answer(commands, arguments, process)
        return 0
    arguments = in_order(arguments, commands)
    code, error = _execute(commands, arguments, process)
    output = process.output or Output(process.environ, json="--json" in _options(arguments))
    output.rest()
    if error is not None:
        _report(error, output, arguments, process)
        code = error.exit_code
    if output.error is not None:
        output.fail(output.error)
        code = worst([code, output.error.exit_code])
    if process.signals.signum is not None:
        die(process.signals.signum)
    if output.reader_left:
        die_by_broken_pipe()
    return code


def _execute(commands: Command, arguments: Sequence[str], process: Process) -> tuple[int, ReveError | None]:
    """Run the command. Returns its exit code and, if it failed, the error, which has an exit code of its own."""
    try:
        code = commands(args=list(arguments), prog_name="reve", standalone_mode=False, obj=process) or 0
        if sys.stdout is not None:
            sys.stdout.flush()
    except ReveError as caught:
        return 0, caught
    except typer.TyperException as caught:
        from reve_cli.cli.usage import usage_error

        return 0, usage_error(caught, commands, arguments)
    except typer.Abort:
        return 0, ReveError("interrupted", "interrupted")
    except SystemExit:  # Typer's answer to a closed pipe
        die_by_broken_pipe()
        return 0, None
    except OSError as caught:
        if caught.filename is None:
            discard_stdout()  # its buffer would fail again when the process exits
        message = f"{caught.filename or 'cannot write to standard output'}: {caught.strerror or caught}"
        return 0, ReveError("write_failed", message)
    except Exception as caught:
        if "--debug" in arguments:
            import traceback

            for line in traceback.format_exc().splitlines():
                Output(process.environ).debug(line)
        return 0, ReveError("internal", f"{type(caught).__name__}: {caught}", hint="add --debug to see where")
    return code, None


def _report(error: ReveError, output: Output, arguments: Sequence[str], process: Process) -> None:
    """Print an error that ended the command: a line on stderr, and with --json a document."""
    if process.output is None:
        from reve_cli.settings.config import resolve

        output.color = resolve(process.environ)[0]["color"].value
    output.fail(error)
    if output.json:
        from reve_cli.core.tasks import Task
        from reve_cli.settings.config import truthy

        simulated = "--sandbox" in _options(arguments) or truthy(process.environ.get("REVE_SANDBOX"))
        output.document(Task(0, "done", error=error).document(simulated))


def _options(arguments: Sequence[str]) -> Sequence[str]:
    """The arguments before `--`."""
    return arguments[: arguments.index("--")] if "--" in arguments else arguments
