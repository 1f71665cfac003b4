"""`reve help`: topics, the help of any command, and the manual page. May import: cli, core; the rest late."""

from typing import Annotated

import typer

from reve_cli.cli import options
from reve_cli.core.process import Process

Manual = Annotated[bool, typer.Option("--man", help="Print the manual page, to view with man -l.")]


def help_(ctx: typer.Context, words: options.HelpWords = None, man: Manual = False) -> None:
    """Show help for a topic or a command.

    Examples:
        reve help exit-codes
        reve help history show
        reve help --man > reve.1
    """
    from reve_cli.help.manual import help_text
    from reve_cli.terminal.output import Output

    process: Process = ctx.obj
    output = process.output = Output(process.environ)
    for line in help_text(ctx.find_root().command, words or [], man=man).splitlines():
        output.line(line)
