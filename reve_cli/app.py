"""Runs a command line, and turns every error into an exit code: the one place that does.

May import: every package; slow libraries only when they are needed.
"""

import sys
from collections.abc import Callable, Sequence

from reve_cli.cli.version import print_version
from reve_cli.core.errors import ReveError, worst
from reve_cli.core.process import Process
from reve_cli.core.signals import die, die_by_broken_pipe
from reve_cli.terminal.output import Output
from reve_cli.terminal.streams import discard_stdout


def run(arguments: Sequence[str], process: Process, ready: Callable[[], None] = lambda: None) -> int:
    """Run one command line. Returns its exit code, or does not return if the process must die by a signal.

    ready: called when the command is loaded and about to run.
    """
    if process.environ.get("_REVE_COMPLETE"):
        from reve_cli.cli import completion
        from reve_cli.commands.root import tree

        completion.answer(tree(), arguments, process)
        return 0
    code, error = _execute(arguments, process, ready)
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


def _execute(arguments: Sequence[str], process: Process, ready: Callable[[], None]) -> tuple[int, ReveError | None]:
    """Run the command. Returns its exit code and, if it failed, the error, which has an exit code of its own."""
    if [*arguments] in (["--version"], ["-V"]):  # without Typer, which takes longer to load than all else
        print_version(process)
        return 0, None
    import typer

    from reve_cli.cli.flags import in_order
    from reve_cli.commands.root import tree

    commands = tree()
    arguments = in_order(arguments, commands)
    ready()
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
        from reve_cli.settings.folders import truthy

        simulated = "--sandbox" in _options(arguments) or truthy(process.environ.get("REVE_SANDBOX"))
        output.document(Task(0, "done", error=error).document(simulated))


def _options(arguments: Sequence[str]) -> Sequence[str]:
    """The arguments before `--`."""
    return arguments[: arguments.index("--")] if "--" in arguments else arguments
