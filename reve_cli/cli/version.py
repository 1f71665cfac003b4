"""`reve --version`, which needs no Typer. May import: terminal, core."""

from reve_cli import __version__
from reve_cli.core.process import Process
from reve_cli.terminal.output import Output


def print_version(process: Process) -> None:
    """Print the version."""
    process.output = Output(process.environ)
    process.output.line(f"reve {__version__}")
