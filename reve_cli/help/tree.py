"""The tree of commands: its walk, and the hook through which each command answers --help.

Every run loads this module, so it loads the texts of the help only when they are asked for. May import: core, and
manual late.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from typer.core import TyperGroup

from reve_cli.core.typer_private import Command, Context

COMMON = "Common options"


def walk(command: Command, path: str = "reve") -> Iterator[tuple[str, Command]]:
    """All visible commands with their full names, from the root down."""
    yield path, command
    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            if not inner.hidden:
                yield from walk(inner, f"{path} {name}")


def find(root: Command, words: Sequence[str]) -> tuple[str, Command]:
    """The command that `words` begin with, after its full name."""
    path, command = "reve", root
    for word in words:
        if not isinstance(command, TyperGroup) or word not in command.commands:
            break
        path, command = f"{path} {word}", command.commands[word]
    return path, command


def describe_commands(command: Command, path: str) -> Command:
    """Make a command and those below it answer --help and -h with the text of `manual`."""
    for name, each in walk(command, path):
        each.get_help_option_names = lambda ctx: ["--help", "-h"]  # type: ignore[method-assign]
        each.get_help = partial(_help, each, name)  # type: ignore[method-assign]
    return command


def _help(command: Command, path: str, context: Context) -> str:
    from reve_cli.help.manual import help_of

    return help_of(command, path, context)
