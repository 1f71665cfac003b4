"""`reve help`: topics, the help of any command, and the manual page."""

from typing import Annotated

import typer

from reve_cli.cli import options
from reve_cli.core.process import Process

Manual = Annotated[bool, typer.Option("--man", help="Print the manual page, for man -l.")]


def help_(ctx: typer.Context, words: options.HelpWords = None, man: Manual = False) -> None:
    """Tell about a topic or a command; without either, list the topics.

    Examples:
        reve help exit-codes
        reve help history show
        reve help --man > reve.1
    """
    from reve_cli.help.manual import told
    from reve_cli.terminal.output import Output

    process: Process = ctx.obj
    output = process.output = Output(process.environ)
    for line in told(ctx.find_root().command, words or [], man=man).splitlines():
        output.line(line)
