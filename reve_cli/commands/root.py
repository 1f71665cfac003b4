"""`reve` without a command, and the table of all commands. May import: cli, core; the rest late."""

from functools import cache
from typing import Annotated, Literal, get_args

import typer
from typer.core import TyperGroup

from reve_cli.cli.lazy import LazyCommands, build, prepared
from reve_cli.cli.version import print_version

COMMANDS = {
    "Make images": ("generate", "batch", "wait", "download", "rerun", "resume"),
    "Inspect": ("status", "show", "gallery", "jobs", "account", "model", "history", "webhook"),
    "Set up and learn": ("doctor", "help", "auth", "config", "sandbox"),
}
"""The names of all commands, under the headings of the help. Each is in the module of this package with its name."""
Shell = Literal["bash", "zsh", "fish", "powershell"]
app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="""Make images with the Reve model through Apiframe. Never pays twice, never loses a paid image.

    Examples:
        reve generate "a red fox in the snow" --seed 1 --out fox.png
    """,
    epilog="reve help lists the topics; reve help TOPIC shows one, such as money or batch.",
)


@cache
def tree() -> TyperGroup:
    """The tree of commands. A command's module is imported when the command is looked up."""
    root = build(app)
    prepared(root, "reve")
    headings = {name: heading for heading, names in COMMANDS.items() for name in names}
    root.commands = LazyCommands(__package__, headings)  # type: ignore[assignment]  # nobody adds commands to it
    return root


def _print_version(ctx: typer.Context, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:  # a completion request runs callbacks as well
        print_version(ctx.obj)
        raise typer.Exit


def _print_script(ctx: typer.Context, shell: Shell | None) -> None:
    if shell and not ctx.resilient_parsing:
        from reve_cli.cli.scripts import script
        from reve_cli.terminal.output import Output

        output = ctx.obj.output = Output(ctx.obj.environ)
        output.lines(*script(shell, ctx.command).splitlines())
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", "-V", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
    show_completion: Annotated[
        Shell | None,
        typer.Option(
            "--show-completion",
            metavar="SHELL",
            help=f"Print a completion script: {', '.join(get_args(Shell))}.",
            callback=_print_script,
            is_eager=True,
        ),
    ] = None,
) -> None:
    """Print the help if no command is given."""
    del version, show_completion
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
        raise typer.Exit
